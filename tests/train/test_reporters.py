"""What a run leaves in its own files, in TensorBoard, and passes on to others."""

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from chatwright.errors import ConfigError
from chatwright.train.curves import curves_of, draw_curves, smoothed
from chatwright.train.metrics import JsonLines
from chatwright.train.recipe import Recipe
from chatwright.train.reporters import check_reporters, open_reporters
from tests.train.tiny_recipe import tiny

STEP = {"stage": "sft", "step": 3, "stage_step": 1, "loss": 2.5, "learning_rate": 1e-3, "tokens_per_s": 10.0}
EVALUATION = {"stage": "sft", "step": 3, "stage_step": 1, "eval_loss": 2.25}


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    return tiny(tmp_path, "report_to=[tensorboard, wandb, swanlab]")


def test_tensorboard_has_every_number_under_its_stage(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (reporter,) = open_reporters(tiny(tmp_path, "report_to=tensorboard"), tmp_path, first_step=0)
    reporter.stepped(STEP)
    reporter.evaluated(EVALUATION)
    reporter.close()
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert set(events.Tags()["scalars"]) == {"sft/loss", "sft/learning_rate", "sft/tokens_per_s", "sft/eval_loss"}
    assert [(point.step, point.value) for point in events.Scalars("sft/loss")] == [(3, 2.5)]


def test_tensorboard_forgets_steps_that_are_taken_again(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    recipe = tiny(tmp_path, "report_to=tensorboard")
    for first_step, steps in ((0, (1, 2, 3, 4)), (2, (3,))):
        (reporter,) = open_reporters(recipe, tmp_path, first_step=first_step)
        for step in steps:
            reporter.stepped({**STEP, "step": step, "loss": step + first_step * 10.0})
        reporter.close()
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(point.step, point.value) for point in events.Scalars("sft/loss")] == [(1, 1.0), (2, 2.0), (3, 23.0)]


def test_wandb_and_swanlab_get_the_same(monkeypatch: pytest.MonkeyPatch, recipe: Recipe, tmp_path: Path) -> None:
    told: list[tuple[str, Any]] = []

    def log(library: str) -> Any:
        return lambda numbers, step: told.append((library, (numbers["sft/loss"], step)))

    def init(library: str, result: object = None) -> Any:
        def begin(**wishes: Any) -> object:
            told.append((library, wishes["config"]["name"]))
            return result

        return begin

    def finish(library: str) -> Any:
        return lambda: told.append((library, "finished"))

    run = SimpleNamespace(log=log("wandb"), finish=finish("wandb"))
    util = SimpleNamespace(generate_id=lambda: "abc")
    fakes = {
        "wandb": {"init": init("wandb", run), "util": util},
        "swanlab": {"init": init("swanlab"), "log": log("swanlab"), "finish": finish("swanlab")},
    }
    for name, content in fakes.items():
        module = ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    _, *others = open_reporters(recipe, tmp_path, first_step=0)
    for reporter in others:
        reporter.stepped(STEP)
        reporter.close()
    for library in fakes:
        assert [what for name, what in told if name == library] == ["tiny", (2.5, 3), "finished"]
    assert (tmp_path / ".wandb-id").read_text() == "abc"  # so that a run that goes on is the same run there


def test_a_missing_library_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "swanlab", None)
    with pytest.raises(ConfigError, match=r"pip install 'chatwright\[swanlab\]'"):
        check_reporters(["swanlab"])


def test_metrics_are_cut_back_to_a_step(tmp_path: Path) -> None:
    lines = JsonLines(tmp_path / "metrics.jsonl")
    for step in (1, 2, 3):
        lines.append({"step": step, "loss": float("nan") if step == 2 else 1.0})
    with lines.path.open("a") as file:
        file.write('{"step": 4, "lo')  # killed while writing
    assert [record["step"] for record in lines] == [1, 2, 3]
    assert [record["loss"] for record in lines] == [1.0, None, 1.0]
    lines.truncate(2)
    lines.append({"step": 3})
    assert [json.loads(line)["step"] for line in lines.path.read_text().splitlines()] == [1, 2, 3]


def test_a_smooth_curve_keeps_slopes_and_leaves_out_gaps() -> None:
    assert smoothed([1.0, 2.0, 3.0, 4.0, 5.0], 3) == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert smoothed([1.0, float("nan"), 3.0], 3) == [1.0, 2.0, 3.0]


def test_the_picture_has_a_column_for_each_stage(tmp_path: Path) -> None:
    records = [STEP, EVALUATION, {**STEP, "step": 4, "loss": None}, {**STEP, "skipped": True, "reason": "spike"}]
    (curve,) = curves_of(records)
    assert (curve.steps, curve.eval_loss) == ([3, 4], [2.25])
    draw_curves([*records, {**STEP, "stage": "偏好"}], tmp_path / "curves.png", title="一次训练")
    assert (tmp_path / "curves.png").stat().st_size > 10_000
    draw_curves([], tmp_path / "none.png", title="")
    assert not (tmp_path / "none.png").exists()
