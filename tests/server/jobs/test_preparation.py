"""What is written for training: rows, redacted and in order, and a recipe that ``chatwright train`` takes."""

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from chatwright.safety.pii import redact
from chatwright.server.jobs.child import TrainingProcess
from chatwright.server.jobs.folder import JobFolder, MetricsTail
from chatwright.server.jobs.preparation import Interrupted, Order, prepare
from chatwright.server.jobs.progress import reported
from chatwright.train.recipe import load_recipe
from tests.server.jobs.conftest import chats, lines, preferences


def order(tmp_path: Path, model: Path, content: bytes, **changes: Any) -> Order:
    source = tmp_path / "source"
    source.write_bytes(content)
    given: dict[str, Any] = {
        "name": "ftjob-test",
        "base": str(model),
        "method": "supervised",
        "hyperparameters": {},
        "seed": 7,
        "training": source,
        "validation": None,
        "device": "cpu",
        "redact": lambda text: text,
    }
    return Order(**(given | changes))


def test_the_recipe_of_supervised_fine_tuning(tmp_path: Path, tiny_model_dir: Path) -> None:
    folder = JobFolder(tmp_path / "job")
    wanted = {"n_epochs": 5, "batch_size": 8, "learning_rate_multiplier": 0.5}
    prepared = prepare(folder, order(tmp_path, tiny_model_dir, chats(40), hyperparameters=wanted), threading.Event())
    assert prepared.hyperparameters == wanted
    recipe = load_recipe(folder.recipe, [])
    settings = recipe.stage_settings("sft")
    assert (recipe.seed, settings.num_train_epochs, settings.learning_rate) == (7, 5, 1e-4)
    examples_in_a_step = settings.train_batch_size * settings.max_length / 33  # tokens of an example here
    assert 5 <= examples_in_a_step <= 12
    assert recipe.evaluation.samples == tuple(f"What is {n} plus {n}? {n}" for n in range(3))
    assert folder.is_prepared


def test_the_recipe_of_preferences(tmp_path: Path, tiny_model_dir: Path) -> None:
    folder = JobFolder(tmp_path / "job")
    wished = order(tmp_path, tiny_model_dir, preferences(), method="dpo", hyperparameters={"beta": 0.3})
    prepare(folder, wished, threading.Event())
    assert load_recipe(folder.recipe, []).stage_settings("dpo").model_dump()["beta"] == 0.3
    first = json.loads(folder.training.read_text().splitlines()[0])
    assert first["chosen"] == [{"role": "assistant", "content": "Because of 0."}]


def test_case_20_personal_data_is_taken_out_before_training(tmp_path: Path, tiny_model_dir: Path) -> None:
    said = {"role": "user", "content": "I am at jane@example.org"}
    row = {"messages": [said, {"role": "assistant", "content": "Call 13812345678"}]}
    folder = JobFolder(tmp_path / "job")
    prepare(folder, order(tmp_path, tiny_model_dir, lines([row] * 10), redact=redact), threading.Event())
    text = folder.training.read_text() + folder.recipe.read_text()  # which holds some of the questions
    assert "jane@example.org" not in text
    assert "13812345678" not in text


def test_questions_to_the_model_in_training_come_from_what_it_does_not_learn(
    tmp_path: Path, tiny_model_dir: Path
) -> None:
    folder, validation = JobFolder(tmp_path / "job"), tmp_path / "validation"
    asked = ["x" * 501, "2 + 2?", "2 + 2?", "3 + 3?"]  # too long to be a question, and one that is there twice
    validation.write_bytes(
        lines(
            [{"messages": [{"role": "user", "content": text}, {"role": "assistant", "content": "?"}]} for text in asked]
        )
    )
    prepare(folder, order(tmp_path, tiny_model_dir, chats(), validation=validation), threading.Event())
    assert load_recipe(folder.recipe, []).evaluation.samples == ("2 + 2?", "3 + 3?")


def test_answers_that_are_not_to_be_learned_stay_so(tmp_path: Path, tiny_model_dir: Path) -> None:
    said = [
        {"role": "user", "content": "1 + 1?"},
        {"role": "assistant", "content": "3.", "weight": 0},
        {"role": "user", "content": "Really?"},
        {"role": "assistant", "content": "2.", "weight": 1},
    ]
    folder = JobFolder(tmp_path / "job")
    prepare(folder, order(tmp_path, tiny_model_dir, lines([{"messages": said}] * 10)), threading.Event())
    written = json.loads(folder.training.read_text().splitlines()[0])["messages"]
    assert [message.get("weight") for message in written] == [None, 0, None, None]


def test_preparation_ends_when_the_server_stops(tmp_path: Path, tiny_model_dir: Path) -> None:
    stopping = threading.Event()
    stopping.set()
    with pytest.raises(Interrupted):
        prepare(JobFolder(tmp_path / "job"), order(tmp_path, tiny_model_dir, chats(100)), stopping)


class TestMetricsTail:
    def write(self, path: Path, *steps: int, note: str = "") -> None:
        with path.open("a") as file:
            for step in steps:
                file.write(json.dumps({"step": step, "note": note}) + "\n")

    def test_what_is_added_is_read_once(self, tmp_path: Path) -> None:
        tail = MetricsTail(tmp_path / "metrics.jsonl")
        assert tail.read() == []
        self.write(tail.path, 1, 2)
        assert [record["step"] for record in tail.read()] == [1, 2]
        assert tail.read() == []

    def test_half_a_line_waits_for_its_end(self, tmp_path: Path) -> None:
        tail = MetricsTail(tmp_path / "metrics.jsonl")
        tail.path.write_text('{"step": 1}\n{"st')
        assert [record["step"] for record in tail.read()] == [1]
        with tail.path.open("a") as file:
            file.write('ep": 2}\n')
        assert [record["step"] for record in tail.read()] == [2]

    def test_steps_that_are_taken_again_are_read_again_however_long_the_file_is(self, tmp_path: Path) -> None:
        tail = MetricsTail(tmp_path / "metrics.jsonl")
        self.write(tail.path, 1, 2, 3)
        tail.read()
        os.truncate(tail.path, len(tail.path.read_text().splitlines(keepends=True)[0]))
        self.write(tail.path, 2, 3, 4, 5, note="taken by another process")
        assert [record["step"] for record in tail.read()] == [1, 2, 3, 4, 5]


def test_long_runs_are_told_in_fewer_events() -> None:
    told = [step for step in range(1, 10_001) if reported({"step": step, "loss": 1.0, "epoch": 1.0}, 1)]
    assert told[:200] == list(range(1, 201))
    assert len(told) == 200 + 180 + 80


def test_no_process_trains_what_nobody_trains(tmp_path: Path) -> None:
    assert TrainingProcess.find(JobFolder(tmp_path)) is None
