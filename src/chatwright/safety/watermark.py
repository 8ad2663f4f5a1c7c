"""A mark in sampled text that nobody sees and whoever holds the key can count.

Before each token the vocabulary is divided into a green and a red list by a keyed hash of the token before it; green
tokens are made a little likelier. Text that was not written with the key has as many green tokens as chance gives.

Where the model is nearly sure (code, quotations, short answers) the mark hardly changes what is chosen, and so hardly
shows. Paraphrasing removes it. A small p-value speaks for the mark; a large one is no proof of anything.

Source: Kirchenbauer et al. 2023, "A Watermark for Large Language Models", arXiv 2301.10226: the soft red list
(algorithm 2) and its test (equation 3), here with the exact binomial tail in place of its normal approximation.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

GAMMA: Final = 0.25  # of the vocabulary is green: the authors' best for short texts
DELTA: Final = 2.0  # is added to green logits: strong enough for 200 tokens, weak enough to cost little quality

_MULTIPLIERS: Final = (np.uint32(0x7FEB352D), np.uint32(0x846CA68B))
_GOLDEN: Final = np.uint32(0x9E3779B1)


@dataclass(frozen=True, slots=True)
class WatermarkScore:
    """How much a text looks marked.

    Attributes:
        tokens: pairs of neighbouring tokens that were looked at; a pair that comes again is not counted twice, since
            it gives the same answer each time and would make any repetitive text look marked, or the opposite.
        green: how many of them end in a green token.
        z: standard deviations above what chance gives.
        p_value: how likely at least so many green tokens are without the mark.
    """

    tokens: int
    green: int
    z: float
    p_value: float


class Watermark:
    """Marks and finds the mark of one key.

    Args:
        key: secret; whoever has it can find the mark, and remove it.
        gamma: share of the vocabulary that is green, between 0 and 1.
        delta: added to green logits.
    """

    def __init__(self, key: bytes, *, gamma: float = GAMMA, delta: float = DELTA) -> None:
        assert 0 < gamma < 1
        self._key = blake2b(key, digest_size=32, person=b"chatwright-mark").digest()
        self._gamma = gamma
        self._delta = np.float32(delta)
        self._threshold = np.uint32(round(gamma * 2**32))
        self._spread: NDArray[np.uint32] = np.empty(0, np.uint32)  # the vocabulary's half of the hash

    def __call__(self, tokens: list[int], logits_V: NDArray[np.float32]) -> None:
        """Make green tokens likelier, in place: a hook for :meth:`chatwright.engine.Engine.submit`."""
        if tokens:
            logits_V += self._green(tokens[-1], len(logits_V)) * self._delta

    def score(self, tokens: Sequence[int]) -> WatermarkScore:
        """Look for the mark in a text's tokens."""
        pairs = dict.fromkeys(pairwise(tokens))
        green = sum(self._is_green(before, token) for before, token in pairs)
        count = len(pairs)
        if not count:
            return WatermarkScore(0, 0, 0.0, 1.0)
        expected, deviation = count * self._gamma, math.sqrt(count * self._gamma * (1 - self._gamma))
        return WatermarkScore(count, green, (green - expected) / deviation, _tail(count, green, self._gamma))

    def _green(self, before: int, vocab_size: int) -> NDArray[np.bool_]:
        """Which tokens are green after ``before``."""
        if len(self._spread) < vocab_size:
            self._spread = np.arange(vocab_size, dtype=np.uint32) * _GOLDEN
        return _mixed(self._spread[:vocab_size] ^ self._seed(before)) < self._threshold

    def _is_green(self, before: int, token: int) -> bool:
        spread = np.array([token], np.uint32) * _GOLDEN
        return bool((_mixed(spread ^ self._seed(before)) < self._threshold)[0])

    def _seed(self, before: int) -> np.uint32:
        digest = blake2b(before.to_bytes(8, "little"), digest_size=4, key=self._key).digest()
        return np.uint32(int.from_bytes(digest, "little"))


def _mixed(values: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Every bit of the result depends on every bit of a value. Wellons' "lowbias32" (public domain): the few steps
    that take 0.1 ms for a vocabulary of 50,000, where a keyed hash of each token would take 30."""
    values = values ^ (values >> np.uint32(16))
    values = values * _MULTIPLIERS[0]
    values = values ^ (values >> np.uint32(15))
    values = values * _MULTIPLIERS[1]
    return values ^ (values >> np.uint32(16))


def _tail(count: int, least: int, chance: float) -> float:
    """Probability of at least ``least`` successes in ``count`` draws."""
    if least <= 0:
        return 1.0
    k = np.arange(least, count + 1, dtype=np.float64)
    log_factorial = np.array([math.lgamma(value + 1) for value in range(count + 1)])
    log_terms = log_factorial[count] - log_factorial[least:] - log_factorial[: count - least + 1][::-1]
    log_terms += k * math.log(chance) + (count - k) * math.log1p(-chance)
    highest = float(log_terms.max())
    return min(1.0, math.exp(highest) * float(np.exp(log_terms - highest).sum()))
