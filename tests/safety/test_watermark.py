"""The mark is found in what was written with the key, and in nothing else."""

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from chatwright.engine import SamplingParams
from chatwright.safety.watermark import GAMMA, Watermark

if TYPE_CHECKING:
    from chatwright import LoadedModel

KEY = b"a key of sixteen bytes or more"


def sample(loaded: "LoadedModel", watermark: Watermark | None, seed: int) -> tuple[int, ...]:
    params = SamplingParams(seed=seed, max_tokens=200, ignore_eos=True)
    return loaded.engine.submit([5, 6, 7], params, hook=watermark).result()[0].token_ids


def test_marked_text_is_found_and_unmarked_text_and_other_keys_are_not(tiny_loaded: "LoadedModel") -> None:
    watermark = Watermark(KEY)
    marked = [watermark.score(sample(tiny_loaded, watermark, seed)) for seed in range(5)]
    assert all(score.z > 5 and score.p_value < 1e-5 for score in marked)
    plain = [watermark.score(sample(tiny_loaded, None, seed)) for seed in range(5)]
    other = [Watermark(b"another").score(sample(tiny_loaded, watermark, seed)) for seed in range(5)]
    assert all(score.p_value > 1e-4 for score in [*plain, *other])


def test_p_values_of_unmarked_text_are_uniform() -> None:
    generator = np.random.default_rng(0)
    text = [int(token) for token in generator.integers(0, 50_000, 300)]
    values = np.array([Watermark(str(number).encode()).score(text).p_value for number in range(600)])
    for level in (0.01, 0.05, 0.25, 0.5, 0.75):
        spread = math.sqrt(level * (1 - level) / len(values))
        assert abs((values <= level).mean() - level) < 4 * spread + 0.02  # counts are whole: values come in steps


def test_a_repetitive_text_proves_nothing() -> None:
    for number in range(50):
        score = Watermark(str(number).encode()).score([1, 2] * 500)
        assert score.tokens == 2
        assert score.p_value >= GAMMA**2 * 0.99


def test_the_list_and_the_test_of_one_token_agree() -> None:
    watermark = Watermark(KEY, delta=1.0)
    logits = np.zeros(1000, np.float32)
    watermark([3, 17], logits)
    assert abs(logits.mean() - GAMMA) < 0.05
    greens = sum(watermark.score([17, token]).green for token in range(1000))
    assert greens == int(logits.sum())


def test_log_probabilities_do_not_show_the_mark(tiny_loaded: "LoadedModel") -> None:
    params = SamplingParams(temperature=0, max_tokens=1, logprobs=5)
    plain = tiny_loaded.engine.submit([5, 6], params).result()[0]
    marked = tiny_loaded.engine.submit([5, 6], params, hook=Watermark(KEY, delta=50.0)).result()[0]
    assert plain.logprobs is not None
    assert marked.logprobs is not None
    assert plain.logprobs[0].top == marked.logprobs[0].top
    assert Watermark(KEY).score([6, *marked.token_ids]).green == 1


@pytest.mark.parametrize("tokens", [[], [5]])
def test_nothing_to_look_at(tokens: list[int]) -> None:
    assert Watermark(KEY).score(tokens).p_value == 1
