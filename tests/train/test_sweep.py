"""Sweeps: what may vary, trials in processes of their own, and going on after a kill."""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chatwright.errors import ConfigError
from chatwright.train.recipe import load_recipe
from chatwright.train.sweep import run_sweep
from chatwright.train.sweep_picture import draw_sweep, label
from chatwright.train.sweep_result import Outcome, SweepResult, SweepSettings, SweepWatcher
from chatwright.train.sweep_space import Axis, parse_axes
from tests.train.swept import OVER, settings
from tests.train.tiny_recipe import write_recipe

RATE = "stages.pretrain.learning_rate"


def recipe_file(folder: Path) -> Path:
    stage = {"data": "text", "max_length": 48, "train_batch_size": 4, "max_steps": 6, "eval_steps": 2, "save_steps": 2}
    return write_recipe(folder, stages={"pretrain": {**stage, "bf16": False, "max_skipped_steps": 0}}, evaluation={})


@pytest.mark.parametrize(
    ("text", "axis"),
    [
        ("a.b=1e-5..1e-3:log", Axis("a.b", low=1e-5, high=1e-3, log=True)),
        ("a = 1 .. 8", Axis("a", low=1, high=8, whole=True)),
        ("a=0..0.4:0.1", Axis("a", low=0, high=0.4, step=0.1)),
        ("a=16..64:16", Axis("a", low=16, high=64, step=16, whole=True)),
        ("a=4,8,16", Axis("a", choices=("4", "8", "16"))),
        ("a=[q_proj,v_proj],all-linear", Axis("a", choices=("[q_proj,v_proj]", "all-linear"))),
    ],
)
def test_what_an_axis_says(text: str, axis: Axis) -> None:
    assert Axis.parse(text) == axis


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("learning_rate", "write KEY=LOW..HIGH"),
        ("a=1..b", "'b' is not a number"),
        ("a=3..1", "not above 3; swap them"),
        ("a=0..1:log", "must begin above 0"),
        ("a=0..1:5", "does not fit"),
        ("a=4", "at least two different values"),
        ("a=4,4", "at least two different values"),
        ("output=a,b", "a folder and a name of its own"),
    ],
)
def test_an_axis_that_makes_no_sense(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Axis.parse(text)


@pytest.mark.parametrize(
    ("over", "message"),
    [
        ((), "needs something to vary"),
        (("stages.pretrain.learning_rat=1e-4..1e-3",), "did you mean learning_rate"),
        (("stages.pretrain.learning_rate=-1..1",), "greater than 0"),
        (("stages.pretrain.optimizer=adamw,sgd",), "'sgd'"),
        ((f"{RATE}=1,2", f"{RATE}=1..2"), "given twice"),
    ],
)
def test_an_axis_that_the_recipe_does_not_take(tmp_path: Path, over: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_axes(over, recipe_file(tmp_path), ())


class Told(SweepWatcher):
    def __init__(self) -> None:
        self.started: list[tuple[int, bool]] = []

    def trial_started(self, number: int, values: Mapping[str, Any], *, again: bool) -> None:
        self.started.append((number, again))


def test_killed_and_resumed(tmp_path: Path) -> None:
    """The finished trial is not run again, the interrupted one goes on, the one that fails ends nothing."""
    recipe, folder = recipe_file(tmp_path), tmp_path / "sweep"
    program = [sys.executable, "-m", "tests.train.swept", str(recipe), str(folder), "1"]
    killed = subprocess.run(program, capture_output=True, text=True)
    assert killed.returncode == -9, killed.stderr
    told = Told()
    wishes = settings(recipe, folder)
    with pytest.raises(ConfigError, match="add --resume"):
        run_sweep(wishes)
    with pytest.raises(ConfigError, match="another pruner"):
        run_sweep(replace(wishes, pruner="none"), resume=True)
    result = run_sweep(wishes, resume=True, watcher=told)

    assert told.started == [(1, True), (2, False)]
    assert [outcome.number for outcome in result.outcomes] == [0, 1, 2]
    assert sorted(outcome.values[RATE] for outcome in result.outcomes) == [1e-3, 1e-2, 1e30]
    by_rate = {outcome.values[RATE]: outcome for outcome in result.outcomes}
    assert by_rate[1e30].state == "failed"
    assert by_rate[1e30].error
    assert by_rate[1e-3].state == by_rate[1e-2].state == "complete"
    assert result.best is by_rate[1e-2]
    assert [percent for percent, _ in by_rate[1e-2].points] == [33, 67, 100]

    best = load_recipe(folder / "best.yaml")
    assert best.stage_settings("pretrain").learning_rate == 1e-2
    assert best.name == "tiny-best"
    assert (folder / "sweep.png").read_bytes().startswith(b"\x89PNG")
    stored = json.loads((folder / "sweep.json").read_text())
    assert stored["best"]["number"] == result.best.number
    # only the best one keeps its weights, and nobody needs a checkpoint any more
    assert [path.parent.parent.name for path in folder.glob("trials/*/model/config.json")] == [
        f"{result.best.number:04}"
    ]
    assert not list(folder.glob("trials/*/checkpoint-*"))
    again = run_sweep(wishes, resume=True, watcher=(nothing := Told()))
    assert nothing.started == []
    assert again.best == result.best


def test_a_metric_that_is_not_measured_ends_the_sweep(tmp_path: Path) -> None:
    wishes = SweepSettings(recipe_file(tmp_path), OVER, ("stages.pretrain.max_steps=2",), metric="eval_happiness")
    with pytest.raises(ConfigError, match="does not measure eval_happiness; it measures loss, eval_loss"):
        run_sweep(replace(wishes, folder=tmp_path / "sweep"))


@pytest.mark.parametrize(
    ("metric", "message"), [("sft.eval_loss", "the stages are pretrain"), ("seconds", "give loss")]
)
def test_a_metric_that_there_is_not(tmp_path: Path, metric: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        run_sweep(SweepSettings(recipe_file(tmp_path), OVER, metric=metric, folder=tmp_path / "sweep"))


def test_a_picture_of_anything(tmp_path: Path) -> None:
    values = {
        "stages.sft.learning_rate": 1e-4,
        "model.preset": "llama-1m",
        "stages.sft.lora.target_modules": ["q_proj"],
    }
    outcomes = (
        Outcome(0, "complete", 0.5, values, 1.0, None, ((50, 0.4), (100, 0.5))),
        Outcome(1, "failed", None, values | {"model.preset": "llama-5m"}, 1.0, "no"),
        Outcome(2, "pruned", 0.1, values, 1.0, None, ((50, 0.1),)),
    )
    draw_sweep(SweepResult(tmp_path, "eval_accuracy", "maximize", outcomes), tmp_path / "a.png", title="one")
    assert (tmp_path / "a.png").stat().st_size > 10_000


def test_labels() -> None:
    assert [label(value) for value in (1e-4, 0.25, 16, 12345.0, True, "adamw")] == [
        "1e-4",
        "0.25",
        "16",
        "1.23e4",
        "True",
        "adamw",
    ]
