"""What a step learns from: the same whatever the number of processes and the micro-batch, each token once an epoch."""

from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatwright.data.example import Document, Example
from chatwright.data.store import ExampleStore
from chatwright.data.store_writer import StoreWriter
from chatwright.errors import ConfigError, InputError
from chatwright.train.batch import IGNORED, Batch
from chatwright.train.feed import RowFeed
from chatwright.train.packed_feed import PackedFeed

Learned = tuple[int, int]  # (token read, token predicted); ids are unique in these stores


def write(folder: Path, lengths: list[int], *, pairs: bool = False, masked: bool = True) -> ExampleStore:
    """Documents of ids that occur nowhere else; where masked, the first half of each is not learned."""
    documents = []
    first = 1
    for length in lengths:
        ids = np.arange(first, first + length, dtype=np.int32)
        documents.append(Document(ids, np.arange(length) >= length // 2 if masked else None))
        first += length
    per_example = 2 if pairs else 1
    groups = [tuple(documents[i : i + per_example]) for i in range(0, len(documents), per_example)]
    with StoreWriter(folder) as writer:
        writer.append(Example(group, {"label": float(i)}) for i, group in enumerate(groups))
        return writer.finish()


def learned(batches: list[Batch]) -> Counter[Learned]:
    pairs: Counter[Learned] = Counter()
    for batch in batches:
        at = batch.labels_N != IGNORED
        pairs.update(zip(batch.input_ids_N[at].tolist(), batch.labels_N[at].tolist(), strict=True))
    return pairs


def read(batches: list[Batch]) -> Counter[int]:
    return Counter(id_ for batch in batches for id_ in batch.input_ids_N[: batch.num_tokens].tolist())


def epoch_of(feed: PackedFeed, epoch: int = 0) -> list[Batch]:
    steps = range(epoch * feed.steps_per_epoch, (epoch + 1) * feed.steps_per_epoch)
    return [batch for step in steps for batch in feed.micro_batches(step)]


def test_it_is_the_feed_that_the_loop_knows(tmp_path: Path) -> None:
    assert isinstance(feed_of(write(tmp_path / "s", [5])), RowFeed)


def feed_of(store: ExampleStore, **options: int | bool) -> PackedFeed:
    chosen: dict[str, int | bool] = {"max_length": 16, "rows_per_step": 4, "rows_per_micro_batch": 2, "seed": 3}
    return PackedFeed(store, **(chosen | options))  # type: ignore[arg-type]


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lengths=st.lists(st.integers(1, 60), min_size=1, max_size=30),
    max_length=st.integers(1, 40),
    rows_per_step=st.integers(1, 5),
    masked=st.booleans(),
)
def test_an_epoch_of_text_reads_and_learns_every_token_once(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], max_length: int, rows_per_step: int, masked: bool
) -> None:
    store = write(tmp_path_factory.mktemp("s") / "s", lengths, masked=masked)
    feed = feed_of(store, max_length=max_length, rows_per_step=rows_per_step, split_documents=True)
    for epoch in range(2):
        batches = epoch_of(feed, epoch)
        assert read(batches) == Counter(range(1, sum(lengths) + 1))
        expected: Counter[Learned] = Counter()
        start = 1
        for length in lengths:  # every learned token but the document's first, from the one before it
            expected.update((start + i - 1, start + i) for i in range(1, length) if not masked or i >= length // 2)
            start += length
        assert learned(batches) == expected


@settings(deadline=None, max_examples=30)
@given(
    lengths=st.lists(st.integers(1, 8), min_size=2, max_size=40).filter(lambda lengths: len(lengths) % 2 == 0),
    pairs=st.booleans(),
    rows_per_step=st.integers(1, 5),
)
def test_an_epoch_of_whole_examples_holds_each_once(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], pairs: bool, rows_per_step: int
) -> None:
    store = write(tmp_path_factory.mktemp("s") / "s", lengths, pairs=pairs)
    feed = feed_of(store, rows_per_step=rows_per_step)
    for epoch in range(2):
        batches = epoch_of(feed, epoch)
        index = [int(number) for batch in batches for number in batch.index_E]
        assert sorted(index) == list(range(len(store)))
        assert [int(label) for batch in batches for label in batch.values["label"]] == index
        assert read(batches) == Counter(range(1, sum(lengths) + 1))


@pytest.mark.parametrize("split", [True, False])
@pytest.mark.parametrize("micro_batch", [1, 2, 3, 8])
@pytest.mark.parametrize("world_size", [1, 2, 3, 5])
def test_processes_and_micro_batches_only_divide_a_step(
    tmp_path: Path, split: bool, micro_batch: int, world_size: int
) -> None:
    rng = np.random.default_rng(0)
    store = write(tmp_path / "s", rng.integers(1, 17, 90).tolist())
    alone = feed_of(store, rows_per_step=7, rows_per_micro_batch=100, split_documents=split)
    own = [
        feed_of(
            store,
            rows_per_step=7,
            rows_per_micro_batch=micro_batch,
            split_documents=split,
            rank=rank,
            world_size=world_size,
        )
        for rank in range(world_size)
    ]
    for step in range(2 * alone.steps_per_epoch):
        shares = [list(feed.micro_batches(step)) for feed in own]
        assert len({len(share) for share in shares}) == 1  # or a collective operation would wait for ever
        together = [batch for share in shares for batch in share]
        assert learned(together) == learned(list(alone.micro_batches(step)))
        assert read(together) == read(list(alone.micro_batches(step)))


@pytest.mark.parametrize("split", [True, False])
def test_a_step_does_not_depend_on_the_steps_before_it(tmp_path: Path, split: bool) -> None:
    store = write(tmp_path / "s", [9, 3, 14, 7, 7, 2] * 6)
    feed = feed_of(store, split_documents=split)
    steps = 3 * feed.steps_per_epoch
    through = [feed.micro_batches(step) for step in range(steps)]
    for step in range(steps - 1, -1, -1):
        resumed = feed_of(ExampleStore.open(store.folder), split_documents=split)
        resumed.load_state(feed.state())
        for batch, other in zip(through[step], resumed.micro_batches(step), strict=True):
            assert torch.equal(batch.input_ids_N, other.input_ids_N)
            assert torch.equal(batch.labels_N, other.labels_N)
            assert torch.equal(batch.positions_N, other.positions_N)
            assert batch.lengths == other.lengths
            assert torch.equal(batch.index_E, other.index_E)


@pytest.mark.parametrize("split", [True, False])
def test_epochs_and_seeds_differ_in_order(tmp_path: Path, split: bool) -> None:
    store = write(tmp_path / "s", [9, 3, 14, 7, 7, 2] * 6)
    feed = feed_of(store, split_documents=split)
    orders = [[tuple(read([b])) for b in epoch_of(feed, 0)], [tuple(read([b])) for b in epoch_of(feed, 1)]]
    orders.append([tuple(read([b])) for b in epoch_of(feed_of(store, split_documents=split, seed=4))])
    assert orders[0] != orders[1] != orders[2] != orders[0]


def test_steps_share_the_rows_evenly(tmp_path: Path) -> None:
    store = write(tmp_path / "s", [16] * 33, masked=False)
    feed = feed_of(store, rows_per_step=16, rows_per_micro_batch=16, split_documents=True)
    assert feed.steps_per_epoch == 3
    assert [feed.micro_batches(step)[0].num_tokens for step in range(3)] == [11 * 16] * 3  # not 16, 16 and 1


def test_batches_of_text_have_one_size_and_good_ones(tmp_path: Path) -> None:
    store = write(tmp_path / "s", [50, 23, 9, 31], masked=False)
    feed = feed_of(store, rows_per_step=3, rows_per_micro_batch=2, split_documents=True, world_size=2)
    assert {len(batch.input_ids_N) for batch in epoch_of(feed)} == {32}
    assert feed.num_padding == feed.num_rows * 16 - 113
    odd = feed_of(store, max_length=15, split_documents=True)
    assert {len(batch.input_ids_N) for batch in epoch_of(odd)} == {32}


def test_a_process_without_rows_learns_nothing(tmp_path: Path) -> None:
    store = write(tmp_path / "s", [10])
    for split in (True, False):
        (batch,) = feed_of(store, rank=1, world_size=2, split_documents=split).micro_batches(0)
        assert (batch.num_tokens, batch.num_labels, batch.num_examples) == (0, 0, 0)
        assert len(batch.input_ids_N) == 32
        assert batch.values["label"].shape == (0,)


def test_documents_within_a_row_do_not_see_each_other(tmp_path: Path) -> None:
    store = write(tmp_path / "s", [5, 6, 21], masked=False)
    for batch in epoch_of(feed_of(store, split_documents=True)):
        starts = np.cumsum([0, *batch.lengths])
        for start, end in pairwise(starts):
            ids = batch.input_ids_N[start:end]
            assert torch.equal(ids, ids[0] + torch.arange(len(ids)))
            assert batch.positions_N[start:end].tolist() == list(range(len(ids)))


@pytest.mark.parametrize("split", [True, False])
def test_the_batches_of_an_epoch_can_be_gone_through_beforehand(tmp_path: Path, split: bool) -> None:
    store = write(tmp_path / "s", [9, 3, 14, 7, 7, 2] * 6)
    feed = feed_of(store, split_documents=split)
    batches = feed.epoch_batches()
    assert len(batches) == len(epoch_of(feed))
    assert learned(list(batches)) == learned(epoch_of(feed))
    assert torch.equal(batches[-1].input_ids_N, batches[len(batches) - 1].input_ids_N)
    assert len(batches[1:3]) == 2


def test_another_micro_batch_is_the_same_feed(tmp_path: Path) -> None:
    store = write(tmp_path / "s", [9, 3, 14, 7, 7, 2] * 6)
    feed = feed_of(store)
    other = feed.with_micro_batch(1)
    assert (feed.rows_per_micro_batch, other.rows_per_micro_batch) == (2, 1)
    assert len(other.micro_batches(0)) > len(feed.micro_batches(0))
    assert learned(list(other.micro_batches(0))) == learned(list(feed.micro_batches(0)))


def test_what_cannot_be_packed_is_said(tmp_path: Path) -> None:
    store = write(tmp_path / "s", [5, 17])
    with pytest.raises(InputError, match=r"example 1 .* has 17 tokens, but a row holds 16"):
        feed_of(store)
    with pytest.raises(ConfigError, match="at least 1"):
        feed_of(store, rows_per_step=0, split_documents=True)
    with pytest.raises(ConfigError, match="whole"):
        feed_of(write(tmp_path / "p", [5, 5], pairs=True), split_documents=True)
