"""A teacher's answers: written once, the same whatever happens, and learned by a student of any vocabulary."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatwright.chat import Message
from chatwright.data.rows import Dialogue, Prompt, Row
from chatwright.errors import ConfigError, InputError
from chatwright.loaded import LoadedModel
from chatwright.model import load_model
from chatwright.tokenizer import Tokenizer
from chatwright.train import teacher as module
from chatwright.train.pipeline import run_recipe
from chatwright.train.teacher import CUT, EMPTY, TOO_LONG, TOOLS, AnswerFile, Teacher, TeacherSettings
from tests.train.tiny_recipe import tiny

KEEP = TeacherSettings(max_tokens=6, temperature=1.0, keep_cut=True, seed=3)
ROWS: list[Row] = [Prompt((Message("user", f"why {number}"),), None, {}) for number in range(7)]


@pytest.fixture
def loaded(tiny_model_dir: Path) -> Iterator[LoadedModel]:
    model = LoadedModel.of(load_model(tiny_model_dir, dtype="float32").eval(), Tokenizer.from_folder(tiny_model_dir))
    yield model
    model.close()


class _Killed(Exception):
    pass


def killed(rows: int, tokens: int) -> None:
    raise _Killed


def no_news(rows: int, tokens: int) -> None:
    pass


def test_every_turn_of_the_assistant_is_the_teachers(loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    said = (
        ("system", "Be brief."),
        ("user", "hello"),
        ("assistant", "theirs"),
        ("user", "why?"),
        ("assistant", "theirs"),
    )
    row = Dialogue(tuple(Message(role, text) for role, text in said))  # type: ignore[arg-type]
    monkeypatch.setattr(Teacher, "_take", lambda self, talk, completion: talk.hear("mine"))
    (conversation,) = Teacher(loaded, KEEP).converse([row], 0).conversations
    assert [(m.role, m.content) for m in conversation] == [
        (role, "mine" if role == "assistant" else text) for role, text in said
    ]


def test_what_cannot_be_learned_is_counted(loaded: LoadedModel) -> None:
    tools = Dialogue((Message("user", "hello"), Message("assistant", "yes")), ({"type": "function"},))
    endless = Prompt((Message("user", "why " * 5000),), None, {})
    strict = TeacherSettings(max_tokens=1, temperature=1.0, keep_cut=False, seed=3)
    lesson = Teacher(loaded, strict).converse([tools, endless, *ROWS], 0)  # type: ignore[list-item]
    assert lesson.dropped[TOOLS] == lesson.dropped[TOO_LONG] == 1
    assert lesson.dropped[CUT] + lesson.dropped[EMPTY] == len(ROWS) - len(lesson.conversations)


def test_answers_go_on_where_they_were_broken_off(
    loaded: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_TOGETHER", 3)
    teacher = Teacher(loaded, KEEP)
    whole = AnswerFile(tmp_path / "whole.jsonl", "a")
    whole.write(ROWS, teacher, no_news)
    assert len(list(whole)) == len(ROWS)

    part = AnswerFile(tmp_path / "part.jsonl", "a")
    with pytest.raises(_Killed):
        part.write(ROWS, teacher, killed)
    with part.path.open("ab") as file:
        file.write(b'{"messages": [{"ro')
    done: list[int] = []
    assert not AnswerFile(part.path, "a").complete
    part.write(ROWS, teacher, lambda rows, tokens: done.append(rows))
    assert done == [6, 7]
    assert part.path.read_bytes() == whole.path.read_bytes()
    assert part.complete
    assert not AnswerFile(part.path, "another teacher").complete


def test_a_student_of_another_vocabulary_learns_it(tmp_path: Path, tiny_model_dir: Path) -> None:
    stage = {"teacher": str(tiny_model_dir), "data": "chats", "max_steps": 2, "max_length": 64, "bf16": False}
    stage |= {"max_completion_length": 4, "temperature": 1.0, "keep_cut": True, "train_batch_size": 4}
    recipe = tiny(tmp_path, "tokenizer.data=text", stages={"distill_text": stage})
    folder = run_recipe(recipe)
    rows = folder / "data" / "distill_text" / "rows"
    taught = [json.loads(line)["messages"] for line in (rows / "train.jsonl").read_text("utf-8").splitlines()]
    assert {turns[0]["role"] for turns in taught} == {"user"}
    assert not any("It is" in turns[-1]["content"] for turns in taught)  # what the data's assistant said
    report = json.loads((folder / "report.json").read_text("utf-8"))["stages"]["distill_text"]["data"]
    assert report["train"]["examples"] == len(taught)
    assert report["sources"]["the teacher's answers"]["dropped"]
    again = {**stage, "keep_cut": False, "max_completion_length": 1}
    with pytest.raises(InputError, match="raise max_completion_length, or set keep_cut"):
        run_recipe(tiny(tmp_path, "tokenizer.data=text", f"output={tmp_path / 'b'}", stages={"distill_text": again}))
    with pytest.raises(ConfigError, match="needs `teacher`"):
        run_recipe(tiny(tmp_path, f"output={tmp_path / 'c'}", stages={"distill_text": {"data": "chats"}}))
