"""Everything at once under too little memory: nobody hangs, nothing leaks, and whoever is not cancelled is served."""

import random
import threading
from collections.abc import Callable

import pytest

from chatwright.engine.engine import Engine
from chatwright.engine.fake import FakeRunner
from chatwright.engine.generation import Completion
from chatwright.engine.params import Constraint, SamplingParams

MakeEngine = Callable[..., Engine]
VOCAB_SIZE = 258  # of the tokenizer in conftest.py


def random_params(choose: random.Random) -> SamplingParams:
    tokens = choose.randint(1, 30)
    kind = choose.choice(["greedy", "sampled", "several", "beams", "constrained", "scored"])
    if kind == "beams":
        return SamplingParams(beam_width=choose.randint(2, 3), max_tokens=min(tokens, 8))
    base = SamplingParams(seed=choose.randint(0, 9), max_tokens=tokens, stop=("\n",))
    match kind:
        case "greedy":
            return base.replace(temperature=0)
        case "several":
            return base.replace(n=choose.randint(2, 5))
        case "constrained":
            return base.replace(constraint=Constraint.regex("[a-f]{3,20}"))
        case "scored":
            return base.replace(logprobs=1, prompt_logprobs=1)
    return base


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("prefix_cache", [True, False])
def test_a_crowd(make_engine: MakeEngine, seed: int, prefix_cache: bool) -> None:
    runner = FakeRunner(VOCAB_SIZE, num_blocks=16, block_size=8, max_model_len=100)
    engine = make_engine(runner, max_num_seqs=5, max_batch_tokens=13, prefix_cache=prefix_cache)
    outcomes: list[tuple[list[int], SamplingParams, list[Completion]]] = []

    def visit(visitor: int) -> None:
        choose = random.Random(seed * 100 + visitor)
        for _ in range(13):
            prompt = [choose.randint(0, 3) for _ in range(choose.randint(1, 30))]
            params = random_params(choose)
            generation = engine.submit(prompt, params, owner=str(visitor % 3))
            leave_after = choose.choice([None, None, None, 0, 1, 5])
            if leave_after is None:
                outcomes.append((prompt, params, generation.result(60)))
                continue
            for seen, _ in enumerate(generation, 1):
                if seen > leave_after:
                    break
            generation.result(60)

    visitors = [threading.Thread(target=visit, args=(visitor,)) for visitor in range(8)]
    for visitor in visitors:
        visitor.start()
    for visitor in visitors:
        visitor.join(120)
    stats = engine.stats()
    assert (stats.running, stats.waiting, stats.blocks_used, stats.failed) == (0, 0, 0, 0)
    assert stats.requests == 8 * 13
    alone = make_engine(FakeRunner(VOCAB_SIZE, num_blocks=200, block_size=8, max_model_len=100))
    for prompt, params, completions in outcomes:
        expected = alone.submit(prompt, params).result(60)
        assert [answer.token_ids for answer in completions] == [answer.token_ids for answer in expected]
        assert [answer.text for answer in completions] == [answer.text for answer in expected]
