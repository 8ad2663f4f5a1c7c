"""Examples on disk: what goes in comes out, whole or not at all, and damage is named."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatwright.data import store_writer
from chatwright.data.example import Document, Example
from chatwright.data.store import ExampleStore
from chatwright.data.store_writer import StoreWriter
from chatwright.errors import StorageError


def example(*lengths: int, masked: bool = True, first: int = 0, **values: float) -> Example:
    """Documents of counted ids, every third token not learned."""
    documents = []
    for length in lengths:
        ids = np.arange(first, first + length, dtype=np.int32)
        documents.append(Document(ids, ids % 3 > 0 if masked else None))
        first += length
    return Example(tuple(documents), values)


def write(folder: Path, examples: list[Example], shard_tokens: int = 2**28, vocab_size: int = 60_000) -> ExampleStore:
    with StoreWriter(folder, vocab_size=vocab_size, shard_tokens=shard_tokens) as writer:
        for one in examples:
            writer.append([one])
        return writer.finish()


def assert_equal(left: Example, right: Example) -> None:
    assert len(left.documents) == len(right.documents)
    for a, b in zip(left.documents, right.documents, strict=True):
        assert a.ids.tolist() == b.ids.tolist()
        ones = np.ones(len(a), dtype=np.bool_)
        assert (ones if a.mask is None else a.mask).tolist() == (ones if b.mask is None else b.mask).tolist()
    assert left.values == pytest.approx(dict(right.values))


@settings(deadline=None, max_examples=40)
@given(
    lengths=st.lists(st.tuples(st.integers(1, 30), st.integers(1, 30)), min_size=1, max_size=12),
    masked=st.booleans(),
    shard_tokens=st.integers(1, 100),
    vocab_size=st.sampled_from([60_000, 65_536, 65_537]),
)
def test_examples_come_back_as_they_were(
    tmp_path_factory: pytest.TempPathFactory,
    lengths: list[tuple[int, int]],
    masked: bool,
    shard_tokens: int,
    vocab_size: int,
) -> None:
    written = [example(*pair, masked=masked, first=i, margin=i / 2) for i, pair in enumerate(lengths)]
    store = write(tmp_path_factory.mktemp("stores") / "s", written, shard_tokens, vocab_size)
    again = ExampleStore.open(store.folder)
    assert len(again) == len(written)
    for index, one in enumerate(written):
        assert_equal(again[index], one)
    assert again.lengths.tolist() == [sum(pair) for pair in lengths]
    assert again.num_tokens == sum(map(len, written))
    assert again.values("margin").tolist() == [i / 2 for i in range(len(written))]
    learned = sum(len(d) if d.mask is None else int(d.mask.sum()) for one in written for d in one.documents)
    assert again.facts.num_learned == learned


def test_a_piece_knows_what_follows_it(tmp_path: Path) -> None:
    store = write(tmp_path / "s", [example(10, masked=False, first=100), example(4, masked=False)])
    piece = store.document(0, 2, 5)
    assert (piece.ids.tolist(), piece.following) == ([102, 103, 104], 105)
    assert store.document(0, 5).following is None
    assert store.document(0).following is None


def test_a_token_that_is_not_learned_does_not_follow(tmp_path: Path) -> None:
    store = write(tmp_path / "s", [example(10)])  # 0, 3, 6 and 9 are not learned
    assert store.document(0, 0, 3).following is None
    assert store.document(0, 0, 4).following == 4


def test_a_mask_costs_nothing_where_everything_is_learned(tmp_path: Path) -> None:
    store = write(tmp_path / "s", [example(10, masked=False)])
    assert not list(store.folder.glob("mask-*"))
    assert store[0].documents[0].mask is None


def test_an_index_beyond_the_end_is_an_index_error(tmp_path: Path) -> None:
    store = write(tmp_path / "s", [example(10)])
    with pytest.raises(IndexError):
        store[1]
    assert len(list(iter_examples(store))) == 1


def iter_examples(store: ExampleStore) -> Iterator[Example]:
    return (store[index] for index in range(len(store)))


@pytest.mark.parametrize("name", ["ids-00000.u16", "mask-00000.bits", "offsets.i64", "value-label.f32"])
@pytest.mark.parametrize("damage", ["flip", "cut", "longer", "remove"])
def test_damage_is_named(tmp_path: Path, name: str, damage: str) -> None:
    store = write(tmp_path / "s", [example(300, label=1.0), example(20, label=0.0)])
    path = store.folder / name
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[len(data) // 2] ^= 4
        path.write_bytes(data)
    elif damage == "cut":
        path.write_bytes(data[:-1])
    elif damage == "longer":
        path.write_bytes(data + b"\0")
    else:
        path.unlink()
    with pytest.raises(StorageError, match=f"{name}.*prepare"):
        ExampleStore.open(store.folder)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("num_tokens", 5),
        ("num_tokens", "x"),
        ("num_documents", 7),
        ("documents_per_example", 0),
        ("id_type", "f8"),
        ("shards", [1, 2]),
        ("shards", None),
        ("values", ["../x"]),
        ("files", {}),
        ("files", []),
        ("surplus", 1),
    ],
)
def test_a_contradicting_index_is_refused(tmp_path: Path, key: str, value: object) -> None:
    store = write(tmp_path / "s", [example(30)])
    path = store.folder / "store.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(StorageError, match="prepare"):
        ExampleStore.open(store.folder)


def test_what_is_no_store_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="holds no prepared data"):
        ExampleStore.open(tmp_path)
    (tmp_path / "store.json").write_text("[]")
    with pytest.raises(StorageError, match="another version"):
        ExampleStore.open(tmp_path)
    (tmp_path / "store.json").write_text("{")
    with pytest.raises(StorageError, match="cannot be read"):
        ExampleStore.open(tmp_path)


def test_a_store_that_is_not_finished_leaves_nothing(tmp_path: Path) -> None:
    before = write(tmp_path / "s", [example(5)])

    def examples() -> Iterator[Example]:
        yield example(50)
        raise KeyboardInterrupt

    with StoreWriter(tmp_path / "s") as writer:
        writer.append([example(50)])
        with pytest.raises(KeyboardInterrupt):
            writer.append(examples())
    assert os.listdir(tmp_path) == ["s"]
    assert_equal(ExampleStore.open(before.folder)[0], example(5))


def test_a_new_store_replaces_the_old_one_and_readers_keep_theirs(tmp_path: Path) -> None:
    old = write(tmp_path / "s", [example(5)])
    new = write(tmp_path / "s", [example(7, first=50)])
    assert_equal(old[0], example(5))
    assert_equal(new[0], example(7, first=50))
    assert os.listdir(tmp_path) == ["s"]


def test_other_peoples_folders_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("my only copy")
    with pytest.raises(StorageError, match="another folder"):
        StoreWriter(tmp_path)
    assert (tmp_path / "thesis.txt").exists()


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store_writer.os, "fsync", no_space)
    with pytest.raises(StorageError, match=r"cannot be written to .*No space left"):
        write(tmp_path / "s", [example(5)])
    assert os.listdir(tmp_path) == []
