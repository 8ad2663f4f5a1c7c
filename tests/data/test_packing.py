"""Rows: nothing lost, nothing twice, little padding, the same everywhere."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from chatwright.data.packing import SplitPacking, WholePacking, best_fit, shuffled

LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=80).map(lambda values: np.array(values, dtype=np.int64))


def tokens_of(packing: SplitPacking | WholePacking) -> list[tuple[int, int]]:
    """Every (item, position) of an epoch's rows, in order."""
    pieces = [piece for row in range(packing.num_rows) for piece in packing.row(row)]
    return [(piece.item, position) for piece in pieces for position in range(piece.start, piece.end)]


@settings(deadline=None)
@given(lengths=LENGTHS, capacity=st.integers(1, 50), seed=st.integers(0, 2**70), epoch=st.integers(0, 9))
def test_split_rows_are_full_and_hold_every_token_once(
    lengths: NDArray[np.int64], capacity: int, seed: int, epoch: int
) -> None:
    packing = SplitPacking(lengths, capacity, seed=seed, epoch=epoch)
    sizes = sorted(sum(piece.end - piece.start for piece in packing.row(row)) for row in range(packing.num_rows))
    assert all(size == capacity for size in sizes[1:])  # only one row may be shorter
    assert 0 < sizes[0] <= capacity
    assert sorted(tokens_of(packing)) == [(item, at) for item, size in enumerate(lengths) for at in range(size)]


@settings(deadline=None)
@given(lengths=LENGTHS, capacity=st.integers(40, 90), seed=st.integers(0, 9), epoch=st.integers(0, 9))
def test_whole_rows_hold_every_item_once_and_never_too_much(
    lengths: NDArray[np.int64], capacity: int, seed: int, epoch: int
) -> None:
    packing = WholePacking(lengths, capacity, seed=seed, epoch=epoch)
    for row in range(packing.num_rows):
        sizes = [piece.end - piece.start for piece in packing.row(row)]
        assert 0 < sum(sizes) <= capacity
        assert sizes == sorted(sizes, reverse=True)
    assert sorted(tokens_of(packing)) == [(item, at) for item, size in enumerate(lengths) for at in range(size)]
    other = WholePacking(lengths, capacity, seed=seed + 1, epoch=epoch + 1)
    assert other.num_rows == packing.num_rows  # so that an epoch has equally many steps


@settings(deadline=None)
@given(lengths=LENGTHS, capacity=st.integers(40, 90))
def test_best_fit_is_what_placing_one_item_after_the_other_gives(lengths: NDArray[np.int64], capacity: int) -> None:
    rooms: list[int] = []
    for size in sorted(lengths.tolist(), reverse=True):
        fitting = [room for room in rooms if room >= size]
        if fitting:
            rooms.remove(min(fitting))
        rooms.append((min(fitting) if fitting else capacity) - size)
    bins = best_fit(lengths, capacity)
    filled = [int(lengths[bins.items[a:b]].sum()) for a, b in zip(bins.starts, bins.starts[1:], strict=False)]
    assert sorted(capacity - size for size in filled) == sorted(rooms)


def test_dialogues_of_usual_lengths_leave_little_padding() -> None:
    rng = np.random.default_rng(0)
    lengths = np.clip(rng.lognormal(5, 0.8, 50_000), 10, 1024).astype(np.int64)
    packing = WholePacking(lengths, 1024, seed=0, epoch=0)
    assert packing.num_rows * 1024 < 1.01 * lengths.sum()


def test_order_changes_with_seed_and_epoch_and_never_otherwise() -> None:
    # Written down: a run that goes on after an upgrade must see the order that it began with.
    assert shuffled(8, 0, 0, 0).tolist() == [0, 7, 4, 2, 1, 6, 5, 3]
    orders = {tuple(shuffled(50, seed, epoch, 0).tolist()) for seed in range(5) for epoch in range(5)}
    assert len(orders) == 25


def test_order_has_no_trend() -> None:
    order = shuffled(20_000, 7, 3, 0)
    assert abs(np.corrcoef(order, np.arange(20_000))[0, 1]) < 0.03
    assert abs(np.corrcoef(order[:-1], order[1:])[0, 1]) < 0.03
    assert len(set(order.tolist())) == 20_000


@pytest.mark.parametrize("capacity", [1024, 32_768])
def test_a_long_book_is_spread_over_the_epoch(capacity: int) -> None:
    lengths = np.array([400 * capacity, *[capacity] * 400])
    packing = SplitPacking(lengths, capacity, seed=0, epoch=0)
    half = packing.num_rows // 2
    in_first_half = sum(piece.item == 0 for row in range(half) for piece in packing.row(row))
    assert 150 < in_first_half < 250
