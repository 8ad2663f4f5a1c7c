"""From a row of logits to one token.

Order of operations, as in transformers: repetition, presence and frequency penalties, logit_bias, hook, constraint,
temperature, top_k, top_p, min_p; then one uniform number picks the token by inversion of the cumulated probabilities.

The number is a pure function of (seed, answer index, position in the sequence), not the next of a stream. So the same
seed gives the same text whatever else is in the batch, after a preemption, and when a cut answer is continued by a new
request.
"""

import secrets
from collections.abc import Callable
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from chatwright.engine.generation import TokenLogprob
from chatwright.engine.params import SamplingParams
from chatwright.errors import ConstraintError, EngineError

Row = NDArray[np.float32]  # the logits of one position, shape [vocab_size]
LogitsHook = Callable[[list[int], Row], None]  # the tokens so far, prompt included, and logits to be changed in place
FORBIDDEN = np.float32(-np.inf)
UNDERFLOW = np.float32(-87)
BLOCK = 256  # width of the partial sums by which a token is found without cumulating the whole vocabulary


class Sampler:
    """Chooses the tokens of one answer.

    Args:
        params: how to choose.
        index: which of the request's answers this is; each draws its own numbers.
        seed: the request's seed, already drawn where the caller gave none.
        prompt_ids: the prompt, which the repetition penalty counts too.
    """

    def __init__(self, params: SamplingParams, *, index: int, seed: int, prompt_ids: list[int]) -> None:
        self._params = params
        self._key = seed.to_bytes(8, "little", signed=True) + index.to_bytes(4, "little")
        self._counts: dict[int, int] = {}  # token → occurrences in the answer
        self._penalise_answer = params.presence_penalty != 0 or params.frequency_penalty != 0
        self._seen: dict[int, None] | None = None  # tokens of prompt and answer, for the repetition penalty
        if params.repetition_penalty != 1:
            self._seen = dict.fromkeys(prompt_ids)
        self._bias_ids = np.fromiter(params.logit_bias.keys(), np.int64, len(params.logit_bias))
        bias = np.fromiter(params.logit_bias.values(), np.float32, len(params.logit_bias))
        self._bias = np.where(bias <= -100, FORBIDDEN, bias)

    def adjust(self, logits_V: Row) -> None:
        """Apply penalties and biases, in place."""
        params = self._params
        if self._seen:
            ids = np.fromiter(self._seen, np.int64, len(self._seen))
            values = logits_V[ids]
            penalty = np.float32(params.repetition_penalty)
            logits_V[ids] = np.where(values > 0, values / penalty, values * penalty)
        if self._penalise_answer and self._counts:
            ids = np.fromiter(self._counts.keys(), np.int64, len(self._counts))
            counts = np.fromiter(self._counts.values(), np.float32, len(self._counts))
            logits_V[ids] -= params.presence_penalty + params.frequency_penalty * counts
        if self._bias_ids.size:
            logits_V[self._bias_ids] += self._bias

    def choose(self, logits_V: Row, position: int) -> int:
        """The token for ``position`` of the sequence. ``logits_V`` may be overwritten.

        Raises:
            ConstraintError: every token is forbidden.
            EngineError: the logits are not finite.
        """
        best = int(logits_V.argmax())  # argmax stops at the first NaN, so this one look finds both troubles
        if np.isneginf(logits_V[best]):
            raise ConstraintError("logit_bias and constraint together forbid every token; loosen one of them")
        if not np.isfinite(logits_V[best]):
            raise EngineError(
                f"the logits for position {position} have no finite maximum ({logits_V[best]}): the model's weights or "
                "the number format are broken"
            )
        params = self._params
        if params.temperature == 0 or params.top_k == 1 or params.top_p == 0:
            return best
        return draw(
            logits_V,
            float(logits_V[best]),
            self._uniform(position),
            temperature=params.temperature,
            top_k=params.top_k,
            top_p=params.top_p,
            min_p=params.min_p,
        )

    def count(self, token: int) -> None:
        """Record a token of the answer, for the penalties."""
        if self._penalise_answer:
            self._counts[token] = self._counts.get(token, 0) + 1
        if self._seen is not None:
            self._seen[token] = None

    def _uniform(self, position: int) -> float:
        """A number in [0, 1) with 53 random bits."""
        digest = blake2b(self._key + position.to_bytes(8, "little"), digest_size=8).digest()
        return (int.from_bytes(digest, "little") >> 11) * 2.0**-53


def fresh_seed() -> int:
    """A seed nobody can guess, for requests that give none."""
    return secrets.randbits(63)


def draw(
    logits_V: Row, maximum: float, uniform: float, *, temperature: float, top_k: int, top_p: float, min_p: float
) -> int:
    """Pick a token by inverting the cumulated probabilities of those that top_k, top_p and min_p leave.

    Args:
        logits_V: overwritten.
        maximum: the largest logit, finite.
        uniform: number in [0, 1).
        temperature: > 0.
        top_k: 0 for no limit.
        top_p, min_p: as in SamplingParams; top_p > 0.
    """
    np.subtract(logits_V, np.float32(maximum), out=logits_V)
    if temperature != 1:
        np.multiply(logits_V, np.float32(1 / temperature), out=logits_V)
    if not 0 < top_k < len(logits_V):
        return _draw_from(logits_V, uniform, top_p=top_p, min_p=min_p)
    ids = _largest(logits_V, top_k)
    return int(ids[_draw_from(logits_V[ids], uniform, top_p=top_p, min_p=min_p)])


def _largest(values: Row, count: int) -> NDArray[np.int64]:
    """Where the ``count`` largest values are, in order of place; of equal ones, the first."""
    lowest = np.partition(values, len(values) - count)[len(values) - count]
    places = np.flatnonzero(values >= lowest)
    if len(places) > count:
        ties = np.flatnonzero(values[places] == lowest)
        places = np.delete(places, ties[count - len(places) :])
    return places


def _draw_from(logits: Row, uniform: float, *, top_p: float, min_p: float) -> int:
    """Pick a place among logits whose largest is 0; they are overwritten."""
    # Weights are probabilities relative to the largest: the softmax without its division, which inversion does not
    # need. What is below e**-87 becomes 0: denormal numbers would make every operation on them several times slower.
    if logits.min() < UNDERFLOW:
        logits[np.flatnonzero(logits < UNDERFLOW)] = FORBIDDEN
    weights = np.exp(logits, out=logits)
    if top_p < 1 or min_p > 0:
        _truncate(weights, top_p=top_p, min_p=min_p)
    return _invert(weights, uniform)


def _truncate(weights_V: Row, *, top_p: float, min_p: float) -> None:
    """Set the weights (relative to the largest, which is 1) of all tokens that may not be drawn to zero.

    Only values are sorted, and few of them, to find the lowest weight that stays; the tokens keep their places.
    """
    if top_p < 1:
        total = float(weights_V.sum(dtype=np.float64))
        target = top_p * total
        # Tokens below (1 - top_p) / V hold less than 1 - top_p together, so the nucleus lies among the others: leaving
        # them out is exact. Halved, so that rounding of the sum cannot matter. Mostly a far higher cut leaves enough
        # already, and next to nothing to sort.
        exact = 0.5 * (total - target) / len(weights_V)
        for cut in (max(exact, 1e-4), exact):
            kept = weights_V[np.flatnonzero(weights_V > np.float32(cut))]  # a boolean index takes 5 × as long
            if kept.sum(dtype=np.float64) >= target:
                break
        kept = np.sort(kept)[::-1]
        cumulated = np.cumsum(kept, dtype=np.float64)
        kept = kept[: int(np.searchsorted(cumulated, target, side="left")) + 1]
        lowest = kept[-1]
        ties = np.flatnonzero(weights_V == lowest)
        weights_V *= weights_V >= lowest
        weights_V[ties[np.count_nonzero(kept == lowest) :]] = 0  # of equal tokens, the first by id stay
    if min_p > 0:
        weights_V *= weights_V >= np.float32(min_p)


def _invert(weights_V: Row, uniform: float) -> int:
    """The token at which the cumulated weights pass ``uniform`` of their sum; block sums first, then one block."""
    whole = len(weights_V) // BLOCK * BLOCK
    sums = weights_V[:whole].reshape(-1, BLOCK).sum(axis=1, dtype=np.float32).astype(np.float64)
    cumulated = np.cumsum(np.append(sums, weights_V[whole:].sum(dtype=np.float64)))
    target = uniform * cumulated[-1]
    block = int(np.searchsorted(cumulated, target, side="right"))
    start = block * BLOCK
    inside = np.cumsum(weights_V[start : start + BLOCK], dtype=np.float64)
    rest = target - (cumulated[block - 1] if block else 0.0)
    token = start + int(np.searchsorted(inside, rest, side="right"))
    # Rounding may leave the target just beyond the block's own sum: take its last possible token.
    last = start + int(np.flatnonzero(weights_V[start : start + BLOCK])[-1])
    return min(token, last)


def log_sum_exp(logits_V: Row) -> float:
    """log of the summed exponentials: a logit minus this is the token's log-probability."""
    maximum = logits_V.max()
    return float(maximum) + float(np.log(np.exp(logits_V - maximum).sum(dtype=np.float64)))


def token_logprob(logits_V: Row, token: int, num_top: int) -> TokenLogprob:
    """Log-probability of ``token`` and of the ``num_top`` most likely ones under unchanged logits."""
    norm = log_sum_exp(logits_V)
    return TokenLogprob(token, float(logits_V[token]) - norm, top_logprobs(logits_V, norm, num_top))


def top_logprobs(logits_V: Row, norm: float, num_top: int) -> tuple[tuple[int, float], ...]:
    """The ``num_top`` most likely tokens with their log-probabilities, best first, lower id first among equals."""
    if num_top == 0:
        return ()
    num_top = min(num_top, len(logits_V))
    kth = np.partition(logits_V, len(logits_V) - num_top)[len(logits_V) - num_top]
    ids = np.flatnonzero(logits_V >= kth)
    best = ids[np.argsort(-logits_V[ids], kind="stable")][:num_top]
    return tuple((int(token), float(logits_V[token]) - norm) for token in best)
