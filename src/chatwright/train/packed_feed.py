"""Batches from a store: packed rows, shared out over processes and micro-batches.

Which rows a step learns from depends on (seed, epoch, step) alone; processes and micro-batches only divide them.
"""

import copy
from collections.abc import Sequence
from functools import lru_cache
from typing import Self, overload

import torch
from torch import Tensor

from chatwright.data.example import Example
from chatwright.data.packing import Packing, Piece, SplitPacking, WholePacking
from chatwright.data.store import ExampleStore
from chatwright.errors import ConfigError, InputError
from chatwright.train.batch import IGNORED, Batch

_EXAMPLES = "examples"
_MULTIPLE = 32  # matrix products on a CPU like their sizes to be multiples of it


class PackedFeed:
    """A :class:`~chatwright.train.feed.Feed` of the examples of a store.

    Args:
        store: the examples.
        max_length: tokens of a packed row (of pairs: for each of the two).
        rows_per_step: most rows in an optimiser step, over all processes. An epoch's rows are shared out evenly over
            its steps, so that no step is a small remainder.
        rows_per_micro_batch: rows in one forward pass of this process.
        seed: decides the order, together with the epoch.
        rank, world_size: of this process, among how many.
        split_documents: texts are laid end to end and cut at each row's end, where the next row goes on (the batch
            has the same size always); otherwise examples stay whole and are packed by best fit.

    Raises:
        ConfigError: the numbers make no sense.
        InputError: the store is empty, or has an example that no row can hold.
    """

    def __init__(
        self,
        store: ExampleStore,
        *,
        max_length: int,
        rows_per_step: int,
        rows_per_micro_batch: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        split_documents: bool = False,
    ) -> None:
        if min(max_length, rows_per_step, rows_per_micro_batch, world_size) < 1 or not 0 <= rank < world_size:
            raise ConfigError("max_length, rows in a step, rows in a micro-batch and processes must be at least 1")
        if not len(store):
            raise InputError(f"{store.folder} holds no examples; there is nothing to learn from")
        if split_documents and store.facts.documents_per_example != 1:
            raise ConfigError("pairs of documents cannot be split; pack them whole")
        self.store = store
        self.max_length = max_length
        self.rows_per_step = rows_per_step
        self.rows_per_micro_batch = rows_per_micro_batch
        self.split_documents = split_documents
        self._capacity = max_length * store.facts.documents_per_example
        self._seed, self._rank, self._world_size = seed, rank, world_size
        if not split_documents and (longest := int(store.lengths.max())) > self._capacity:
            number = int(store.lengths.argmax())
            raise InputError(
                f"example {number} of {store.folder} has {longest:,} tokens, but a row holds {self._capacity:,}; "
                "prepare the data with this max_length"
            )
        self._epoch = lru_cache(maxsize=2)(self._pack)
        self.num_rows = self._epoch(0).num_rows

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps in one pass over the data."""
        return -(-self.num_rows // self.rows_per_step)

    @property
    def tokens_per_row(self) -> int:
        """Positions of a row."""
        return self._capacity

    @property
    def num_padding(self) -> int:
        """Positions of an epoch's rows that hold no token."""
        return self.num_rows * self._capacity - self.store.num_tokens

    def with_micro_batch(self, rows: int) -> Self:
        """The same feed in micro-batches of so many rows."""
        other = copy.copy(self)
        other.rows_per_micro_batch = rows
        return other

    def micro_batches(self, step: int) -> Sequence[Batch]:
        """This process' share of a step; see :class:`~chatwright.train.feed.Feed`."""
        return [self._batch(step // self.steps_per_epoch, rows) for rows in self._shares(step)]

    def epoch_batches(self) -> Sequence[Batch]:
        """This process' batches of the first epoch, each made when it is asked for."""
        return _EpochBatches(self)

    def state(self) -> dict[str, Tensor]:
        """Which examples they are; for the rest, the step says it all."""
        return {_EXAMPLES: torch.frombuffer(bytearray.fromhex(self.store.digest), dtype=torch.uint8)}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Check that the examples are those of before.

        Raises:
            ConfigError: they are not.
        """
        if _EXAMPLES in state and not torch.equal(state[_EXAMPLES], self.state()[_EXAMPLES]):
            raise ConfigError(
                f"the data in {self.store.folder} is not what the checkpoint was trained on: its files have changed; "
                "put them back to go on, or start a new run with --name or --out"
            )

    def _pack(self, epoch: int) -> Packing:
        pack = SplitPacking if self.split_documents else WholePacking
        return pack(self.store.lengths, self._capacity, seed=self._seed, epoch=epoch)

    def _shares(self, step: int) -> list[range]:
        """The rows of each micro-batch of this process; equally many micro-batches for every process."""
        within, steps = step % self.steps_per_epoch, self.steps_per_epoch
        first, end = within * self.num_rows // steps, (within + 1) * self.num_rows // steps
        own = range(first + self._rank, end, self._world_size)
        most = -(-(end - first) // self._world_size)  # rows of the process that has most
        size = self.rows_per_micro_batch
        return [own[start : start + size] for start in range(0, most, size)]

    def _batch(self, epoch: int, rows: range) -> Batch:
        packing = self._epoch(epoch)
        pieces = [piece for row in rows for piece in packing.row(row)]
        # Text fills its rows, so one size costs nothing, and what is compiled for a size is compiled once.
        size = self.rows_per_micro_batch * self._capacity if self.split_documents else _MULTIPLE
        if not pieces:
            return self._empty(size)
        examples = [self._example(piece) for piece in pieces]
        return Batch.of(examples, index=[piece.item for piece in pieces], pad_to=size, multiple_of=_MULTIPLE)

    def _example(self, piece: Piece) -> Example:
        if self.split_documents:
            values = {name: float(self.store.values(name)[piece.item]) for name in self.store.facts.values}
            return Example((self.store.document(piece.item, piece.start, piece.end),), values)
        return self.store[piece.item]

    def _empty(self, size: int) -> Batch:
        """A batch without an example, for a process that has no row left while another one has."""
        size = -(-size // _MULTIPLE) * _MULTIPLE
        return Batch(
            input_ids_N=torch.zeros(size, dtype=torch.int64),
            labels_N=torch.full((size,), IGNORED),
            positions_N=torch.arange(size),
            lengths=(),
            documents_per_example=self.store.facts.documents_per_example,
            index_E=torch.empty(0, dtype=torch.int64),
            values={name: torch.empty(0) for name in self.store.facts.values},
        )


class _EpochBatches(Sequence[Batch]):
    """This process' batches of the first epoch, made one at a time."""

    def __init__(self, feed: PackedFeed) -> None:
        self._feed = feed
        self._shares = [rows for step in range(feed.steps_per_epoch) for rows in feed._shares(step)]

    def __len__(self) -> int:
        return len(self._shares)

    @overload
    def __getitem__(self, index: int) -> Batch: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Batch]: ...
    def __getitem__(self, index: int | slice) -> Batch | Sequence[Batch]:
        if isinstance(index, slice):
            return [self._feed._batch(0, rows) for rows in self._shares[index]]
        return self._feed._batch(0, self._shares[index])
