"""Examples on disk: shards of token ids, memory-mapped, with everything about them in flat arrays beside.

A store is a folder:

    store.json          what is in it: counts, fingerprints of what it was made from, each file's size and SHA-256
    offsets.i64         where each document starts, in tokens over all shards; one more entry for the end
    value-NAME.f32      a number for each example (``label``, ``margin``)
    ids-00000.u16       the tokens of a shard (``.u32`` for a vocabulary beyond 65,536)
    mask-00000.bits     one bit for each token: whether it is learned; no such files where everything is

Integers are little-endian, bits start at the least significant one. A store appears under its name when it is whole.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from chatwright.data.example import Document, Example
from chatwright.errors import StorageError
from chatwright.model.digest import file_sha256

FORMAT = "chatwright-examples-1"
INDEX = "store.json"
ID_TYPES: dict[str, np.dtype[Any]] = {"u16": np.dtype("<u2"), "u32": np.dtype("<u4")}


@dataclass(frozen=True, slots=True)
class Facts:
    """What ``store.json`` says.

    Attributes:
        encoder: fingerprint of the encoder that made the examples; empty where it has none.
        source: fingerprint of the rows; empty where nobody said what they are.
        num_rows: rows that were read to make it.
        num_examples, num_documents, num_tokens, num_learned: what it holds; the last counts learned tokens.
        documents_per_example: 1, or 2 for preference pairs.
        id_type: "u16" or "u32".
        shards: tokens in each shard.
        values: names of the examples' numbers.
        tally: what happened to rows that are not as they were: reason → how many.
        files: name → (size in bytes, SHA-256).
    """

    encoder: str
    source: str
    num_rows: int
    num_examples: int
    num_documents: int
    num_tokens: int
    num_learned: int
    documents_per_example: int
    id_type: str
    shards: tuple[int, ...]
    values: tuple[str, ...]
    tally: Mapping[str, int]
    files: Mapping[str, tuple[int, str]]

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read and check ``store.json``.

        Raises:
            StorageError: there is none, or it is not what :class:`StoreWriter` writes.
        """
        path = folder / INDEX
        try:
            value = json.loads(path.read_text("utf-8"))
        except FileNotFoundError:
            raise StorageError(f"{folder} holds no prepared data; make it with `chatwright data prepare`") from None
        except (OSError, ValueError) as error:
            raise StorageError(f"{path} cannot be read ({error}); delete {folder} and prepare the data again") from None
        if not isinstance(value, dict) or value.pop("format", None) != FORMAT:
            raise StorageError(f"{folder} was written by another version; delete it and prepare the data again")
        try:
            files = {str(name): (int(size), str(digest)) for name, (size, digest) in value.pop("files").items()}
            facts = cls(files=files, shards=tuple(value.pop("shards")), values=tuple(value.pop("values")), **value)
            facts._check()
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StorageError(f"{path} is damaged ({error}); delete {folder} and prepare the data again") from None
        return facts

    def to_json(self) -> dict[str, Any]:
        """The content of ``store.json``."""
        return {"format": FORMAT} | {name: getattr(self, name) for name in self.__slots__}

    def expected_sizes(self) -> dict[str, int]:
        """Each file's name and size in bytes, by the counts."""
        sizes = {"offsets.i64": 8 * (self.num_documents + 1)}
        sizes |= {f"value-{name}.f32": 4 * self.num_examples for name in self.values}
        masked = mask_name(0) in self.files
        for number, tokens in enumerate(self.shards):
            sizes[ids_name(number, self.id_type)] = ID_TYPES[self.id_type].itemsize * tokens
            if masked:
                sizes[mask_name(number)] = -(-tokens // 8)
        return sizes

    def _check(self) -> None:
        sizes = {name: size for name, (size, _) in self.files.items()}
        if sizes != self.expected_sizes() or sum(self.shards) != self.num_tokens:
            raise ValueError("its counts contradict each other")
        if self.documents_per_example < 1 or self.num_documents != self.num_examples * self.documents_per_example:
            raise ValueError("its documents do not belong to its examples")
        if not all(name.isidentifier() for name in self.values):
            raise ValueError("the name of a value is none")


class ExampleStore:
    """Examples on disk, in the order in which they were written. Open one with :meth:`open`.

    Attributes:
        folder: where it is.
        facts: counts, and where it comes from.
        offsets: where each document starts, int64 [documents + 1], memory-mapped.
    """

    def __init__(self, folder: Path, facts: Facts) -> None:
        self.folder = folder
        self.facts = facts
        self.offsets = self._map("offsets.i64", "<i8")
        self._shard_starts = np.concatenate([[0], np.cumsum(facts.shards)])
        self._ids = [self._map(ids_name(n, facts.id_type), ID_TYPES[facts.id_type]) for n in range(len(facts.shards))]
        masked = mask_name(0) in facts.files
        self._masks = [self._map(mask_name(n), "<u1") for n in range(len(facts.shards))] if masked else None
        self._values = {name: self._map(f"value-{name}.f32", "<f4") for name in facts.values}
        if self.offsets[0] != 0 or self.offsets[-1] != facts.num_tokens or bool((np.diff(self.offsets) < 1).any()):
            raise StorageError(f"{folder}/offsets.i64 is damaged; delete {folder} and prepare the data again")

    @classmethod
    def open(cls, folder: str | Path, *, verify: bool = True) -> Self:
        """Open a store.

        Args:
            folder: written by :class:`StoreWriter`.
            verify: read every file once and compare its SHA-256, which is remembered until the file changes. Sizes
                and the index are checked in any case.

        Raises:
            StorageError: it is no store, incomplete or damaged.
        """
        root = Path(folder)
        facts = Facts.read(root)
        for name, (size, digest) in facts.files.items():
            path = root / name
            actual = path.stat().st_size if path.is_file() else -1
            if actual != size:
                state = "is missing" if actual < 0 else f"has {actual:,} bytes instead of {size:,}"
                raise StorageError(f"{path} {state}; delete {root} and prepare the data again")
            if verify and file_sha256(path) != digest:
                raise StorageError(f"{path} is damaged: its content has changed; delete {root} and prepare it again")
        return cls(root, facts)

    def __len__(self) -> int:
        return self.facts.num_examples

    def __getitem__(self, index: int) -> Example:
        if not 0 <= index < len(self):
            raise IndexError(f"example {index} of {len(self)}")
        count = self.facts.documents_per_example
        documents = tuple(self.document(number) for number in range(index * count, (index + 1) * count))
        return Example(documents, {name: float(values[index]) for name, values in self._values.items()})

    @property
    def digest(self) -> str:
        """SHA-256 of the examples, in hexadecimal digits."""
        return hashlib.sha256(json.dumps(self.facts.files, sort_keys=True).encode()).hexdigest()

    @property
    def num_tokens(self) -> int:
        """Tokens of all documents."""
        return self.facts.num_tokens

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each example, int64 [examples]."""
        return np.diff(self.offsets[:: self.facts.documents_per_example])

    def document(self, number: int, start: int = 0, end: int | None = None) -> Document:
        """A document, or the piece ``[start, end)`` of it.

        Args:
            number: of the document; example ``e`` of pairs has the documents ``2 * e`` and ``2 * e + 1``.
            start, end: in tokens from the document's start; None is its end.
        """
        origin, stop = int(self.offsets[number]), int(self.offsets[number + 1])
        shard = int(np.searchsorted(self._shard_starts, origin, side="right")) - 1
        first = origin + start
        last = stop if end is None else origin + end
        assert origin <= first < last <= stop
        base = int(self._shard_starts[shard])
        tokens = self._ids[shard]
        mask = None if self._masks is None else _bits(self._masks[shard], first - base, min(last + 1, stop) - base)
        following = None
        if last < stop and (mask is None or mask[-1]):
            following = int(tokens[last - base])
        ids = tokens[first - base : last - base].astype(np.int32)
        return Document(ids, None if mask is None else mask[: len(ids)], following)

    def values(self, name: str) -> NDArray[np.float32]:
        """One number for each example, float32 [examples], memory-mapped."""
        return self._values[name]

    def _map(self, name: str, dtype: np.dtype[Any] | str) -> NDArray[Any]:
        path = self.folder / name
        if path.stat().st_size == 0:
            return np.empty(0, dtype=dtype)
        return np.asarray(np.memmap(path, dtype=dtype, mode="r"))  # slices of a plain array are quicker to make


def ids_name(shard: int, id_type: str) -> str:
    """The name of a shard's token file."""
    return f"ids-{shard:05}.{id_type}"


def mask_name(shard: int) -> str:
    """The name of a shard's mask file."""
    return f"mask-{shard:05}.bits"


def _bits(packed: NDArray[np.uint8], start: int, end: int) -> NDArray[np.bool_]:
    first = start // 8
    bits = np.unpackbits(packed[first : -(-end // 8)], bitorder="little")
    return bits[start - 8 * first : end - 8 * first].astype(np.bool_)
