"""Task files: what they may say, and what they are told when they are wrong."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chatwright.chat import Message
from chatwright.errors import ConfigError, InputError
from chatwright.eval.questions import Question, questions
from chatwright.eval.tasks import Task, builtin_names, builtin_task, load_task

WriteLines = Callable[..., Path]


@pytest.fixture
def write_lines(tmp_path: Path) -> WriteLines:
    def write(*records: dict[str, Any], name: str = "data.jsonl") -> Path:
        path = tmp_path / name
        path.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), "utf-8")
        return path

    return write


# A record of the shape that each public set has, and what it must come to: question, choices or answers, the right.
RECORDS: dict[str, tuple[dict[str, Any], str, tuple[str, ...], int]] = {
    "arc_easy": (
        {"question": "Why?", "choices": {"text": ["sun", "moon"], "label": ["A", "B"]}, "answerKey": "B"},
        "Question: Why?\nAnswer:",
        ("sun", "moon"),
        1,
    ),
    "hellaswag": (
        {
            "activity_label": "Cooking",
            "ctx_a": "She heats oil. [header] Next",
            "ctx_b": "the man",
            "endings": ["sings [title] well.", "cooks."],
            "label": "1",
        },
        "Cooking: She heats oil. Next The man",
        ("sings. well.", "cooks."),
        1,
    ),
    "piqa": (
        {"goal": "Boil water", "sol1": "ice", "sol2": "fire", "label": 1},
        "Question: Boil water\nAnswer:",
        ("ice", "fire"),
        1,
    ),
    "mmlu": (
        {"question": " 1+1? ", "choices": ["1", "2", "3", "4"], "answer": "B"},
        "1+1?\nA. 1\nB. 2\nC. 3\nD. 4\nAnswer:",
        ("A", "B", "C", "D"),
        1,
    ),
    "ceval": (
        {"question": "一加一？", "A": "1", "B": "2", "C": "3", "D": "4", "answer": "B"},
        "一加一？\nA. 1\nB. 2\nC. 3\nD. 4\n答案：",
        ("A", "B", "C", "D"),
        1,
    ),
    "cmmlu": (
        {"Question": "一加一？", "A": "1", "B": "2", "C": "3", "D": "4", "Answer": "B"},
        "一加一？\nA. 1\nB. 2\nC. 3\nD. 4\n答案：",
        ("A", "B", "C", "D"),
        1,
    ),
    "truthfulqa_mc1": (
        {"question": "Why?", "mc1_targets": {"choices": ["so", "no"], "labels": [0, 1]}},
        "Q: Why?\nA:",
        ("so", "no"),
        1,
    ),
    "sst2": ({"sentence": "fun", "label": "positive"}, "Review: fun\nSentiment:", ("negative", "positive"), 1),
    "gsm8k": (
        {"question": "2+3?", "answer": "It is <<2+3=5>>5.\n#### 5"},
        "Question: 2+3?\nAnswer:",
        ("5",),
        -1,
    ),
    "mgsm_en": ({"question": "2+3?", "answer_number": 5}, "Question: 2+3?\nAnswer:", ("5",), -1),
    "mgsm_zh": ({"question": "2+3？", "answer_number": 5}, "问题：2+3？\n答案：", ("5",), -1),
    "xquad_zh": (
        {"context": "天是蓝的。", "question": "天？", "answers": {"text": ["蓝", "蓝的"]}},
        "天是蓝的。\n\n问题：天？\n请用原文中的词语简短回答：",
        ("蓝", "蓝的"),
        -1,
    ),
    "xquad_en": (
        {"context": "The sky is blue.", "question": "Sky?", "answers": {"text": ["blue"]}},
        "The sky is blue.\n\nQuestion: Sky?\nAnswer briefly, in the words of the text:",
        ("blue",),
        -1,
    ),
    "choice": ({"question": "Why?", "choices": ["a", "b"], "answer": "b"}, "Why?", ("a", "b"), 1),
}
RECORDS["arc_challenge"] = RECORDS["arc_easy"]
OWN_FORMAT = {
    "classify",
    "exact",
    "similar",
    "perplexity",
    "preference",
    "quickstart",
    "wikitext",
}  # they have no templates


def test_every_built_in_task_is_tried_here() -> None:
    assert set(builtin_names()) == RECORDS.keys() | OWN_FORMAT
    assert all(builtin_task(name).description for name in builtin_names())


@pytest.mark.parametrize("name", RECORDS)
def test_built_in_tasks_read_records_of_their_shape(name: str, write_lines: WriteLines) -> None:
    record, prompt, options, right = RECORDS[name]
    task = load_task(f"{name}:{write_lines(record)}").replace(fewshot=0, fewshot_answer=None)
    (question,) = questions(task, limit=None)
    assert [message.content for message in question.messages] == [prompt]
    assert (question.choices or question.answers) == options
    assert question.correct == right


def test_examples_come_first_and_are_not_asked(write_lines: WriteLines) -> None:
    lines = [{"question": f"{i}+0?", "answer": f"It is <<{i}>>{i}.\n#### {i}"} for i in range(8)]
    found = questions(load_task(f"gsm8k:{write_lines(*lines)}"), limit=2)
    assert [question.answers for question in found] == [("5",), ("6",)]
    shots = found[0].shots
    assert len(shots) == 5
    assert shots[3][1] == "It is 3.\n#### 3"  # the calculator's marks are no part of what a model should write
    with pytest.raises(ConfigError, match="wants 5 examples, but there are 3"):
        questions(load_task(f"gsm8k:{write_lines(*lines[:3])}"), limit=None)


def test_rows_of_known_formats_need_no_template(write_lines: WriteLines) -> None:
    path = write_lines(
        {"prompt": "hi", "answer": "hello", "skill": "greeting"},
        {"messages": [{"role": "user", "content": "sky?"}], "answer": "blue", "skill": "colour"},
    )
    found = questions(load_task(f"exact:{path}").replace(group="skill"), limit=None)
    assert [(q.messages[-1].content, q.answers, q.group) for q in found] == [
        ("hi", ("hello",), "greeting"),
        ("sky?", ("blue",), "colour"),
    ]
    chats = write_lines({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]})
    assert questions(load_task(f"similar:{chats}"), limit=None) == [Question((Message("user", "a"),), ("b",))]
    pairs = write_lines({"prompt": "a", "chosen": "good", "rejected": "bad"})
    assert questions(load_task(f"preference:{pairs}"), limit=None)[0].answers == ("good", "bad")


def test_a_task_is_a_file(tmp_path: Path, write_lines: WriteLines) -> None:
    data = write_lines(
        {"q": "sky", "right": "blue", "kind": "colour"}, {"q": "grass", "right": "green", "kind": "plant"}
    )
    file = tmp_path / "colours.yaml"
    file.write_text(
        f"kind: classify\ndata: {data}\nform: plain\nprompt:\n  - role: system\n    content: Name the colour.\n"
        "  - role: user\n    content: '{{ q | upper }}:'\nchoices: [blue, green]\nanswer: right\ngroup: kind\n"
    )
    first, second = questions(load_task(str(file)), limit=None)
    assert [message.content for message in first.messages] == ["Name the colour.", "SKY:"]
    assert (first.correct, second.correct) == (0, 1)
    assert second.group == "plant"


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("arc_eesy", "did you mean arc_easy"),
        ("zzz", "there are: arc_challenge"),
        ("perplexity", "needs data: write perplexity:FILE"),
        ("none.yaml", "cannot read the task file none.yaml"),
    ],
)
def test_what_is_wrong_with_a_name_is_said(name: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        load_task(name)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"kind": "perplexity", "graders": ["exact"]}, "graders has no effect on a task of kind perplexity"),
        ({"kind": "generate", "grader": ["exact"]}, "unknown key grader; did you mean graders"),
        ({"kind": "choice", "prompt": "a"}, "needs prompt, choices and answer"),
        ({"kind": "classify", "prompt": "a"}, "prompt, choices and answer go together"),
        ({"kind": "classify", "prompt": "a", "choices": "x", "answer": "y"}, "choices of a classification are a list"),
        ({"kind": "generate", "prompt": "a"}, "prompt and answer go together"),
        ({"kind": "generate", "extract": "("}, "extract is not a regular expression"),
        ({"kind": "generate", "graders": ["exakt"]}, "graders.0"),
        ({"kind": "generate", "fewshot_answer": "a"}, "fewshot_answer has no effect"),
        ({"kind": "essay"}, "kind"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(values: dict[str, Any], complaint: str, tmp_path: Path) -> None:
    file = tmp_path / "task.json"
    file.write_text(json.dumps({"data": "x.jsonl", **values}))
    with pytest.raises(ConfigError, match=complaint) as raised:
        load_task(str(file))
    assert str(file) in str(raised.value)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"prompt": "{{ missing }}"}, "'missing' is undefined; the record has the keys q, right"),
        ({"answer": "right.nothing"}, "right.nothing is not there"),
        ({"answer": "'purple'"}, "'purple' is neither one of the choices"),
        ({"answer": "7"}, "7 is neither one of the choices"),
        ({"choices": "q.split(1)"}, "does not fit the data"),
    ],
)
def test_what_does_not_fit_the_data_is_said(changes: dict[str, Any], complaint: str, write_lines: WriteLines) -> None:
    path = write_lines({"q": "sky", "right": "blue"})
    values = {"prompt": "{{ q }}", "choices": "['blue', 'green']", "answer": "right"}
    task = Task(name="colours", kind="choice", data={"path": str(path)}, **values | changes)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=complaint):
        questions(task, limit=None)


def test_broken_templates_and_empty_data_are_said(write_lines: WriteLines) -> None:
    path = write_lines({"q": "sky"})
    task = Task(name="t", kind="generate", data={"path": str(path)}, prompt="{{ q", answer="q")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"template .* is broken"):
        questions(task, limit=None)
    with pytest.raises(ConfigError, match="expression 'q q' is broken"):
        questions(task.replace(prompt="{{ q }}", answer="q q"), limit=None)
    with pytest.raises(ConfigError, match="task exact has no data"):
        questions(builtin_task("exact"), limit=None)
    empty = write_lines(name="empty.jsonl")
    with pytest.raises(ConfigError, match="has no rows to ask"):
        questions(load_task(f"choice:{empty}"), limit=None)
