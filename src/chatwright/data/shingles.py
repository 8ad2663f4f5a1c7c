"""Passages of text as numbers, for finding the same passage again in either language.

A passage is a window of so many bytes of the bare text: lower case, letters and digits only. Bytes are fair to both
languages: 24 are eight Chinese characters or about five English words.
"""

import re

import numpy as np
from numpy.typing import NDArray

_NO_LETTERS = re.compile(r"[\W_]+")
_MULTIPLIERS = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9)  # odd, bits well mixed
_WORD = 8


def bare(text: str) -> bytes:
    """Letters and digits of a text in lower case, as UTF-8."""
    return _NO_LETTERS.sub("", text.lower()).encode()


def window_hashes(data: bytes, width: int) -> NDArray[np.uint64]:
    """A hash of every window of ``width`` bytes, uint64 [len(data) - width + 1]; empty where none fits.

    Args:
        data: bytes, as :func:`bare` gives them.
        width: length of a window, a multiple of 8.
    """
    count = len(data) - width + 1
    if count <= 0:
        return np.empty(0, np.uint64)
    words: NDArray[np.uint64] = np.ndarray((len(data) - _WORD + 1,), np.dtype("<u8"), data, strides=(1,))
    hashes = np.zeros(count, np.uint64)
    for index, start in enumerate(range(0, width, _WORD)):
        hashes ^= words[start : start + count]
        hashes *= np.uint64(_MULTIPLIERS[index % len(_MULTIPLIERS)])
        hashes ^= hashes >> np.uint64(29)
    return hashes
