"""Batches made while the accelerator is busy with those before them."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

from chatwright.train.batch import Batch
from chatwright.train.feed import Feed, RowFeed


class Ahead:
    """Asks a feed for the next step's batches in a thread, as soon as this step's are handed out.

    Only for data on disk: rollouts are made by the weights of their own step, and wait for them.

    Args:
        enabled: False asks only when asked; on a CPU a second thread would take what the training needs.
    """

    def __init__(self, *, enabled: bool) -> None:
        self._pool = ThreadPoolExecutor(1, "batches") if enabled else None
        self._next: tuple[Feed, int, Future[Sequence[Batch]]] | None = None

    def micro_batches(self, feed: Feed, step: int) -> Sequence[Batch]:
        """``feed.micro_batches(step)``."""
        if self._pool is None or not isinstance(feed, RowFeed):
            return feed.micro_batches(step)
        made = self._next
        if made is not None and made[0] is feed and made[1] == step:
            batches = made[2].result()
        else:
            batches = self._pool.submit(feed.micro_batches, step).result()
        self._next = (feed, step + 1, self._pool.submit(feed.micro_batches, step + 1))
        return batches

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
