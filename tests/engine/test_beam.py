from collections.abc import Callable

import numpy as np
import pytest

from chatwright.engine.engine import Engine
from chatwright.engine.fake import FakeRunner
from chatwright.engine.params import SamplingParams
from chatwright.errors import InvalidParameterError

MakeEngine = Callable[..., Engine]
EOS, VOCAB_SIZE = 256, 258  # of the tokenizer in conftest.py
PROMPT = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3, 2, 3, 8, 4]


class Ending(FakeRunner):
    """Likes to end, so that beams finish at different lengths."""

    def logits(self, tokens: object) -> np.ndarray:
        row = super().logits(tokens)  # type: ignore[arg-type]
        row[EOS] += 4
        return row


def log_softmax(row: np.ndarray) -> np.ndarray:
    row = row.astype(np.float64)
    return row - row.max() - np.log(np.exp(row - row.max()).sum())


def naive_beam_search(
    runner: FakeRunner, width: int, steps: int, penalty: float, *, ends: tuple[int, ...] = (EOS,), stop: bytes = b""
) -> list[tuple[float, tuple[int, ...]]]:
    """Every extension of every beam, sorted; answers end by a token, a text, or the last step. No cache, no forks."""

    def ended(answer: list[int]) -> bool:
        return answer[-1] in ends or bool(stop and bytes(token for token in answer if token < 256).endswith(stop))

    beams: list[tuple[float, list[int]]] = [(0.0, [])]
    finished: list[tuple[float, tuple[int, ...]]] = []
    for step in range(1, steps + 1):
        extensions = []
        for score, answer in beams:
            row = log_softmax(runner.logits([*PROMPT, *answer]))
            extensions.extend((score + row[token], [*answer, token]) for token in range(VOCAB_SIZE))
        extensions.sort(key=lambda extension: -extension[0])
        for score, answer in extensions[:width]:
            if ended(answer):
                finished.append((score / step**penalty, tuple(answer)))
        beams = [extension for extension in extensions if not ended(extension[1])][:width]
    finished.extend((score / steps**penalty, tuple(answer)) for score, answer in beams)
    return sorted(finished, reverse=True)


@pytest.mark.parametrize("width", [2, 4])
@pytest.mark.parametrize("penalty", [0.0, 1.0, 2.0, -1.0])
@pytest.mark.parametrize("model", [FakeRunner, Ending])
@pytest.mark.parametrize("num_blocks", [64, 16])
def test_beams_are_those_of_a_naive_search(
    make_engine: MakeEngine, width: int, penalty: float, model: type[FakeRunner], num_blocks: int
) -> None:
    """With 16 blocks beside another request, beams are preempted and computed again."""
    runner = model(VOCAB_SIZE, num_blocks=num_blocks, block_size=8)
    engine = make_engine(runner)
    other = engine.submit([7] * 30, SamplingParams(temperature=0, max_tokens=40, ignore_eos=True))
    params = SamplingParams(beam_width=width, n=2, max_tokens=9, length_penalty=penalty)
    answers = engine.submit(PROMPT, params).result(10)
    expected = naive_beam_search(runner, width, 9, penalty)[:2]
    assert [answer.token_ids for answer in answers] == [tokens for _, tokens in expected]
    assert [answer.score for answer in answers] == pytest.approx([score for score, _ in expected], abs=1e-4)
    assert [answer.index for answer in answers] == [0, 1]
    other.cancel()
    other.result(10)
    assert engine.stats().blocks_used == 0


class Wanting(FakeRunner):
    """Prefers a handful of bytes by far."""

    favourites: tuple[int, ...] = tuple(b"abcdefgh")

    def logits(self, tokens: object) -> np.ndarray:
        row = super().logits(tokens)  # type: ignore[arg-type]
        row[list(self.favourites)] += 30
        return row


def test_answers_end_by_any_of_many_tokens(make_engine: MakeEngine) -> None:
    ends = tuple(b"abcde")
    params = SamplingParams(beam_width=2, n=2, max_tokens=6, stop_token_ids=ends)
    answers = make_engine(Wanting(VOCAB_SIZE)).submit(PROMPT, params).result(10)
    expected = naive_beam_search(Wanting(VOCAB_SIZE), 2, 6, 1.0, ends=(EOS, *ends))[:2]
    assert [answer.token_ids for answer in answers] == [tokens for _, tokens in expected]


@pytest.mark.parametrize("width", [2, 3])
def test_a_stop_string_ends_an_answer_and_is_not_shown(make_engine: MakeEngine, width: int) -> None:
    engine = make_engine(Wanting(VOCAB_SIZE))
    free = engine.submit(PROMPT, SamplingParams(beam_width=width, max_tokens=12)).result(10)[0]
    stop = free.text[3:5]
    answers = engine.submit(PROMPT, SamplingParams(beam_width=width, max_tokens=12, n=2, stop=(stop,))).result(10)
    expected = naive_beam_search(Wanting(VOCAB_SIZE), width, 12, 1.0, stop=stop.encode())[:2]
    assert [answer.token_ids for answer in answers] == [tokens for _, tokens in expected]
    assert all(stop not in answer.text for answer in answers)
    reasons = ["stop" if bytes(answer.token_ids).endswith(stop.encode()) else "length" for answer in answers]
    assert [answer.finish_reason for answer in answers] == reasons


@pytest.mark.parametrize("stops", ["abcd", "abcdefg", "abcdefgh"])
def test_stop_strings_that_end_nearly_everything(make_engine: MakeEngine, stops: str) -> None:
    """Of the best extensions some, one or none can go on; the search goes on with fewer beams, or is at its end."""
    engine = make_engine(Wanting(VOCAB_SIZE))
    params = SamplingParams(beam_width=2, n=2, max_tokens=6, stop=tuple(stops))
    answers = engine.submit(PROMPT, params).result(10)
    assert len(answers) == 2
    for answer in answers:
        assert not set(stops) & set(answer.text)
        assert answer.finish_reason == ("stop" if len(answer.token_ids) < 6 else answer.finish_reason)
    assert engine.stats().blocks_used == 0
    assert engine.submit(PROMPT, params).result(10)[0].token_ids == answers[0].token_ids


def test_beams_share_the_prompt(make_engine: MakeEngine) -> None:
    runner = FakeRunner(VOCAB_SIZE)
    make_engine(runner, prefix_cache=False).submit(PROMPT, SamplingParams(beam_width=4, max_tokens=5)).result(10)
    assert runner.tokens_run <= len(PROMPT) + 4 * 4


def test_end_tokens_are_not_in_the_text(make_engine: MakeEngine) -> None:
    answer = make_engine(Ending(VOCAB_SIZE)).submit(PROMPT, SamplingParams(beam_width=4, max_tokens=30)).result(10)[0]
    assert answer.token_ids[-1] == EOS
    assert answer.finish_reason == "stop"
    assert "<end>" not in answer.text


def test_a_search_can_be_cancelled(make_engine: MakeEngine) -> None:
    engine = make_engine(FakeRunner(VOCAB_SIZE, num_blocks=600))
    generation = engine.submit(PROMPT, SamplingParams(beam_width=4, max_tokens=400))
    generation.cancel()
    assert generation.result(10)[0].finish_reason == "cancelled"
    assert engine.stats().blocks_used == 0


def test_a_search_that_can_never_fit_is_refused(make_engine: MakeEngine) -> None:
    engine = make_engine(FakeRunner(VOCAB_SIZE, num_blocks=8, block_size=8), max_num_seqs=8)
    with pytest.raises(InvalidParameterError, match="lower beam_width or max_tokens"):
        engine.submit(PROMPT, SamplingParams(beam_width=4))
    with pytest.raises(InvalidParameterError, match="8 sequences at once"):
        engine.submit(PROMPT, SamplingParams(beam_width=9, max_tokens=2))
