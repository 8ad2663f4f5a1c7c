"""Where a stage's batches come from."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from torch import Tensor

from chatwright.train.batch import Batch


class Feed(Protocol):
    """Batches by step.

    What a step learns from is a pure function of the data, the seed and the step's number, whatever the number of
    processes: so the position in the data is one integer, and a run that goes on sees exactly what it would have seen.
    """

    @property
    def steps_per_epoch(self) -> int | None:
        """Optimiser steps in one pass over the data; None where there is no end to it (rollouts)."""
        ...

    def micro_batches(self, step: int) -> Sequence[Batch]:
        """This process' share of optimiser step ``step`` (from 0), on the CPU, in micro-batches.

        Over all processes the same examples come whatever the number of processes and the micro-batch size; every
        process gets equally many micro-batches (an empty one has no labels).
        """
        ...

    def state(self) -> dict[str, Tensor]:
        """What cannot be derived from the step (rollouts in use); empty for data on disk."""
        ...

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Go on from :meth:`state`."""
        ...


@runtime_checkable
class RowFeed(Feed, Protocol):
    """A feed of packed rows from data on disk: any division into micro-batches gives the same steps."""

    @property
    def tokens_per_row(self) -> int:
        """Positions of a row (of pairs of documents: of both)."""
        ...

    @property
    def rows_per_step(self) -> int:
        """Rows in an optimiser step, over all processes."""
        ...

    @property
    def rows_per_micro_batch(self) -> int:
        """Rows in one micro-batch of one process."""
        ...

    def with_micro_batch(self, rows: int) -> "RowFeed":
        """The same data in the same order, divided otherwise."""
        ...

    def epoch_batches(self) -> Sequence[Batch]:
        """Every batch of one epoch, made as it is asked for."""
        ...
