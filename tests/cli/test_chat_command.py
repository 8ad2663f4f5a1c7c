"""``chatwright chat`` for one question: what is printed, and what a person reads after a mistake."""

import json
from pathlib import Path

import pytest

from chatwright import Chat, ChatwrightError, LoadedModel
from tests.conftest import Run

GREEDY = ("--temperature", "0", "--max-tokens", "8")


def test_an_answer_is_printed_and_nothing_else(run: Run, tiny_loaded: LoadedModel) -> None:
    result = run("chat", "hello", *GREEDY)
    assert result.exit_code == 0
    assert result.stdout == Chat(tiny_loaded, temperature=0, max_tokens=8).ask("hello").text.rstrip("\n") + "\n"


def test_json_is_one_object_with_what_programs_need(run: Run) -> None:
    result = run("chat", "你好", *GREEDY, "--json")
    assert result.exit_code == 0
    answer = json.loads(result.stdout)
    assert set(answer) >= {"model", "answer", "finish_reason", "usage", "timings"}
    assert answer["model"] == "tiny-llama"
    assert answer["finish_reason"] == "length"
    assert answer["usage"]["completion_tokens"] == 8
    assert answer["usage"]["total_tokens"] == answer["usage"]["prompt_tokens"] + 8


def test_text_from_a_pipe_follows_the_question(run: Run, tiny_loaded: LoadedModel) -> None:
    result = run("chat", "Summarise:", *GREEDY, input="天空".encode())
    expected = Chat(tiny_loaded, temperature=0, max_tokens=8).ask("Summarise:\n\n天空").text
    assert result.stdout.rstrip("\n") == expected.rstrip("\n")
    piped = run("chat", *GREEDY, input="hello")
    assert piped.stdout == run("chat", "hello", *GREEDY).stdout


def test_the_same_seed_gives_the_same_answer(run: Run) -> None:
    arguments = ("chat", "hello", "--temperature", "1.5", "--max-tokens", "16", "--seed")
    first = run(*arguments, "7").stdout
    assert run(*arguments, "7").stdout == first != run(*arguments, "8").stdout


def test_every_sampling_option_reaches_the_model(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, object] = {}

    def remember(self: Chat, model: object = None, **options: object) -> None:
        seen.update(options)
        raise ChatwrightError("seen")

    monkeypatch.setattr(Chat, "__init__", remember)
    options = {
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 40,
        "min_p": 0.05,
        "repetition_penalty": 1.1,
        "seed": 3,
        "max_tokens": 9,
    }
    arguments = [text for name, value in options.items() for text in (f"--{name.replace('_', '-')}", str(value))]
    run("chat", "hello", *arguments, "--stop", "a", "--stop", "b", "--system", "be brief", "--threads", "2")
    assert {name: seen[name] for name in options} == options
    assert seen["stop"] == ("a", "b")
    assert (seen["system"], seen["threads"]) == ("be brief", 2)


def test_an_answer_can_be_held_to_a_form(run: Run, tmp_path: Path) -> None:
    assert run("chat", "hello", *GREEDY, "--regex", "(yes|no)").stdout in ("yes\n", "no\n")
    schema = tmp_path / "schema.json"
    schema.write_text('{"enum": ["blue", "red"]}')
    result = run("chat", "hello", "--temperature", "0", "--max-tokens", "64", "--json-schema", str(schema))
    assert json.loads(result.stdout) in ("blue", "red")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--temperature", "-1"), "temperature is -1"),
        (("--temperature", "nan"), "temperature is nan"),
        (("--temperature", "hot"), "--temperature"),
        (("--top-p", "2"), "top_p is 2"),
        (("--top-k", "-5"), "top_k is -5"),
        (("--max-tokens", "0"), "max_tokens is 0"),
        (("--threads", "0"), "--threads"),
        (("--context-policy", "forget"), "drop_oldest"),
        (("--json-schema", "no-such-file.json"), "cannot read no-such-file.json"),
        (("--regex", "("), "regex"),
        (("--regex", "a", "--json-schema", "b"), "cannot be combined"),
        (("--no-such-option",), "--no-such-option"),
        (("--stop", ""), "stop string"),
    ],
)
def test_a_bad_option_is_named_with_what_is_allowed(run: Run, arguments: tuple[str, ...], sentence: str) -> None:
    result = run("chat", "hello", *arguments)
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize("question", ["", "  \n "])
def test_an_empty_message_is_one_sentence(run: Run, question: str) -> None:
    for result in (run("chat", question), run("chat", input=question)):
        assert result.exit_code == 2
        assert result.stderr.strip() == "Error: the message is empty; write something"


def test_text_that_is_not_utf8_is_one_sentence(run: Run) -> None:
    result = run("chat", input="天空".encode("gbk"))
    assert result.exit_code == 2
    assert "not UTF-8" in result.stderr
    assert "iconv" in result.stderr


def test_ten_megabytes_are_one_sentence(run: Run) -> None:
    result = run("chat", input="sky " * 2_500_000)
    assert result.exit_code == 1
    assert "tokens" in result.stderr
    assert len(result.stderr) < 300


@pytest.mark.parametrize("name", ["no-such-model", "./nowhere", "someone/something"])
def test_a_missing_model_says_how_to_get_one(run: Run, name: str) -> None:
    result = run("chat", "hello", "--model", name)
    assert result.exit_code == 1
    assert "Error:" in result.stderr
    assert "Traceback" not in result.output


def test_json_without_a_question_is_refused(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatwright.cli.chat._question", lambda argument: None)
    result = run("chat", "--json")
    assert result.exit_code == 2
    assert "--json needs a question" in result.stderr


def test_a_bug_of_ours_is_one_sentence_and_a_log(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATWRIGHT_HOME", str(tmp_path))

    def broken(self: Chat, text: str, **sampling: object) -> None:
        raise ZeroDivisionError("oh no")

    monkeypatch.setattr(Chat, "stream", broken)
    result = run("chat", "hello")
    log = tmp_path / "logs" / "chatwright.log"
    assert result.exit_code == 1
    assert "bug" in result.stderr
    assert "ZeroDivisionError" in result.stderr
    assert "Traceback" not in result.stderr
    assert "Traceback" in log.read_text("utf-8")
    assert "hello" not in log.read_text("utf-8").replace('"hello"', "")


def test_statistics_go_to_stderr(run: Run) -> None:
    result = run("chat", "hello", *GREEDY, "--stats")
    assert "8 generated" in result.stderr
    assert "generated" not in result.stdout


def test_a_cut_answer_says_so(run: Run) -> None:
    assert "cut off" in run("chat", "hello", *GREEDY).stderr
