"""A team of threads that run one compiled function together, each with its own number."""

import queue
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

from chatwright.engine.cpu.jit import JIT
from chatwright.engine.cpu.scalars import (
    atomic_add,
    atomic_exchange_if,
    atomic_load,
    atomic_store,
    relax,
    yield_thread,
)

# Slots of ``sync``, on cache lines of their own: arrivals at barriers; how many there were before the present
# function; from PLACES on, where each thread is.
ARRIVALS, BEFORE, PLACES, LINE = 0, 8, 16, 8
_AWAY, _STAYS, _CALLED = 0, 1, 2
# Spins of some 50 ns. At a barrier the others are microseconds away, or have lost their processor to another program:
# yielding soon gave 79 instead of 56 tokens a second beside one busy process. A next job may take the engine longer.
_BARRIER_PATIENCE, _CALL_PATIENCE, _CALL_YIELDS = 500, 5_000, 500


@njit(**JIT)
def barrier(sync: Any, target: int) -> None:
    """Wait until ``target`` arrivals have been counted in all."""
    atomic_add(sync, ARRIVALS, 1)
    spins = 0
    while atomic_load(sync, ARRIVALS) < target:
        relax()
        spins += 1
        if spins > _BARRIER_PATIENCE:
            yield_thread()


@njit(**JIT)
def arrivals_before(sync: Any) -> Any:
    """The count of arrivals at barriers when the present function began."""
    return atomic_load(sync, BEFORE)


@njit(**JIT)
def stay(sync: Any, thread: int) -> None:
    """Promise to call :func:`called_again` in the end; before the first barrier, so that the caller knows of it."""
    if thread > 0:
        atomic_store(sync, PLACES + LINE * thread, _STAYS)


@njit(**JIT)
def called_again(sync: Any, thread: int) -> Any:
    """Wait a moment for the same function with the same arguments; whether it is to be run once more."""
    if thread == 0:
        return False
    place = PLACES + LINE * thread
    spins = 0
    while atomic_load(sync, place) == _STAYS:
        relax()
        spins += 1
        if spins > _CALL_PATIENCE:
            yield_thread()
            if spins > _CALL_PATIENCE + _CALL_YIELDS and atomic_exchange_if(sync, place, _STAYS, _AWAY):
                return False
    return atomic_load(sync, place) == _CALLED


@njit(**JIT)
def _call(sync: Any, thread: int, again: bool) -> Any:
    """Call a thread that stays, or send it away; whether it was called."""
    place = PLACES + LINE * thread
    if again:
        return atomic_exchange_if(sync, place, _STAYS, _CALLED)
    atomic_exchange_if(sync, place, _STAYS, _AWAY)
    return False


_Job = tuple[Callable[..., None], tuple[Any, ...]]


class Team:
    """Threads for functions that release the GIL and meet at barriers of their own.

    A function run by the team gets ``(thread, threads, *args)``: its number and the size of the team. It counts the
    arrivals at barriers from :func:`arrivals_before` on and must pass the same barriers in every thread, one of them
    at its end, so that the caller knows the others are done when its own share returns.

    A function that will be run often with the very same arguments can :func:`stay`: its threads then wait within it
    for the next run, which needs neither a sleeping thread woken (70 µs) nor the interpreter, for which they would
    queue behind everybody else's Python. Numba's ``prange`` is not used: its pools start a region in 5–10 µs, and a
    token needs three hundred of them.

    Args:
        threads: size of the team, the calling thread included.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.sync = np.zeros(PLACES + LINE * threads, np.int64)
        self._compiled: set[Callable[..., None]] = set()
        self._last: _Job | None = None
        self._failure: BaseException | None = None
        self._inboxes: list[queue.SimpleQueue[_Job | None]] = [queue.SimpleQueue() for _ in range(threads - 1)]
        self._members = [
            threading.Thread(target=self._work, args=(i + 1, inbox), name=f"chatwright-cpu-{i + 1}", daemon=True)
            for i, inbox in enumerate(self._inboxes)
        ]
        for member in self._members:
            member.start()

    def run(self, function: Callable[..., None], args: tuple[Any, ...]) -> None:
        """Run ``function`` in every thread of the team and return when all are done.

        A function's first run is the caller's alone: two threads that meet an uncompiled function would each compile
        it, and machine code that was optimised twice may round differently in its last digit.

        Args:
            function: compiled.
            args: what it gets behind its number and the size of the team. Threads that stay are called again if this
                is the tuple of the last run itself: what differs from run to run lies in its arrays.
        """
        if self._failure is not None:
            raise RuntimeError("a thread of the CPU team failed earlier") from self._failure
        self.sync[BEFORE] = self.sync[ARRIVALS]
        if function not in self._compiled:
            function(0, 1, *args)
            self._compiled.add(function)
            return
        again = self._last is not None and self._last[0] is function and self._last[1] is args
        if not again:
            self._last = (function, args)
        for number, inbox in enumerate(self._inboxes, 1):
            if not _call(self.sync, number, again):
                inbox.put((function, args))
        function(0, self.threads, *args)

    def close(self) -> None:
        """End the threads."""
        for inbox in self._inboxes:
            inbox.put(None)
        for member in self._members:
            member.join()
        self._inboxes.clear()
        self._members.clear()

    def _work(self, number: int, inbox: "queue.SimpleQueue[_Job | None]") -> None:
        while (job := inbox.get()) is not None:
            function, args = job
            try:
                function(number, self.threads, *args)
            except BaseException as error:  # the caller meets the same error in its own share: compiled code has none
                self._failure = error
            del job, function, args  # a sleeping thread must not keep the last batch alive
