"""Rows of tokens from documents of any length: which pieces lie in which row.

Everything here is a pure function of the lengths, the seed and the epoch, so a position in the data is one integer.
Nothing is lost and nothing comes twice within an epoch.
"""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray


class Piece(NamedTuple):
    """Tokens ``[start, end)`` of an item: a document of text, or an example that is packed whole."""

    item: int
    start: int
    end: int


class Packing(Protocol):
    """The rows of an epoch.

    Attributes:
        num_rows: how many there are; the same in every epoch.
    """

    num_rows: int

    def row(self, number: int) -> list[Piece]:
        """What lies in a row, in order."""
        ...


class SplitPacking:
    """Items laid end to end in a shuffled order and cut into rows of equal length; the rows are shuffled again.

    Without the second shuffle the rows of a long book would follow each other, and a step would learn from one book.

    Args:
        lengths: tokens of each item, int64.
        capacity: tokens of a row; only the last one has fewer.
        seed, epoch: decide the order.
    """

    def __init__(self, lengths: NDArray[np.int64], capacity: int, *, seed: int, epoch: int) -> None:
        self._order = shuffled(len(lengths), seed, epoch, 0)
        self._ends = np.cumsum(lengths[self._order])
        self._capacity = capacity
        self.num_rows = -(-int(self._ends[-1]) // capacity)
        self._rows = shuffled(self.num_rows, seed, epoch, 1)

    def row(self, number: int) -> list[Piece]:
        """The pieces between two cuts."""
        position = int(self._rows[number]) * self._capacity
        stop = min(position + self._capacity, int(self._ends[-1]))
        place = int(np.searchsorted(self._ends, position, side="right"))
        pieces = []
        while position < stop:
            origin = int(self._ends[place - 1]) if place else 0
            end = min(int(self._ends[place]), stop)
            pieces.append(Piece(int(self._order[place]), position - origin, end - origin))
            position = end
            place += 1
        return pieces


class WholePacking:
    """Items packed whole, by best fit; which of equally long items lie together, and the rows' order, is shuffled.

    Args:
        lengths: tokens of each item, int64; none above ``capacity``.
        capacity: most tokens of a row.
        seed, epoch: decide the order.
    """

    def __init__(self, lengths: NDArray[np.int64], capacity: int, *, seed: int, epoch: int) -> None:
        order = shuffled(len(lengths), seed, epoch, 0)
        packed = best_fit(lengths[order], capacity)
        self._items = order[packed.items]
        self._starts = packed.starts
        self._lengths = lengths
        self.num_rows = len(packed.starts) - 1
        self._rows = shuffled(self.num_rows, seed, epoch, 1)

    def row(self, number: int) -> list[Piece]:
        """The items of a row, the longest first: attention takes runs of equal length at once."""
        row = int(self._rows[number])
        items = self._items[int(self._starts[row]) : int(self._starts[row + 1])]
        return [Piece(int(item), 0, int(self._lengths[item])) for item in items]


@dataclass(frozen=True, slots=True)
class Bins:
    """Items by bin.

    Attributes:
        items: numbers of the items, those of bin 0 first, int64.
        starts: where each bin starts in ``items``, and the end, int64 [bins + 1].
    """

    items: NDArray[np.int64]
    starts: NDArray[np.int64]


def best_fit(lengths: NDArray[np.int64], capacity: int) -> Bins:
    """Pack items into as few bins as best fit by decreasing length needs (at most 11/9 of the optimum, plus one).

    Items of one length are placed together: the fullest bins that have room take as many as they hold. So the time
    goes with the number of different lengths and of different rooms, and a million dialogues take about a second.

    Args:
        lengths: at least 1, at most ``capacity``; int64 [items]. Items of equal length are placed in this order.
        capacity: of a bin.

    Source:
        Ding et al. 2024, arXiv 2404.10830, section 3.1, for its use in training.
    """
    order = np.argsort(-lengths, kind="stable")
    bin_of = np.empty(len(lengths), dtype=np.int64)
    rooms = _Rooms(capacity)
    sizes, counts = np.unique(lengths, return_counts=True)
    start = 0
    for size, count in zip(sizes[::-1].tolist(), counts[::-1].tolist(), strict=True):
        rooms.place(size, bin_of[start : start + count])
        start += count
    by_bin = np.argsort(bin_of, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(bin_of, minlength=rooms.num_bins))])
    return Bins(order[by_bin], starts)


class _Rooms:
    """The bins by the room that is left in them."""

    def __init__(self, capacity: int) -> None:
        self.num_bins = 0
        self._capacity = capacity
        self._has = np.zeros(capacity + 1, dtype=np.bool_)
        self._bins: dict[int, list[NDArray[np.int64]]] = {}

    def place(self, size: int, bin_of: NDArray[np.int64]) -> None:
        """Fill ``bin_of`` with the bins of items that all have ``size``."""
        placed = 0
        for room in (np.flatnonzero(self._has[size:]) + size).tolist():
            if placed == len(bin_of):
                return
            bins = np.concatenate(self._bins.pop(room))
            self._has[room] = False
            placed += self._fill(bins, room, size, bin_of[placed:])
        rest = len(bin_of) - placed
        new = -(-rest // (self._capacity // size))
        bins = np.arange(self.num_bins, self.num_bins + new)
        self.num_bins += new
        self._fill(bins, self._capacity, size, bin_of[placed:])

    def _fill(self, bins: NDArray[np.int64], room: int, size: int, bin_of: NDArray[np.int64]) -> int:
        """Put items into bins with equal room; returns how many found a place."""
        each = room // size
        placed = min(len(bin_of), each * len(bins))
        full, last = divmod(placed, each)
        used = full + (last > 0)
        bin_of[:placed] = np.repeat(bins[:used], each)[:placed]
        self._keep(bins[:full], room - each * size)
        if last:
            self._keep(bins[full:used], room - last * size)
        self._keep(bins[used:], room)
        return placed

    def _keep(self, bins: NDArray[np.int64], room: int) -> None:
        if len(bins) and room:
            self._bins.setdefault(room, []).append(bins)
            self._has[room] = True


def shuffled(count: int, seed: int, epoch: int, purpose: int) -> NDArray[np.int64]:
    """A permutation of ``range(count)``, int64, the same on every machine and with every version of NumPy.

    Sorts the numbers by a hash of (seed, epoch, purpose, number).
    """
    key = np.uint64(0)
    for part in (seed, epoch, purpose):
        key = _mix(np.array([key ^ np.uint64(part % 2**64)]))[0]
    return np.argsort(_mix(np.arange(count, dtype=np.uint64) + key), kind="stable")


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64, a bijection of 64-bit numbers without visible structure (Steele et al. 2014)."""
    with np.errstate(over="ignore"):
        x = x + np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))
