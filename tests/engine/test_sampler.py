import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatwright.engine.params import SamplingParams
from chatwright.engine.sampler import Sampler, draw, token_logprob
from chatwright.errors import ConstraintError, EngineError


def sampler(prompt: list[int] | None = None, *, seed: int = 0, index: int = 0, **values: object) -> Sampler:
    return Sampler(SamplingParams(**values), index=index, seed=seed, prompt_ids=prompt or [])  # type: ignore[arg-type]


def random_row(size: int = 1000, seed: int = 0, spread: float = 3) -> np.ndarray:
    return (np.random.default_rng(seed).normal(size=size) * spread).astype(np.float32)


def reference(logits: np.ndarray, temperature: float, top_k: int, top_p: float, min_p: float) -> np.ndarray:
    """The distribution by full sorting in double precision: temperature, then top_k, top_p, min_p."""
    probabilities = np.exp((logits - logits.max()).astype(np.float64) / temperature)
    order = np.argsort(-probabilities, kind="stable")
    if top_k:
        probabilities[order[top_k:]] = 0
    probabilities /= probabilities.sum()
    if top_p < 1:
        before = np.cumsum(probabilities[order]) - probabilities[order]
        probabilities[order[before >= top_p]] = 0
    probabilities[probabilities < min_p * probabilities.max()] = 0
    return probabilities / probabilities.sum()


SETTINGS = [
    (1.0, 0, 1.0, 0.0),
    (0.7, 0, 0.901, 0.0),
    (2.0, 0, 0.501, 0.0),
    (1.0, 5, 1.0, 0.0),
    (1.3, 40, 0.801, 0.0),
    (1.0, 0, 1.0, 0.1),
    (0.9, 50, 0.951, 0.05),
    (1.0, 5000, 0.991, 0.0),
]


@pytest.mark.parametrize(("temperature", "top_k", "top_p", "min_p"), SETTINGS)
@pytest.mark.parametrize("spread", [0.0, 0.5, 3.0])
def test_draws_follow_the_distribution(
    temperature: float, top_k: int, top_p: float, min_p: float, spread: float
) -> None:
    """Inverting a fine grid of numbers gives every token its share of the grid, to within a point or two."""
    logits = random_row(300, spread=spread)
    expected = reference(logits, temperature, top_k, top_p, min_p)
    grid = 4000
    counts = np.zeros(300)
    for i in range(grid):
        token = draw(
            logits.copy(),
            float(logits.max()),
            (i + 0.5) / grid,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            min_p=min_p,
        )
        counts[token] += 1
    assert np.abs(counts / grid - expected).max() < 2 / grid
    assert set(np.flatnonzero(counts)) <= set(np.flatnonzero(expected))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.01, 0.999), st.floats(0.01, 5), st.floats(0, 1, exclude_max=True))
def test_dropping_unlikely_tokens_first_never_changes_the_nucleus(
    seed: int, top_p: float, spread: float, uniform: float
) -> None:
    logits = random_row(2000, seed, spread)
    token = draw(logits.copy(), float(logits.max()), uniform, temperature=1, top_k=0, top_p=top_p, min_p=0)
    probability = reference(logits, 1, 0, min(1, top_p + 1e-5), 0)[token]
    assert probability > 0


@pytest.mark.parametrize("uniform", [0.0, 1 - 2**-53])
@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 1000])
def test_the_ends_of_the_number_range_give_tokens_that_are_possible(uniform: float, size: int) -> None:
    logits = random_row(size)
    logits[1 : size // 2] = -np.inf
    logits[size // 2 + 1 :] = -np.inf
    token = draw(logits.copy(), float(logits.max()), uniform, temperature=1, top_k=0, top_p=1, min_p=0)
    assert np.isfinite(logits[token])


@pytest.mark.parametrize("values", [{"temperature": 0}, {"top_k": 1}, {"top_p": 0}, {"min_p": 1.0}, {"top_p": 1e-9}])
def test_settings_that_leave_one_token_take_the_most_likely(values: dict[str, object]) -> None:
    logits = random_row()
    assert sampler(**values).choose(logits.copy(), 3) == int(logits.argmax())


def test_very_unlikely_tokens_do_not_disturb() -> None:
    """At a low temperature most weights are below what float32 holds; forbidden tokens stay impossible."""
    logits = np.linspace(-200, 0, 600).astype(np.float32)
    logits[599] = -np.inf
    for uniform in (0.0, 0.3, 1 - 2**-53):
        token = draw(logits.copy(), float(logits[598]), uniform, temperature=0.1, top_k=0, top_p=1, min_p=0)
        assert 570 < token <= 598
    tied = np.zeros(300, dtype=np.float32)
    drawn = {draw(tied.copy(), 0.0, i / 100, temperature=1, top_k=7, top_p=1, min_p=0) for i in range(100)}
    assert drawn == set(range(7))  # of equal tokens, the first by id stay


def test_a_draw_depends_on_seed_answer_and_position_only() -> None:
    def draws(**values: int) -> list[int]:
        one = sampler(**values)
        return [one.choose(random_row(), position) for position in range(30)]

    assert draws(seed=1) == draws(seed=1)
    assert draws(seed=1) != draws(seed=2)
    assert draws(seed=1) != draws(seed=1, index=1)
    assert sampler(seed=1).choose(random_row(), 29) == draws(seed=1)[29]
    assert draws(seed=-1) != draws(seed=1)


def test_repetition_penalty_counts_prompt_and_answer() -> None:
    one = sampler([0, 1, 0], repetition_penalty=2.0)
    one.count(2)
    logits = np.array([4, -4, 3, 3], dtype=np.float32)
    one.adjust(logits)
    assert logits.tolist() == [2, -8, 1.5, 3]


def test_presence_and_frequency_penalties_count_the_answer_only() -> None:
    one = sampler([3], presence_penalty=0.5, frequency_penalty=0.25)
    for token in (0, 0, 1):
        one.count(token)
    logits = np.zeros(4, dtype=np.float32)
    one.adjust(logits)
    assert logits.tolist() == [-1.0, -0.75, 0, 0]


def test_logit_bias_adds_and_forbids() -> None:
    one = sampler(logit_bias={0: 1.5, 2: -100})
    logits = np.array([0, 1, 50], dtype=np.float32)
    one.adjust(logits)
    assert logits.tolist() == [1.5, 1, -math.inf]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_broken_logits_are_an_error(bad: float) -> None:
    logits = random_row(10)
    logits[4] = bad
    with pytest.raises(EngineError, match="position 7"):
        sampler().choose(logits, 7)


def test_nothing_allowed_is_an_error() -> None:
    with pytest.raises(ConstraintError, match="forbid every token"):
        sampler().choose(np.full(5, -np.inf, dtype=np.float32), 1)


def test_logprobs_are_of_the_log_softmax() -> None:
    logits = random_row(500)
    expected = logits.astype(np.float64) - np.log(np.exp(logits.astype(np.float64)).sum())
    entry = token_logprob(logits, 17, 5)
    assert entry.logprob == pytest.approx(expected[17], abs=1e-5)
    assert [token for token, _ in entry.top] == np.argsort(-logits)[:5].tolist()
    assert [value for _, value in entry.top] == pytest.approx(np.sort(expected)[::-1][:5].tolist(), abs=1e-5)
    assert len(token_logprob(logits[:3], 0, 20).top) == 3
