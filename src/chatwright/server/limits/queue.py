"""Places for answers being written: a person takes a few, a model has so many, and who waits gets a fair turn."""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


class QueueFullError(Exception):
    """Too many wait already."""


@dataclass(eq=False, slots=True)
class _Waiting:
    owner: str
    slots: Mapping[str, int]
    turn: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class FairQueue:
    """Gives out places; those who wait take turns by owner, however many requests each has waiting.

    When the queue is full, a newcomer who waits for less than somebody else takes the place of that one's newest
    request: nobody can shut others out by filling the queue.

    Args:
        max_waiting: requests that may wait.
    """

    def __init__(self, max_waiting: int) -> None:
        self._max_waiting = max_waiting
        self._taken: Counter[str] = Counter()
        self._queues: dict[str, deque[_Waiting]] = {}  # in the order of whose turn it is

    @property
    def num_waiting(self) -> int:
        """Requests that wait now."""
        return sum(map(len, self._queues.values()))

    def taken(self, slot: str) -> int:
        """Places of a kind that are taken now."""
        return self._taken[slot]

    def has_room(self, owner: str, slots: Mapping[str, int]) -> bool:
        """Whether a request could have its place, or wait for it."""
        return self._fits(slots) or self.num_waiting < self._max_waiting or self._greedier_than(owner) is not None

    @asynccontextmanager
    async def place(self, owner: str, slots: Mapping[str, int]) -> AsyncIterator[None]:
        """Wait for a place, and hold it within the block.

        Args:
            owner: whose turn it takes.
            slots: what it takes one of, and how many of each there are.
        Raises:
            QueueFullError: too many wait, or this request had to make way for somebody who waits for less.
        """
        if self._fits(slots):
            self._taken.update(dict.fromkeys(slots, 1))
        else:
            await self._wait(_Waiting(owner, slots))
        try:
            yield
        finally:
            self._release(slots)

    async def _wait(self, waiting: _Waiting) -> None:
        if self.num_waiting >= self._max_waiting:
            greedy = self._greedier_than(waiting.owner)
            if greedy is None:
                raise QueueFullError
            displaced = self._queues[greedy][-1]
            self._forget(displaced)
            displaced.turn.set_exception(QueueFullError())
        self._queues.setdefault(waiting.owner, deque()).append(waiting)
        try:
            await waiting.turn
        except asyncio.CancelledError:
            if waiting.turn.cancelled():
                self._forget(waiting)
            elif waiting.turn.exception() is None:  # it had just got its place when it was cancelled
                self._release(waiting.slots)
            raise

    def _greedier_than(self, owner: str) -> str | None:
        """Who has most requests waiting, if those are more than this owner would have with one more."""
        own = len(self._queues.get(owner, ())) + 1
        greedy = max(self._queues, key=lambda other: len(self._queues[other]), default=None)
        return greedy if greedy is not None and len(self._queues[greedy]) > own else None

    def _fits(self, slots: Mapping[str, int]) -> bool:
        return all(self._taken[slot] < size for slot, size in slots.items())

    def _release(self, slots: Mapping[str, int]) -> None:
        self._taken.subtract(slots.keys())
        for slot in slots:
            if not self._taken[slot]:
                del self._taken[slot]
        while any(self._grant(owner) for owner in tuple(self._queues)):
            pass

    def _grant(self, owner: str) -> bool:
        """Give the owner's next request that fits its place, and move the owner to the end of the round."""
        waiting = next((one for one in self._queues[owner] if self._fits(one.slots) and not one.turn.done()), None)
        if waiting is None:
            return False
        self._taken.update(dict.fromkeys(waiting.slots, 1))
        self._forget(waiting)
        if owner in self._queues:
            self._queues[owner] = self._queues.pop(owner)
        waiting.turn.set_result(None)
        return True

    def _forget(self, waiting: _Waiting) -> None:
        queue = self._queues[waiting.owner]
        queue.remove(waiting)
        if not queue:
            del self._queues[waiting.owner]
