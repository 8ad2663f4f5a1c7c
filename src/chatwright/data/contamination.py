"""Training rows that hold what a model will be examined with."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chatwright.chat import Message
from chatwright.data.row_texts import texts_of
from chatwright.data.rows import Dialogue, Labelled, Preference, Prompt, Rated, Row, Text
from chatwright.data.shingles import bare, window_hashes

WINDOW_BYTES = 48
_MIN_SHORT_BYTES = 12
_BOILERPLATE_ITEMS = 10
_BOILERPLATE_SHARE = 0.01
_MAX_FILTER_BITS = 26
_MIN_FILTER_BITS = 16


class EvaluationTexts:
    """An index of evaluation data that finds its passages in other rows.

    A passage is a window of 48 bytes of letters and digits, that is sixteen Chinese characters or about ten English
    words, near the thirteen of GPT-3 (Brown et al. 2020, arXiv 2005.14165, appendix C). Shorter questions are found
    where a message, or a whole text, says nothing else. What many items have in common is boilerplate and counts for
    nothing.

    Args:
        items: evaluation data: rows, or records of any format, of which every text counts.
    """

    def __init__(self, items: Iterable[Row | Mapping[str, Any]]) -> None:
        hashes: list[NDArray[np.uint64]] = []
        self._short: set[bytes] = set()
        for item in items:
            windows = [np.empty(0, np.uint64)]
            for text in texts_of(item) if isinstance(item, Row) else _strings(item):
                data = bare(text)
                if _MIN_SHORT_BYTES <= len(data) < WINDOW_BYTES:
                    self._short.add(data)
                windows.append(window_hashes(data, WINDOW_BYTES))
            hashes.append(np.unique(np.concatenate(windows)))
        every = np.concatenate([np.empty(0, np.uint64), *hashes])
        distinct, counts = np.unique(every, return_counts=True)
        self._hashes = distinct[counts <= max(_BOILERPLATE_ITEMS, _BOILERPLATE_SHARE * len(hashes))]
        bits = min(_MAX_FILTER_BITS, max(_MIN_FILTER_BITS, int(len(self._hashes) * 16).bit_length()))
        self._shift = np.uint64(64 - bits)
        self._filter = np.zeros(1 << bits, np.bool_)  # most windows are told apart by one look here
        self._filter[self._hashes >> self._shift] = True

    def __contains__(self, row: Row) -> bool:
        """Whether a row shares a passage with the evaluation data."""
        if any(bare(question) in self._short for question in _questions(row)):
            return True
        return any(self._has_passage(bare(text)) for text in texts_of(row))

    def _has_passage(self, data: bytes) -> bool:
        hashes = window_hashes(data, WINDOW_BYTES)
        likely = hashes[self._filter[hashes >> self._shift]]
        places = np.searchsorted(self._hashes, likely)
        return bool((self._hashes.take(places, mode="clip") == likely).any()) if len(likely) else False


def _questions(row: Row) -> Iterator[str]:
    """What is asked in a row, as far as it is short; an answer such as "It cannot be said" examines nothing."""
    match row:
        case Text() | Labelled():
            texts = [row.text]
        case Dialogue() | Prompt():
            texts = _asked(row.messages)
        case Preference() | Rated():
            texts = _asked(row.prompt)
    return (text for text in texts if len(text) <= 2 * WINDOW_BYTES)


def _asked(messages: Iterable[Message]) -> list[str]:
    return [message.content for message in messages if message.role == "user" and message.content]


def _strings(value: Any) -> Iterator[str]:
    """Every text in a record, however deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _strings(item)
