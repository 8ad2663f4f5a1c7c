"""Rows that came before, equal or nearly so. Memory stays bounded: what was seen is kept in a temporary file."""

import hashlib
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Literal

import numpy as np
import rensa
from numpy.typing import NDArray

from chatwright.data.row_texts import learned_texts, texts_of
from chatwright.data.rows import Labelled, Rated, Row
from chatwright.data.shingles import bare, window_hashes
from chatwright.errors import StorageError

IsDuplicate = Callable[[Row], bool]

_CACHE_KIB = 64 << 10  # of the temporary file, in memory
_DIGEST_BYTES = 8

_SHINGLE_BYTES = 24
_HASHES = 128
_BANDS = 16
_PER_BAND = _HASHES // _BANDS
_SEED = 42
_SIMILAR = 0.8  # estimated Jaccard similarity of what two near-duplicates say, and of what they answer
_CHANCE = 1 / 256  # two different hashes have the same last byte


@contextmanager
def duplicates(method: Literal["exact", "minhash"]) -> Iterator[IsDuplicate]:
    """A function that says of a row whether an equal one (``minhash``: or a nearly equal one) was given to it before.

    Near-duplicates are found by MinHash over passages of 24 bytes (Broder 1997) in 16 bands, and confirmed by the
    estimated similarity. Where a row has a question and an answer, both must be alike: two questions about the same
    long text are no duplicates, and neither are two that get the same refusal.

    Raises:
        StorageError: the temporary file cannot be written.
    """
    with closing(sqlite3.connect("", isolation_level=None, check_same_thread=False)) as database:
        try:
            for pragma in ("journal_mode = OFF", "synchronous = OFF", f"cache_size = -{_CACHE_KIB}"):
                database.execute(f"PRAGMA {pragma}")
            exact = _Exact(database)
            near = _Near(database) if method == "minhash" else None
            database.execute("BEGIN")  # a transaction for each row would take a hundred times as long
            yield exact if near is None else lambda row: exact(row) or near(row)
        except sqlite3.Error as error:
            raise StorageError(f"cannot keep track of duplicates in a temporary file: {error}") from error


class _Exact:
    """By a digest of everything that a row says."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        database.execute("CREATE TABLE rows (digest INTEGER PRIMARY KEY)")

    def __call__(self, row: Row) -> bool:
        text = "\0".join((type(row).__name__, _label(row), *texts_of(row)))
        digest = hashlib.blake2b(text.encode(), digest_size=_DIGEST_BYTES).digest()
        cursor = self._database.execute(
            "INSERT OR IGNORE INTO rows VALUES (?)", (int.from_bytes(digest, "little", signed=True),)
        )
        return cursor.rowcount == 0


class _Near:
    """By MinHash signatures of what a row answers and of what it answers to."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._count = 0
        database.execute("CREATE TABLE signatures (row INTEGER PRIMARY KEY, context BLOB, answer BLOB)")
        database.execute("CREATE TABLE bands (key INTEGER PRIMARY KEY, row INTEGER)")

    def __call__(self, row: Row) -> bool:
        texts, learned = list(texts_of(row)), list(learned_texts(row))
        context = [text for text in texts if text not in learned] if learned else []
        signatures = [_signature(bare("\0".join(part))) for part in (context, learned or texts) if part]
        if not signatures:
            return False
        keys = _band_keys(signatures, _label(row))
        if self._is_known(keys, signatures):
            return True
        self._count += 1
        stored = [_last_bytes(signature) for signature in signatures]
        self._database.execute(
            "INSERT INTO signatures VALUES (?, ?, ?)", (self._count, stored[0] if len(stored) > 1 else None, stored[-1])
        )
        self._database.executemany("INSERT OR IGNORE INTO bands VALUES (?, ?)", [(key, self._count) for key in keys])
        return False

    def _is_known(self, keys: list[int], signatures: list[NDArray[np.uint64]]) -> bool:
        marks = ", ".join("?" * len(keys))
        found = self._database.execute(
            f"SELECT context, answer FROM signatures WHERE row IN (SELECT row FROM bands WHERE key IN ({marks}))", keys
        )
        mine = [_last_bytes(signature) for signature in signatures]
        for stored in found:
            theirs = [part for part in stored if part is not None]
            if len(theirs) == len(mine) and all(map(_are_similar, mine, theirs)):
                return True
        return False


def _label(row: Row) -> str:
    """What tells rows apart whose texts are equal."""
    return str(row.label) if isinstance(row, Rated | Labelled) else ""


def _signature(data: bytes) -> NDArray[np.uint64]:
    """MinHash signature, uint64 [128]. A text too short for one passage is a passage of its own."""
    hashes = window_hashes(data, _SHINGLE_BYTES)
    if not len(hashes):
        digest = hashlib.blake2b(data, digest_size=_DIGEST_BYTES).digest()
        hashes = np.frombuffer(digest, np.uint64)
    offsets = np.array([0, len(hashes)], np.uint64)
    matrix = rensa.RMinHash.digest_matrix_from_flat_token_hashes(hashes, offsets, _HASHES, _SEED)
    return np.array(matrix.to_rows()[0], np.uint64)


def _band_keys(signatures: list[NDArray[np.uint64]], label: str) -> list[int]:
    """A number for each band, equal only (but for chance) where all signatures are equal in that band."""
    rows = _PER_BAND // len(signatures)
    parts = [signature.reshape(_BANDS, _PER_BAND)[:, :rows] for signature in signatures]
    data = np.concatenate(parts, axis=1)
    salt = label.encode()[:16]
    return [
        int.from_bytes(
            hashlib.blake2b(data[band].tobytes(), digest_size=8, salt=salt, person=bytes([band])).digest(),
            "little",
            signed=True,
        )
        for band in range(_BANDS)
    ]


def _last_bytes(signature: NDArray[np.uint64]) -> bytes:
    """One byte of each hash: enough to estimate similarity by (b-bit MinHash, Li and König 2010, arXiv 0910.3349)."""
    return signature.astype(np.uint8).tobytes()


def _are_similar(one: bytes, other: bytes) -> bool:
    equal = np.mean(np.frombuffer(one, np.uint8) == np.frombuffer(other, np.uint8))
    return bool((equal - _CHANCE) / (1 - _CHANCE) >= _SIMILAR)
