"""What to sweep, what became of it, and who is told."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

Pruner = Literal["median", "hyperband", "none"]
Direction = Literal["minimize", "maximize"]
State = Literal["complete", "pruned", "failed"]


@dataclass(frozen=True, slots=True)
class SweepSettings:
    """What to sweep.

    Attributes:
        recipe: path of the file.
        over: axes as text; see :meth:`chatwright.train.sweep_space.Axis.parse`.
        overrides: of the recipe, for every trial.
        trials: how many, those before a resume included.
        metric: a figure of a stage's end: ``eval_loss``, ``loss``, ``eval_TASK_METRIC``; of the last stage, or of the
            one in ``STAGE.eval_loss``.
        direction: None: less is better where the name says loss, perplexity or bits per byte.
        pruner: what stops trials that lag behind.
        folder: of the sweep; None: runs/NAME-sweep.
        keep_models: whether every trial's model is kept; otherwise that of the best one.
    """

    recipe: Path
    over: tuple[str, ...]
    overrides: tuple[str, ...] = ()
    trials: int = 20
    metric: str = "eval_loss"
    direction: Direction | None = None
    pruner: Pruner = "median"
    folder: Path | None = None
    keep_models: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a trial.

    Attributes:
        number: from 0.
        state: how it ended.
        value: of the metric; of a pruned trial, the last one.
        values: of the keys.
        seconds: that it took.
        error: why it failed.
        points: percent of the stage and the metric then.
    """

    number: int
    state: State
    value: float | None
    values: Mapping[str, Any]
    seconds: float
    error: str | None = None
    points: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True, slots=True)
class SweepResult:
    """What became of a sweep.

    Attributes:
        folder: of the sweep.
        metric, direction: what was looked for.
        outcomes: in the order of the trials.
        importance: of each key, summing to 1; empty where too few trials are complete.
    """

    folder: Path
    metric: str
    direction: Direction
    outcomes: tuple[Outcome, ...]
    importance: Mapping[str, float] = field(default_factory=dict)

    @property
    def ranking(self) -> list[Outcome]:
        """Complete trials, the best first."""
        sign = 1 if self.direction == "minimize" else -1
        complete = [outcome for outcome in self.outcomes if outcome.state == "complete"]
        return sorted(complete, key=lambda outcome: sign * (outcome.value or 0.0))

    @property
    def best(self) -> Outcome | None:
        """The best trial; None where none is complete."""
        return next(iter(self.ranking), None)

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        best = self.best
        return {
            "folder": str(self.folder),
            "metric": self.metric,
            "direction": self.direction,
            "best": None if best is None else asdict(best),
            "importance": dict(self.importance),
            "trials": [asdict(outcome) for outcome in self.outcomes],
        }


class SweepWatcher:
    """Told how a sweep goes. Does nothing by itself; override what you want to know."""

    def trial_started(self, number: int, values: Mapping[str, Any], *, again: bool) -> None:
        """A trial begins, or goes on after the sweep was stopped."""

    def reported(self, number: int, percent: int, value: float) -> None:
        """A trial was evaluated."""

    def trial_ended(self, outcome: Outcome, best: Outcome | None) -> None:
        """A trial is over; ``best`` is the best one so far."""
