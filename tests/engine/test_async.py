import asyncio
import threading
from collections.abc import Callable

import pytest

from chatwright.engine.engine import Engine
from chatwright.engine.fake import FakeRunner
from chatwright.engine.generation import Generation
from chatwright.engine.params import SamplingParams
from chatwright.errors import EngineError

MakeEngine = Callable[..., Engine]
VOCAB_SIZE = 258  # of the tokenizer in conftest.py

PARAMS = SamplingParams(seed=3, max_tokens=30, ignore_eos=True)


async def read(generation: Generation) -> tuple[int, ...]:
    tokens: tuple[int, ...] = ()
    async for delta in generation:
        tokens += delta.token_ids
    return tokens


def test_many_consumers_at_once(make_engine: MakeEngine, runner: FakeRunner) -> None:
    engine = make_engine(runner, max_num_seqs=16, max_batch_tokens=64)
    expected = [engine.submit([i, 2, 3], PARAMS).result(10)[0].token_ids for i in range(60)]

    async def main() -> list[tuple[int, ...]]:
        return await asyncio.gather(*(read(engine.submit([i, 2, 3], PARAMS)) for i in range(60)))

    assert asyncio.run(main()) == expected


def test_waiting_for_the_whole_answer(make_engine: MakeEngine, runner: FakeRunner) -> None:
    engine = make_engine(runner)

    async def main() -> tuple[object, object]:
        generation = engine.submit([1, 2, 3], PARAMS)
        return await generation.wait(), await generation.wait()

    first, second = asyncio.run(main())
    assert first == second == engine.submit([1, 2, 3], PARAMS).result(10)


def test_who_walks_away_leaves_nothing_running(make_engine: MakeEngine) -> None:
    steps = threading.Semaphore(1)
    engine = make_engine(FakeRunner(VOCAB_SIZE, before_run=steps.acquire))

    async def main() -> Generation:
        generation = engine.submit([1, 2, 3], PARAMS)
        pieces = generation.__aiter__()
        await anext(pieces)
        await pieces.aclose()  # type: ignore[attr-defined]
        return generation

    generation = asyncio.run(main())
    steps.release(1)
    assert generation.result(10)[0].finish_reason == "cancelled"
    assert engine.stats().blocks_used == 0


def test_a_cancelled_task_cancels_its_generation(make_engine: MakeEngine) -> None:
    steps = threading.Semaphore(0)
    engine = make_engine(FakeRunner(VOCAB_SIZE, before_run=steps.acquire))

    async def main() -> Generation:
        generation = engine.submit([1, 2, 3], PARAMS)
        task = asyncio.create_task(generation.wait())
        await asyncio.sleep(0)  # the task runs until it waits for its first piece
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return generation

    generation = asyncio.run(main())
    steps.release(1)
    assert generation.result(10)[0].finish_reason == "cancelled"


def test_a_loop_that_is_closed_cancels_what_still_waits_in_it(make_engine: MakeEngine) -> None:
    steps = threading.Semaphore(0)
    engine = make_engine(FakeRunner(VOCAB_SIZE, before_run=steps.acquire))
    generation = engine.submit([1, 2, 3], PARAMS)
    loop = asyncio.new_event_loop()
    task = loop.create_task(generation.wait())
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()  # with the task in the middle of it, as in a server that is torn down
    steps.release(2)
    assert generation.result(10)[0].finish_reason == "cancelled"
    task._log_destroy_pending = False  # type: ignore[attr-defined]


def test_errors_reach_asynchronous_callers(make_engine: MakeEngine) -> None:
    def fail() -> None:
        raise RuntimeError("device lost")

    engine = make_engine(FakeRunner(VOCAB_SIZE, before_run=fail))

    async def main() -> None:
        for generation in [engine.submit([1], PARAMS) for _ in range(3)]:
            with pytest.raises(EngineError, match="device lost"):
                await generation.wait()

    asyncio.run(main())
