"""A held-out part by content, so that the same document is always on the same side."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from chatwright.data.row_texts import texts_of
from chatwright.data.rows import Preference, Rated, Row
from chatwright.errors import InvalidParameterError

_SCALE = 1 << 64


def split_rows(rows: Iterable[Row], fraction: float, seed: int) -> tuple["Part", "Part"]:
    """Two views of the same rows: what is learned from, and about ``fraction`` of it that is held out.

    Which side a row is on depends on its own content and the seed alone: not on its position, nor on what else there
    is, so data can be added, shuffled or read in pieces. Answers to the same prompt, good and bad, stay together.

    Args:
        rows: an iterable that can be iterated over more than once; each view does so by itself.
        fraction: of the rows to hold out, from 0 up to, not including, 1.
        seed: of the choice.

    Raises:
        InvalidParameterError: the fraction is out of bounds, or ``rows`` can be read only once.
    """
    if not 0 <= fraction < 1:
        raise InvalidParameterError("validation_fraction", f"validation_fraction is {fraction}; it must be in [0, 1)")
    if iter(rows) is rows:
        raise InvalidParameterError("rows", "rows can be read only once; give a list, or what opens them anew")
    return Part(rows, fraction, seed, is_held_out=False), Part(rows, fraction, seed, is_held_out=True)


def is_held_out(row: Row, fraction: float, seed: int) -> bool:
    """Whether a row belongs to the held-out part."""
    return fraction > 0 and _position(row, seed) < fraction * _SCALE


@dataclass(frozen=True, slots=True)
class Part:
    """One side of a split: an iterable of rows."""

    rows: Iterable[Row]
    fraction: float
    seed: int
    is_held_out: bool

    def __iter__(self) -> Iterator[Row]:
        return (row for row in self.rows if is_held_out(row, self.fraction, self.seed) is self.is_held_out)


def _position(row: Row, seed: int) -> int:
    """A row's place in [0, 2⁶⁴): a keyed hash of its texts."""
    if isinstance(row, Preference | Rated) and row.prompt:
        texts = [message.content or "" for message in row.prompt]
    else:
        texts = list(texts_of(row))
    key = seed.to_bytes(8, "little", signed=True)
    return int.from_bytes(hashlib.blake2b("\0".join(texts).encode(), digest_size=8, key=key).digest(), "little")
