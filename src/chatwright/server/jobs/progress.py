"""What a run's metrics mean to the person who waits for it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from chatwright.server.identifiers import now_ms

_FIGURES: Final = {
    "loss": "train_loss",
    "eval_loss": "valid_loss",
    "learning_rate": "learning_rate",
    "accuracy": "train_accuracy",
    "eval_accuracy": "valid_accuracy",
    "tokens": "tokens",
}
# So many events are of single steps; later ones are of every tenth, and then every hundredth.
_SINGLY: Final = 200


@dataclass(frozen=True, slots=True)
class Reported:
    """An event to be told.

    Attributes:
        key: tells it from any other of the job.
        message: for people.
        data: for programs.
        finish_ms: when training will be done, as far as can be told.
    """

    key: str
    message: str
    data: dict[str, Any]
    finish_ms: int | None


def reported(record: Mapping[str, Any], epochs: int) -> Reported | None:
    """The event that a record of ``metrics.jsonl`` makes; None where there is nothing to tell.

    Args:
        record: of a step or an evaluation.
        epochs: that are to be trained.
    """
    step = int(record["step"])
    figures = {ours: record[name] for name, ours in _FIGURES.items() if isinstance(record.get(name), int | float)}
    if record.get("skipped"):
        message = f"Step {step} was skipped: {record.get('reason', 'its loss was no number')}"
        return Reported(f"skipped-{step}", message, {"step": step}, None)
    if any(name.startswith("eval_") for name in record):
        shown = f"validation loss={figures['valid_loss']:.4f}" if "valid_loss" in figures else "evaluated"
        return Reported(f"eval-{step}", f"Step {step}: {shown}", {"step": step, **figures}, None)
    if "train_loss" not in figures or not _is_told(step):
        return None
    total = _total_steps(record, epochs)
    if total is not None:
        figures["total_steps"] = total
    place = f"{step}/{total}" if total is not None else str(step)
    message = f"Step {place}: training loss={figures['train_loss']:.4f}"
    return Reported(f"step-{step}", message, {"step": step, **figures}, _finish_ms(record, step, total))


def _is_told(step: int) -> bool:
    every = 1 if step <= _SINGLY else 10 if step <= 10 * _SINGLY else 100
    return step % every == 0


def _total_steps(record: Mapping[str, Any], epochs: int) -> int | None:
    epoch = record.get("epoch")
    if not isinstance(epoch, int | float) or epoch <= 0:
        return None
    return max(math.ceil(round(int(record["step"]) * epochs / epoch, 6)), 1)


def _finish_ms(record: Mapping[str, Any], step: int, total: int | None) -> int | None:
    seconds = record.get("seconds")
    if total is None or not isinstance(seconds, int | float):
        return None
    return now_ms() + round(seconds / step * max(total - step, 0) * 1000)
