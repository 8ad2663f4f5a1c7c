"""Refusing steps that would harm the model: a loss that is no number, or far above what it has been."""

import math
import statistics
from collections import deque
from collections.abc import Sequence
from typing import Any

from chatwright.errors import TrainingError

_WINDOW = 128  # losses that "what it has been" looks back on
_ENOUGH = 32  # before so many are known, only NaN and infinity are refused
_LEAST_SPREAD = 0.05  # nats; a loss that has settled to many digits may still move by this


class Guard:
    """Looks at each step's loss and gradient norm before the optimiser does.

    A spike is a loss more than ``threshold`` standard deviations above the median of the last 128 steps that were
    taken; the deviation is estimated from the median absolute one, which a few outliers do not move.

    Args:
        threshold: None: only NaN and infinity are refused.
        max_skipped: so many refused steps in a row are borne.
    """

    def __init__(self, threshold: float | None, max_skipped: int) -> None:
        self.threshold = threshold
        self.max_skipped = max_skipped
        self.skipped = 0
        self.in_a_row = 0
        self._losses: deque[float] = deque(maxlen=_WINDOW)

    def objection(self, loss: float, gradient_norm: float) -> str | None:
        """Why the step must not be taken, in a few words; None if it may be."""
        if not math.isfinite(loss):
            return f"the loss is {loss}"
        if not math.isfinite(gradient_norm):
            return f"the norm of the gradient is {gradient_norm}"
        if self.threshold is not None and len(self._losses) >= _ENOUGH and loss > (limit := self._limit()):
            return f"the loss {loss:.4g} is above {limit:.4g}, far from its median of {self._median():.4g}"
        return None

    def accept(self, loss: float) -> None:
        """The step was taken."""
        self._losses.append(loss)
        self.in_a_row = 0

    def refuse(self, step: int, reason: str, examples: Sequence[int]) -> None:
        """The step was not taken.

        Raises:
            TrainingError: it was one too many in a row.
        """
        self.skipped += 1
        self.in_a_row += 1
        if self.in_a_row > self.max_skipped:
            raise TrainingError(
                f"stopped at step {step}: {reason}, and {self.in_a_row} steps in a row were refused (max_skipped_steps "
                f"{self.max_skipped}); look at examples {named(examples)} of the training data, or lower learning_rate"
            )

    def end(self, steps: int) -> None:
        """The stage has ended after ``steps``, refused ones included.

        Raises:
            TrainingError: not one of them was taken, so nothing was learned.
        """
        if self.skipped >= steps > 0:
            raise TrainingError(
                f"all {steps} steps were refused, so nothing was learned; look for a weight that is no number in the "
                "model that the stage starts from, or lower learning_rate"
            )

    def state(self) -> dict[str, Any]:
        """Plain values to go on from."""
        return {"skipped": self.skipped, "in_a_row": self.in_a_row, "losses": list(self._losses)}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from :meth:`state`."""
        self.skipped, self.in_a_row = state["skipped"], state["in_a_row"]
        self._losses = deque(state["losses"], maxlen=_WINDOW)

    def _median(self) -> float:
        return statistics.median(self._losses)

    def _limit(self) -> float:
        assert self.threshold is not None
        median = self._median()
        spread = 1.4826 * statistics.median(abs(loss - median) for loss in self._losses)  # of a normal distribution
        return median + self.threshold * max(spread, _LEAST_SPREAD)


def named(examples: Sequence[int]) -> str:
    """Examples by number, the first of many."""
    shown = ", ".join(str(index) for index in examples[:20])
    return f"{shown} and {len(examples) - 20} more" if len(examples) > 20 else shown or "(made on the fly)"
