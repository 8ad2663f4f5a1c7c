"""When a stage ends before its last step: evaluation no longer improves, or somebody asks."""

import math
import signal
import threading
from types import FrameType
from typing import Any, Self


class BestSoFar:
    """Keeps account of evaluations.

    Args:
        patience: evaluations in a row without a better loss after which it is enough; None: never.
    """

    def __init__(self, patience: int | None) -> None:
        self.patience = patience
        self.loss: float | None = None
        self.since = 0

    def add(self, loss: float) -> bool:
        """Take in an evaluation; whether it is the best so far."""
        if math.isfinite(loss) and (self.loss is None or loss < self.loss):
            self.loss, self.since = loss, 0
            return True
        self.since += 1
        return False

    @property
    def enough(self) -> bool:
        """Whether to stop."""
        return self.patience is not None and self.since >= self.patience

    def state(self) -> dict[str, Any]:
        """Plain values to go on from."""
        return {"loss": self.loss, "since": self.since}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from :meth:`state`."""
        self.loss, self.since = state["loss"], state["since"]


class StopRequest:
    """Within the ``with`` block SIGINT and SIGTERM only leave a note; a second one interrupts as usual.

    Attributes:
        name: of the signal that came; None while none did.
    """

    _SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.name: str | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # Python allows handlers nowhere else
            self._before = {number: signal.signal(number, self._note) for number in self._SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.name = signal.Signals(number).name
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
