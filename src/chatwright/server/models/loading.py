"""Threads that load models, which nobody has to wait for: gigabytes that are read cannot be stopped, a server can."""

import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import anyio
import anyio.to_thread

from chatwright.server.errors import ApiError

T = TypeVar("T")


class ServerStops(ApiError):
    """No model is loaded any more."""

    def __init__(self) -> None:
        super().__init__(
            503,
            "the server is shutting down; try again in a moment",
            code="server_stopping",
            headers={"Retry-After": "5"},
        )


class LoadingThreads:
    """Runs what takes long, until it is stopped."""

    def __init__(self) -> None:
        self._stopped = False
        self._given_up: list[_Work[Any]] = []

    @property
    def is_busy_in_vain(self) -> bool:
        """Whether something still runs that was given up."""
        return any(work.is_running for work in self._given_up)

    def stop(self) -> None:
        """Begin nothing any more. What runs goes on until whoever waits for it is cancelled."""
        self._stopped = True

    async def run(self, function: Callable[[], T], *, undo: Callable[[T], None] | None = None) -> T:
        """What ``function`` returns. Whoever is cancelled does not wait for it.

        Args:
            function: called in a thread.
            undo: called with what it returns when nobody waits for that any more.

        Raises:
            ServerStops: instead of beginning.
        """
        if self._stopped:
            raise ServerStops
        work = _Work(function, undo)
        try:
            return await anyio.to_thread.run_sync(work.run, abandon_on_cancel=True)
        except anyio.get_cancelled_exc_class():
            work.give_up()
            self._given_up = [*(other for other in self._given_up if other.is_running), work]
            raise


class _Work(Generic[T]):
    """Something that a thread does, and that may be given up meanwhile."""

    def __init__(self, function: Callable[[], T], undo: Callable[[T], None] | None) -> None:
        self.is_running = False
        self._function = function
        self._undo = undo
        self._lock = threading.Lock()
        self._is_unwanted = False
        self._results: list[T] = []

    def run(self) -> T:
        self.is_running = True
        try:
            result = self._function()
            with self._lock:
                self._results.append(result)
                if self._is_unwanted:
                    self._undo_all()
            return result
        finally:
            self.is_running = False

    def give_up(self) -> None:
        """Nobody takes the result, be it there already or not."""
        with self._lock:
            self._is_unwanted = True
            self._undo_all()

    def _undo_all(self) -> None:
        while self._results:
            result = self._results.pop()
            if self._undo is not None:
                self._undo(result)
