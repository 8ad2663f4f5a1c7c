"""What goes wrong stays where it belongs, reaches whoever waits, and leaves the engine usable."""

import logging
import threading
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from chatwright.engine.engine import Engine
from chatwright.engine.fake import FakeRunner
from chatwright.engine.params import SamplingParams
from chatwright.engine.runner import Chunk
from chatwright.errors import EngineError
from chatwright.tokenizer import Tokenizer

MakeEngine = Callable[..., Engine]
EOS, VOCAB_SIZE = 256, 258  # of the tokenizer in conftest.py

GREEDY = SamplingParams(temperature=0, max_tokens=20, ignore_eos=True)
POISON = 200


class Breaking(FakeRunner):
    """Fails, or gives NaN, for whoever's prompt holds the poison."""

    def __init__(self, how: str, before_run: Callable[[], object] | None = None) -> None:
        super().__init__(VOCAB_SIZE, before_run=before_run)
        self.how = how

    def run(self, chunks: Sequence[Chunk]) -> np.ndarray:
        poisoned = [chunk for chunk in chunks if POISON in chunk.tokens and chunk.start == 0]
        if poisoned and self.how == "raise":
            raise RuntimeError("device lost")
        logits = super().run(chunks)
        row = 0
        for chunk in chunks:
            if chunk in poisoned and self.how == "nan":
                logits[row : row + chunk.num_logits] = np.nan
            row += chunk.num_logits
        return logits


def test_one_requests_broken_logits_leave_the_others_alone(make_engine: MakeEngine) -> None:
    engine = make_engine(Breaking("nan"))
    expected = make_engine(FakeRunner(VOCAB_SIZE)).submit([1, 2, 3], GREEDY).result(10)
    good, bad = engine.submit([1, 2, 3], GREEDY), engine.submit([POISON, 2], GREEDY.replace(n=3, temperature=1))
    with pytest.raises(EngineError, match="no finite maximum"):
        bad.result(10)
    assert good.result(10) == expected
    stats = engine.stats()
    assert (stats.failed, stats.requests, stats.blocks_used) == (1, 2, 0)


def test_answers_that_fail_together_leave_the_others_alone(make_engine: MakeEngine) -> None:
    """Three answers of one request break in one step: the first ends the request while the others are in that step."""

    class BreaksLater(FakeRunner):
        def run(self, chunks: Sequence[Chunk]) -> np.ndarray:
            logits = super().run(chunks)
            for row, chunk in enumerate(chunks):
                if chunk.start == 5:
                    logits[row] = np.nan
            return logits

    sampled = GREEDY.replace(temperature=1, seed=1)
    engine = make_engine(BreaksLater(VOCAB_SIZE, block_size=1, num_blocks=400))
    good, bad = engine.submit(list(range(10)), sampled), engine.submit([1, 2, 3], sampled.replace(n=3))
    with pytest.raises(EngineError, match="no finite maximum"):
        bad.result(10)
    assert len(good.result(10)[0].token_ids) == 20
    assert engine.stats().blocks_used == 0


def test_a_failing_runner_reaches_all_who_wait_and_the_log(
    make_engine: MakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    gate = threading.Event()
    engine = make_engine(Breaking("raise", gate.wait), max_num_seqs=4)
    with caplog.at_level(logging.ERROR):
        generations = [engine.submit([1, i], GREEDY.replace(max_tokens=400)) for i in range(3)]
        generations.append(engine.submit([POISON], GREEDY, owner="bob"))
        generations.append(engine.submit([1, 2, 3], GREEDY))  # has no place yet, and waits
        gate.set()
        for generation in generations:
            with pytest.raises(EngineError, match="device lost"):
                for _ in generation:
                    pass
    assert "runner failed" in caplog.text
    assert "device lost" in caplog.text
    assert engine.stats().blocks_used == engine.stats().blocks_remembered == 0
    assert len(engine.submit([1, 2], GREEDY).result(10)[0].token_ids) == 20  # the next one is served


def test_an_error_is_raised_wherever_one_asks(make_engine: MakeEngine) -> None:
    generation = make_engine(Breaking("raise")).submit([POISON], GREEDY)
    for ask in (generation.result, generation.result, lambda: list(generation), lambda: list(generation)):
        with pytest.raises(EngineError):
            ask()


def test_closing_ends_what_is_unfinished(tokenizer: Tokenizer) -> None:
    steps = threading.Semaphore(0)
    runner = FakeRunner(VOCAB_SIZE, before_run=steps.acquire)
    engine = Engine(runner, tokenizer, eos_ids=[EOS])
    generation = engine.submit([1, 2, 3], GREEDY)
    closing = threading.Thread(target=engine.close)
    closing.start()
    steps.release(1)  # at most the step that is under way is finished
    closing.join(10)
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        generation.result(0)
    with pytest.raises(EngineError, match="closed"):
        engine.submit([1, 2, 3], GREEDY)
    generation.cancel()
    assert runner.closed


def test_a_result_can_be_waited_for_with_a_limit(make_engine: MakeEngine) -> None:
    gate = threading.Event()

    generation = make_engine(FakeRunner(VOCAB_SIZE, before_run=gate.wait)).submit([1], GREEDY)
    with pytest.raises(EngineError, match=r"0\.01 s"):
        generation.result(0.01)
    gate.set()
    assert generation.result(10)
