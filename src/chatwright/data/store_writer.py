"""Writes an :class:`~chatwright.data.store.ExampleStore`: all of it, or nothing."""

import glob
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from chatwright.data.columns import Columns
from chatwright.data.example import Example
from chatwright.data.store import ID_TYPES, INDEX, ExampleStore, Facts, ids_name, mask_name
from chatwright.errors import StorageError

SHARD_TOKENS = 2**28  # half a gigabyte of 16-bit ids


class StoreWriter:
    """Appends examples to a new store, in a folder of its own until :meth:`finish`; a context manager.

    Args:
        folder: to be; an older store there is replaced when the new one is whole.
        vocab_size: ids are below it; None if unknown.
        encoder, source: fingerprints of what the examples are made by and from.
        shard_tokens: a shard is closed when it has so many.

    Raises:
        StorageError: the folder cannot be written, or holds something else than a store.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        vocab_size: int | None = None,
        encoder: str = "",
        source: str = "",
        shard_tokens: int = SHARD_TOKENS,
    ) -> None:
        self.folder = Path(folder)
        self._id_type = "u16" if vocab_size is not None and vocab_size <= 2**16 else "u32"
        self._made_from = (encoder, source)
        self._shard_tokens = shard_tokens
        self._documents_per_example = 0
        self._num_examples = 0
        self._num_learned = 0
        self._shards: list[int] = []
        self._offset = 0
        if self.folder.exists() and not (self.folder / INDEX).exists() and any(self.folder.iterdir()):
            raise StorageError(f"{self.folder} holds something else than prepared data; give another folder")
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            self._work = Path(tempfile.mkdtemp(prefix=_prefix(self.folder), dir=self.folder.parent))
        except OSError as error:
            raise _cannot_write(self.folder, error) from error
        self._files: dict[str, _File] = {}
        self._mask: _BitFile | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.discard()

    @property
    def num_examples(self) -> int:
        """Written so far."""
        return self._num_examples

    @property
    def num_tokens(self) -> int:
        """Written so far."""
        return self._offset

    def append(self, examples: Iterable[Example]) -> None:
        """Add examples. Raises StorageError when the disk is full."""
        self.write(Columns.of(list(examples)))

    def write(self, columns: Columns) -> None:
        """Add examples that are laid end to end. Raises StorageError when the disk is full."""
        if not columns.num_examples:
            return
        self._check(columns)
        try:
            self._write(columns)
        except OSError as error:
            raise _cannot_write(self.folder, error) from error

    def finish(self, *, num_rows: int | None = None, tally: Mapping[str, int] | None = None) -> ExampleStore:
        """Make the store appear under its name, and open it.

        Args:
            num_rows: rows that were read; None: as many as examples.
            tally: what happened to rows; see :class:`Facts`.

        Raises:
            StorageError: it cannot be written.
        """
        try:
            self._close_shard()
            if self._num_learned == self._offset:  # every token is learned: bits would say nothing
                for number in range(len(self._shards)):
                    self._files.pop(mask_name(number)).remove()
            files = {name: file.close() for name, file in self._files.items()}
            facts = Facts(
                encoder=self._made_from[0],
                source=self._made_from[1],
                num_rows=self._num_examples if num_rows is None else num_rows,
                num_examples=self._num_examples,
                num_documents=self._num_examples * self._documents_per_example,
                num_tokens=self._offset,
                num_learned=self._num_learned,
                documents_per_example=self._documents_per_example,
                id_type=self._id_type,
                shards=tuple(self._shards),
                values=tuple(name[len("value-") : -len(".f32")] for name in files if name.startswith("value-")),
                tally=dict(tally or {}),
                files=files,
            )
            with (self._work / INDEX).open("w", encoding="utf-8") as index:
                json.dump(facts.to_json(), index, indent=1)
                index.flush()
                os.fsync(index.fileno())
            _replace_folder(self._work, self.folder)
        except OSError as error:
            raise _cannot_write(self.folder, error) from error
        return ExampleStore.open(self.folder, verify=False)

    def discard(self) -> None:
        """Remove what is not finished; nothing after :meth:`finish`."""
        for file in self._files.values():
            file.abandon()
        shutil.rmtree(self._work, ignore_errors=True)

    def _check(self, columns: Columns) -> None:
        per_example = len(columns.lengths) // columns.num_examples
        first = self._num_examples == 0
        if first:
            self._documents_per_example = per_example
        names = {f"value-{name}.f32" for name in columns.values}
        known = {name for name in self._files if name.startswith("value-")}
        assert per_example == self._documents_per_example, "examples of one store have equally many documents"
        assert first or names == known, "examples of one store have the same values"
        assert int(columns.lengths.min()) > 0, "a document without tokens"

    def _write(self, columns: Columns) -> None:
        if not self._shards:
            self._file("offsets.i64").write(np.zeros(1, dtype="<i8"))
            self._open_shard()
        elif self._shards[-1] >= self._shard_tokens:
            self._close_shard()
            self._open_shard()
        size = len(columns.ids)
        learned = np.ones(size, dtype=np.bool_) if columns.learned is None else columns.learned
        assert self._mask is not None
        self._file(ids_name(len(self._shards) - 1, self._id_type)).write(columns.ids.astype(ID_TYPES[self._id_type]))
        self._mask.write(learned)
        self._file("offsets.i64").write(self._offset + np.cumsum(columns.lengths).astype("<i8"))
        for name, values in columns.values.items():
            self._file(f"value-{name}.f32").write(values.astype("<f4"))
        self._offset += size
        self._shards[-1] += size
        self._num_learned += int(np.count_nonzero(learned))
        self._num_examples += columns.num_examples

    def _open_shard(self) -> None:
        self._shards.append(0)
        self._mask = _BitFile(self._file(mask_name(len(self._shards) - 1)))

    def _close_shard(self) -> None:
        if self._mask is not None:
            self._mask.flush()
            self._mask = None

    def _file(self, name: str) -> "_File":
        if name not in self._files:
            self._files[name] = _File(self._work / name)
        return self._files[name]


def remove_partial(folder: Path) -> None:
    """Remove what writers that were killed have left; no other may be at work on the same store."""
    for left in folder.parent.glob(f"{glob.escape(_prefix(folder))}*"):
        shutil.rmtree(left, ignore_errors=True)


def _prefix(folder: Path) -> str:
    return f".{folder.name}.partial-"


class _File:
    """A file that knows its size and SHA-256 as it grows."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stream: BinaryIO = path.open("wb")
        self._digest = hashlib.sha256()
        self._size = 0

    def write(self, array: NDArray[Any]) -> None:
        data = np.ascontiguousarray(array).view(np.uint8).data
        self._stream.write(data)
        self._digest.update(data)
        self._size += len(data)

    def close(self) -> tuple[int, str]:
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._stream.close()
        return self._size, self._digest.hexdigest()

    def remove(self) -> None:
        self._stream.close()
        self._path.unlink()

    def abandon(self) -> None:
        with suppress(OSError):  # what is left in the buffer does not fit the disk, and is not wanted
            self._stream.close()


class _BitFile:
    """Packs booleans into bits; what does not fill a byte waits for the next write."""

    def __init__(self, file: _File) -> None:
        self._file = file
        self._rest = np.empty(0, dtype=np.bool_)

    def write(self, values: NDArray[np.bool_]) -> None:
        values = np.concatenate([self._rest, values])
        whole = len(values) // 8 * 8
        self._file.write(np.packbits(values[:whole], bitorder="little"))
        self._rest = values[whole:]

    def flush(self) -> None:
        self._file.write(np.packbits(self._rest, bitorder="little"))


def _replace_folder(new: Path, folder: Path) -> None:
    """Put ``new`` in the place of ``folder``, which may exist; readers that have it open keep what they have."""
    old = new.with_name(new.name + "-old")
    if folder.exists():
        folder.rename(old)
    new.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
    descriptor = os.open(folder.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _cannot_write(folder: Path, error: OSError) -> StorageError:
    return StorageError(f"the prepared data cannot be written to {folder}: {error.strerror or error}")
