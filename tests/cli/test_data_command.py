"""``chatwright data``: preview, info and prepare."""

import json
from pathlib import Path

import pytest

from chatwright.data.store import ExampleStore
from tests.conftest import Run

CHATS = [
    {"messages": [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "the sky is blue"}]},
    {"messages": [{"role": "user", "content": "天空?"}, {"role": "assistant", "content": "蓝色的"}]},
]


@pytest.fixture
def chats(tmp_path: Path) -> Path:
    path = tmp_path / "chats.jsonl"
    path.write_text("".join(json.dumps(chat, ensure_ascii=False) + "\n" for chat in CHATS))
    return path


def test_preview_marks_what_is_learned_without_colours(run: Run, chats: Path) -> None:
    result = run("data", "preview", str(chats))
    assert result.exit_code == 0, result.output
    assert "⟦learned⟧" in result.stdout
    assert "<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n⟦the sky is blue<|im_end|>⟧" in result.stdout
    assert "⟦蓝色的<|im_end|>⟧" in result.stdout


def test_preview_colours_a_terminal(run: Run, chats: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    result = run("data", "preview", str(chats), "-n", "1")
    assert "⟦" not in result.stdout
    assert "\x1b[32mthe sky is blue" in result.stdout  # green
    assert "天空" not in result.stdout
    monkeypatch.setenv("NO_COLOR", "1")
    assert "⟦the sky" in run("data", "preview", str(chats)).stdout


def test_a_long_context_loses_its_middle_and_the_answer_stays(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text(json.dumps({"prompt": "why " * 100, "chosen": "blue", "rejected": "hello"}))
    shown = run("data", "preview", str(path), "--max-chars", "100").stdout
    assert "characters)" in shown
    assert "⟦blue<|im_end|>⟧" in shown
    assert "⟦hello<|im_end|>⟧" in shown


def test_preview_as_json(run: Run, chats: Path) -> None:
    lines = [json.loads(line) for line in run("data", "preview", str(chats), "--json").stdout.splitlines()]
    assert [line["kind"] for line in lines] == ["chat", "chat"]
    (document,) = lines[0]["documents"]
    assert "".join(span["text"] for span in document["spans"] if span["learned"]) == "the sky is blue<|im_end|>"


def test_an_entry_of_a_recipe_can_be_looked_at(run: Run, chats: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "my.yaml"
    recipe.write_text(f"data:\n  one: {chats}\n  two: builtin:quickstart/text\n")
    assert "the sky is blue" in run("data", "preview", str(recipe)).stdout
    assert "the sky is blue" not in run("data", "preview", str(recipe), "--data", "two", "-n", "1").stdout
    assert "天空" not in run("data", "preview", str(recipe), "--set", "limit=1").stdout
    wrong = run("data", "preview", str(recipe), "--data", "three")
    assert wrong.exit_code == 2
    assert "one, two" in wrong.stderr
    assert "leave it out" in run("data", "preview", str(chats), "--data", "one").stderr


def test_what_is_wrong_is_named(run: Run, chats: Path) -> None:
    assert "did you mean limit" in run("data", "preview", str(chats), "--set", "limits=1").stderr
    assert "no file or folder" in run("data", "preview", "nowhere.jsonl").stderr
    wrong_kind = run("data", "preview", str(chats), "--kind", "preference")
    assert wrong_kind.exit_code == 2
    assert "chosen" in wrong_kind.stderr


def test_info_counts_and_names_the_faults(run: Run, chats: Path) -> None:
    with chats.open("a") as file:
        file.write(json.dumps(CHATS[0]) + "\n{broken\n")
    figures = json.loads(run("data", "info", str(chats), "--json", "--set", "max_malformed=0.5").stdout)
    assert (figures["read"], figures["kept"], figures["malformed"], figures["equal_rows"]) == (4, 3, 1, 1)
    assert figures["kinds"] == {"chat": 3}
    assert figures["languages"] == {"en": 2, "zh": 1}
    assert figures["tokens"] > figures["learned_tokens"] > 0
    assert f"{chats}:4" in figures["places"][0]
    shown = run("data", "info", str(chats), "--set", "max_malformed=0.5")
    assert "equal rows" in shown.stdout
    assert f"{chats}:4" in shown.stderr


def test_prepared_data_is_used_again_until_a_file_changes(run: Run, chats: Path, tmp_path: Path) -> None:
    out = tmp_path / "prepared"
    command = ("data", "prepare", str(chats), "--out", str(out))
    made = run(*command)
    assert made.exit_code == 0, made.output
    assert len(ExampleStore.open(out)) == 2
    assert "up to date" not in made.stderr
    assert "up to date" in run(*command).stderr
    with chats.open("a") as file:
        file.write(json.dumps(CHATS[0]) + "\n")
    assert json.loads(run(*command, "--json").stdout)["num_examples"] == 3
    assert json.loads(run("data", "info", str(out), "--json").stdout)["num_examples"] == 3
    assert "examples" in run("data", "info", str(out)).stdout


def test_labelled_data_finds_its_classes(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "labelled.csv"
    path.write_text("text,label\nfine,good\nugly,bad\nnice,good\n")
    assert run("data", "prepare", str(path), "-o", str(tmp_path / "s")).exit_code == 0
    assert ExampleStore.open(tmp_path / "s").values("label").tolist() == [1, 0, 1]


def test_nothing_is_overwritten_that_is_no_prepared_data(run: Run, chats: Path) -> None:
    result = run("data", "prepare", str(chats), "-o", str(chats.parent))
    assert result.exit_code == 1
    assert "another folder" in result.stderr
    assert chats.exists()
