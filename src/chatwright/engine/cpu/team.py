"""A team of threads that run one compiled function together, each with its own number."""

import queue
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

from chatwright.engine.cpu.jit import JIT
from chatwright.engine.cpu.scalars import atomic_add, atomic_load, relax, yield_thread

# Slots of ``sync``, on cache lines of their own: arrivals at barriers; functions begun.
ARRIVALS, JOBS = 0, 8
# Spins of some 50 ns. At a barrier the others are microseconds away, or have lost their processor to another program:
# yielding soon gave 79 instead of 56 tokens a second beside one busy process. A next job may take the engine longer.
_BARRIER_PATIENCE, _JOB_PATIENCE = 500, 5_000


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
def announce(sync: Any, thread: int) -> None:
    """Tell waiting threads of the team that a function has begun; its first thread calls this first of all."""
    if thread == 0:
        atomic_add(sync, JOBS, 1)


@njit(**JIT)
def await_job(sync: Any, seen: int) -> None:
    """Spin until another function has begun, or for a quarter of a millisecond."""
    for _ in range(_JOB_PATIENCE):
        if atomic_load(sync, JOBS) != seen:
            return
        relax()


_Job = tuple[Callable[..., None], int, int, tuple[Any, ...]]  # function, arrivals, jobs begun before, arguments


class Team:
    """Threads for functions that release the GIL and meet at barriers of their own.

    A function run by the team gets ``(thread, threads, arrivals, *args)``: its number, the size of the team, and the
    count of arrivals at barriers so far. It must begin with :func:`announce` and pass the same barriers in every
    thread, one of them at its end, so that the caller knows the others are done when its own share returns.

    Between two functions a thread spins for a moment before it sleeps: the next token follows within a fraction of a
    millisecond, and waking a thread costs 70 µs. Numba's ``prange`` is not used: its pools start a region in 5–10 µs,
    and a token needs three hundred of them.

    Args:
        threads: size of the team, the calling thread included.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.sync = np.zeros(64, np.int64)
        self._compiled: set[Callable[..., None]] = set()
        self._failure: BaseException | None = None
        self._inboxes: list[queue.SimpleQueue[_Job | None]] = [queue.SimpleQueue() for _ in range(threads - 1)]
        self._members = [
            threading.Thread(target=self._work, args=(i + 1, inbox), name=f"chatwright-cpu-{i + 1}", daemon=True)
            for i, inbox in enumerate(self._inboxes)
        ]
        for member in self._members:
            member.start()

    def run(self, function: Callable[..., None], *args: Any) -> None:
        """Run ``function`` in every thread of the team and return when all are done.

        A function's first run is the caller's alone: two threads that meet an uncompiled function would each compile
        it, and machine code that was optimised twice may round differently in its last digit.
        """
        if self._failure is not None:
            raise RuntimeError("a thread of the CPU team failed earlier") from self._failure
        arrivals, begun = int(self.sync[ARRIVALS]), int(self.sync[JOBS])
        if function not in self._compiled:
            function(0, 1, arrivals, *args)
            self._compiled.add(function)
            return
        for inbox in self._inboxes:
            inbox.put((function, arrivals, begun, args))
        function(0, self.threads, arrivals, *args)

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
            function, arrivals, begun, args = job
            del job
            try:
                function(number, self.threads, arrivals, *args)
            except BaseException as error:  # the caller meets the same error in its own share: compiled code has none
                self._failure = error
            del function, args  # a waiting thread must not keep the last batch alive
            await_job(self.sync, begun + 1)
