"""``chatwright sweep`` as a person uses it."""

from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from chatwright.cli import sweep
from chatwright.cli.app import app
from chatwright.train.sweep_result import Outcome, SweepResult, SweepSettings, SweepWatcher
from tests.train.tiny_recipe import write_recipe

VALUES = {"stages.sft.learning_rate": 1e-4, "stages.sft.train_batch_size": 8}
DONE = SweepResult(
    Path("runs/tiny-sweep"),
    "eval_loss",
    "minimize",
    (
        Outcome(0, "complete", 2.5, VALUES, 12.0),
        Outcome(1, "complete", 2.25, VALUES | {"stages.sft.learning_rate": 3e-4}, 13.0),
        Outcome(2, "failed", None, VALUES, 1.0, "no memory"),
    ),
)


def test_the_best_trials_and_the_best_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[SweepSettings] = []

    def fake(settings: SweepSettings, *, resume: bool, watcher: SweepWatcher) -> SweepResult:
        seen.append(settings)
        watcher.trial_started(2, VALUES, again=resume)
        watcher.trial_ended(DONE.outcomes[2], DONE.best)
        return DONE

    monkeypatch.setattr("chatwright.train.sweep.run_sweep", fake)
    over = "stages.sft.learning_rate=1e-5..1e-3:log"
    result = CliRunner().invoke(app, ["sweep", "r.yaml", "--over", over, "-n", "3", "--study", "mine", "--resume"])
    assert result.exit_code == 0, result.output
    assert seen[0] == SweepSettings(Path("r.yaml"), (over,), trials=3, folder=Path("runs/mine"))
    assert result.stdout.splitlines()[-1] == "runs/tiny-sweep/best.yaml"
    assert result.stdout.index("2.2500") < result.stdout.index("2.5000")
    assert "trial 2 (going on): learning_rate=1e-4  train_batch_size=8" in result.stderr
    assert "no memory" in result.stderr
    assert "1 trials were pruned or failed" in result.stderr


def test_keys_with_the_same_last_part_are_told_apart() -> None:
    values = {"stages.sft.learning_rate": 1e-4, "stages.dpo.learning_rate": 1e-5}
    result = SweepResult(Path("x"), "eval_loss", "minimize", (Outcome(0, "complete", 1.0, values, 1.0),))
    console = Console(width=100, record=True, file=None)
    with console.capture() as capture:
        console.print(sweep.ranking_table(result))
    assert "sft.learning_rate" in capture.get()
    assert "dpo.learning_rate" in capture.get()


def test_a_wrong_key_is_one_sentence(tmp_path: Path) -> None:
    recipe = str(write_recipe(tmp_path))
    result = CliRunner().invoke(app, ["sweep", recipe, "--over", "stages.sft.learning_rat=1e-5..1e-3:log"])
    assert result.exit_code == 2
    assert "did you mean learning_rate" in result.stderr
    assert "Traceback" not in result.output
