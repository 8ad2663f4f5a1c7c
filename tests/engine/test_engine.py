"""The engine over the fake model, whose text changes with any mistake in block tables, order or batching."""

import threading
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from chatwright.engine.answer import Answer
from chatwright.engine.core import EngineCore
from chatwright.engine.engine import Engine
from chatwright.engine.fake import FakeRunner
from chatwright.engine.generation import Completion, Generation
from chatwright.engine.params import SamplingParams
from chatwright.engine.request import SampledRequest
from chatwright.engine.runner import Chunk
from chatwright.engine.sequence import Sequence as TokenSequence
from chatwright.errors import ContextLengthError, EngineError, InputError, InvalidParameterError
from chatwright.tokenizer import Tokenizer

MakeEngine = Callable[..., Engine]
EOS, VOCAB_SIZE = 256, 258  # of the tokenizer in conftest.py

GREEDY = SamplingParams(temperature=0, max_tokens=24, ignore_eos=True)
SAMPLED = SamplingParams(seed=5, max_tokens=24, ignore_eos=True)


def prompt(length: int, salt: int = 0) -> list[int]:
    return [(salt * 31 + 7 * i * i + i) % 250 for i in range(length)]


def naive(runner: FakeRunner, ids: Sequence[int], count: int) -> tuple[int, ...]:
    tokens = list(ids)
    for _ in range(count):
        tokens.append(int(runner.logits(tokens).argmax()))
    return tuple(tokens[len(ids) :])


def only(completions: list[Completion]) -> Completion:
    assert len(completions) == 1
    return completions[0]


def test_greedy_is_the_naive_loop(make_engine: MakeEngine, runner: FakeRunner) -> None:
    engine = make_engine(runner)
    for length in (1, 15, 16, 17, 100):
        answer = only(engine.submit(prompt(length), GREEDY).result(10))
        assert answer.token_ids == naive(runner, prompt(length), 24)
        assert answer.finish_reason == "length"
        assert answer.prompt_tokens == length


def test_a_batch_gives_what_each_gives_alone(make_engine: MakeEngine) -> None:
    gate = threading.Event()
    runner = FakeRunner(VOCAB_SIZE, before_run=gate.wait)
    engine = make_engine(runner, max_num_seqs=8, max_batch_tokens=40)
    generations = [engine.submit(prompt(5 + 9 * i, i), GREEDY) for i in range(20)]
    gate.set()
    for i, generation in enumerate(generations):
        assert only(generation.result(10)).token_ids == naive(runner, prompt(5 + 9 * i, i), 24)
    assert max(runner.batch_sizes) == 8


def test_a_prompt_in_chunks_gives_what_the_whole_gives(make_engine: MakeEngine) -> None:
    texts = set()
    for budget in (1, 3, 16, 50, 512):
        engine = make_engine(FakeRunner(VOCAB_SIZE), max_num_seqs=1, max_batch_tokens=budget)
        texts.add(only(engine.submit(prompt(100), SAMPLED).result(10)).token_ids)
    assert len(texts) == 1


def test_a_long_prompt_does_not_stall_the_others(make_engine: MakeEngine) -> None:
    """While 400 tokens are read with 16 a step, a stream that is decoding gets a token in every step."""
    steps = threading.Semaphore(1)
    shared_steps: list[list[int]] = []

    class Watched(FakeRunner):
        def run(self, chunks: Sequence[Chunk]) -> np.ndarray:
            if len(chunks) == 2:
                shared_steps.append([len(chunk.tokens) for chunk in chunks])
            return super().run(chunks)

    engine = make_engine(Watched(VOCAB_SIZE, before_run=steps.acquire), max_num_seqs=2, max_batch_tokens=16)
    short = engine.submit(prompt(3), GREEDY.replace(max_tokens=60))
    pieces = iter(short)
    next(pieces)
    long = engine.submit(prompt(400, 1), GREEDY.replace(max_tokens=1))
    steps.release(1000)
    long.result(10)
    assert shared_steps[:25] == [[1, 16]] * 25


def test_pieces_add_up_to_the_result(make_engine: MakeEngine, runner: FakeRunner) -> None:
    generation = make_engine(runner).submit(prompt(20), SAMPLED.replace(logprobs=2))
    deltas = list(generation)
    answer = only(generation.result())
    assert "".join(delta.text for delta in deltas) == answer.text
    assert sum((delta.token_ids for delta in deltas), ()) == answer.token_ids
    assert sum((delta.logprobs or () for delta in deltas), ()) == answer.logprobs
    assert [delta.finish_reason for delta in deltas] == [None] * 23 + ["length"]
    assert list(generation) == []  # iterating again ends at once


def test_reused_beginnings_are_not_run_again_and_change_nothing(make_engine: MakeEngine, runner: FakeRunner) -> None:
    engine = make_engine(runner)
    first = only(engine.submit(prompt(100), SAMPLED, owner="ann").result(10))
    history = [*prompt(100), *first.token_ids, *prompt(10, 3)]
    before = runner.tokens_run
    second = only(engine.submit(history, SAMPLED, owner="ann").result(10))
    assert second.cached_tokens == 112  # 100 + 23 computed tokens are 7 full blocks of 16
    assert runner.tokens_run - before == len(history) - 112 + 23
    assert engine.stats().cached_tokens == 112
    fresh = make_engine(FakeRunner(VOCAB_SIZE), prefix_cache=False)
    assert only(fresh.submit(history, SAMPLED).result(10)).token_ids == second.token_ids
    assert fresh.stats().blocks_remembered == 0


def test_nothing_is_reused_between_owners(make_engine: MakeEngine, runner: FakeRunner) -> None:
    engine = make_engine(runner)
    for owner in ("ann", "bob", "", "ann "):
        assert only(engine.submit(prompt(100), GREEDY, owner=owner).result(10)).cached_tokens == 0
    assert only(engine.submit(prompt(100), GREEDY, owner="bob").result(10)).cached_tokens == 96


def test_n_answers_share_the_prompt_and_differ(make_engine: MakeEngine, runner: FakeRunner) -> None:
    engine = make_engine(runner, prefix_cache=False)
    answers = engine.submit(prompt(100), SAMPLED.replace(n=4)).result(10)
    assert [answer.index for answer in answers] == [0, 1, 2, 3]
    assert len({answer.token_ids for answer in answers}) == 4
    assert runner.tokens_run == 100 + 4 * 23
    assert answers[0].token_ids == only(engine.submit(prompt(100), SAMPLED).result(10)).token_ids
    assert engine.stats().blocks_used == 0


def test_more_answers_than_places_are_written_in_turn(make_engine: MakeEngine, runner: FakeRunner) -> None:
    expected = make_engine(FakeRunner(VOCAB_SIZE)).submit(prompt(30), SAMPLED.replace(n=6)).result(10)
    answers = make_engine(runner, max_num_seqs=2).submit(prompt(30), SAMPLED.replace(n=6)).result(10)
    assert [a.token_ids for a in answers] == [a.token_ids for a in expected]
    assert max(runner.batch_sizes) == 2


def test_the_same_seed_gives_the_same_text_in_a_crowd(make_engine: MakeEngine, runner: FakeRunner) -> None:
    alone = only(make_engine(FakeRunner(VOCAB_SIZE)).submit(prompt(30), SAMPLED).result(10))
    engine = make_engine(runner, max_num_seqs=6, max_batch_tokens=32)
    crowd = [engine.submit(prompt(3 + 5 * i, i), SamplingParams(max_tokens=30), owner=str(i % 3)) for i in range(12)]
    mine = [engine.submit(prompt(30), SAMPLED, owner="me") for _ in range(3)]
    for generation in mine:
        assert only(generation.result(10)).token_ids == alone.token_ids
    for generation in crowd:
        generation.result(10)


def test_without_a_seed_answers_differ(make_engine: MakeEngine, runner: FakeRunner) -> None:
    engine = make_engine(runner)
    texts = {only(engine.submit(prompt(30), SAMPLED.replace(seed=None)).result(10)).token_ids for _ in range(4)}
    assert len(texts) == 4


def test_preemption_changes_no_text(make_engine: MakeEngine) -> None:
    roomy = make_engine(FakeRunner(VOCAB_SIZE))
    params = [SAMPLED.replace(max_tokens=60, seed=i, n=1 + i % 3) for i in range(6)]
    expected = [roomy.submit(prompt(20, i), params[i]).result(10) for i in range(6)]
    for prefix_cache in (True, False):
        engine = make_engine(FakeRunner(VOCAB_SIZE, num_blocks=12, block_size=8), prefix_cache=prefix_cache)
        generations = [engine.submit(prompt(20, i), params[i], owner=str(i % 2)) for i in range(6)]
        for generation, answers in zip(generations, expected, strict=True):
            assert [a.token_ids for a in generation.result(10)] == [a.token_ids for a in answers]
        assert engine.stats().preemptions > 0
        assert engine.stats().blocks_used == 0


def test_a_cut_answer_goes_on_where_it_stopped(make_engine: MakeEngine, runner: FakeRunner) -> None:
    """Sampled too: a number depends on the position, not on how many were drawn in this request."""
    engine = make_engine(runner)
    for params in (GREEDY, SAMPLED):
        whole = only(engine.submit(prompt(20), params.replace(max_tokens=20)).result(10))
        rest = only(engine.submit([*prompt(20), *whole.token_ids[:10]], params.replace(max_tokens=10)).result(10))
        assert rest.token_ids == whole.token_ids[10:]


class Scripted(FakeRunner):
    """Says a given text, then ends; position decides the token, so it goes on in the middle too."""

    def __init__(self, text: bytes, prompt_length: int) -> None:
        super().__init__(VOCAB_SIZE)
        self.script = [*([0] * prompt_length), *text, EOS]

    def logits(self, tokens: Sequence[int] | np.ndarray) -> np.ndarray:
        row = np.zeros(VOCAB_SIZE, dtype=np.float32)
        row[self.script[len(tokens)]] = 9
        return row


def test_a_character_cut_in_the_middle_is_completed_without_a_seam(make_engine: MakeEngine) -> None:
    text = "天空 is 🙂蓝"
    greedy = SamplingParams(temperature=0)
    engine = make_engine(Scripted(text.encode(), 3))
    for cut in range(1, len(text.encode())):
        first = only(engine.submit([1, 2, 3], greedy.replace(max_tokens=cut)).result(10))
        rest = only(engine.submit([1, 2, 3, *first.token_ids], greedy).result(10))
        assert first.text + rest.text == text
        assert rest.finish_reason == "stop"
        assert rest.token_ids[-1] == EOS


def test_stop_strings_are_never_shown(make_engine: MakeEngine) -> None:
    engine = make_engine(Scripted("one 停止 two".encode(), 2))
    for stop, text in (("停止", "one "), ("two", "one 停止 "), (" tw", "one 停止"), ("three", "one 停止 two")):
        generation = engine.submit([1, 2], SamplingParams(temperature=0, stop=(stop,)))
        shown = [delta.text for delta in generation]
        assert "".join(shown) == text
        assert only(generation.result()).text == text
        assert only(generation.result()).finish_reason == "stop"


def test_stop_tokens_end_the_answer(make_engine: MakeEngine) -> None:
    engine = make_engine(Scripted(b"abcdef", 2))
    answer = only(engine.submit([1, 2], SamplingParams(temperature=0, stop_token_ids=(ord("d"),))).result(10))
    assert (answer.text, answer.finish_reason) == ("abc", "stop")
    assert answer.token_ids == tuple(b"abcd")


def test_what_was_held_back_is_shown_at_the_length_limit(make_engine: MakeEngine) -> None:
    engine = make_engine(Scripted(b"abc END", 2))
    answer = only(engine.submit([1, 2], SamplingParams(temperature=0, stop=("END",), max_tokens=6)).result(10))
    assert (answer.text, answer.finish_reason) == ("abc EN", "length")


def test_logprobs_are_the_models_own_whatever_the_settings(make_engine: MakeEngine, runner: FakeRunner) -> None:
    params = SAMPLED.replace(logprobs=3, temperature=0.5, top_p=0.8, logit_bias={7: 5.0}, repetition_penalty=1.3)
    answer = only(make_engine(runner).submit(prompt(20), params).result(10))
    assert answer.logprobs is not None
    tokens = prompt(20)
    for entry in answer.logprobs:
        row = runner.logits(tokens).astype(np.float64)
        expected = row - np.log(np.exp(row).sum())
        assert entry.logprob == pytest.approx(expected[entry.token_id], abs=1e-5)
        assert [token for token, _ in entry.top] == np.argsort(-row, kind="stable")[:3].tolist()
        tokens.append(entry.token_id)


def test_prompt_logprobs_in_chunks_and_under_preemption(make_engine: MakeEngine) -> None:
    runner = FakeRunner(VOCAB_SIZE, num_blocks=14, block_size=8)
    engine = make_engine(runner, max_batch_tokens=17, max_num_seqs=4)
    others = [engine.submit(prompt(20, i), GREEDY.replace(max_tokens=40)) for i in (1, 2)]
    params = GREEDY.replace(prompt_logprobs=1)
    for _ in range(2):  # the second finds the prompt in the cache, and must not use it
        answer = only(engine.submit(prompt(60), params).result(10))
        assert answer.prompt_logprobs is not None
        assert answer.prompt_logprobs[0] is None
        assert len(answer.prompt_logprobs) == 60
        for position, entry in enumerate(answer.prompt_logprobs[1:], 1):
            row = runner.logits(prompt(60)[:position]).astype(np.float64)
            assert entry is not None
            assert entry.token_id == prompt(60)[position]
            assert entry.logprob == pytest.approx(row[entry.token_id] - np.log(np.exp(row).sum()), abs=1e-5)
        assert answer.token_ids == naive(runner, prompt(60), 24)
    for other in others:
        other.result(10)


def test_the_context_is_filled_and_never_cut(make_engine: MakeEngine) -> None:
    runner = FakeRunner(VOCAB_SIZE, max_model_len=64)
    engine = make_engine(runner)
    unlimited = GREEDY.replace(max_tokens=None)
    answer = only(engine.submit(prompt(50), unlimited).result(10))
    assert (len(answer.token_ids), answer.finish_reason) == (14, "length")
    answer = only(engine.submit(prompt(50), GREEDY.replace(max_tokens=1000)).result(10))
    assert (len(answer.token_ids), answer.finish_reason) == (14, "length")
    for length in (64, 65, 1000):
        with pytest.raises(ContextLengthError) as error:
            engine.submit(prompt(length), GREEDY)
        assert (error.value.prompt_tokens, error.value.limit) == (length, 64)
    memory_bound = make_engine(FakeRunner(VOCAB_SIZE, num_blocks=2, block_size=8))
    assert memory_bound.max_model_len == 16


def test_bad_requests_are_refused_at_the_door(make_engine: MakeEngine, runner: FakeRunner) -> None:
    engine = make_engine(runner)
    with pytest.raises(InputError, match="no tokens"):
        engine.submit([], GREEDY)
    for ids in ([1, VOCAB_SIZE], [-1, 3]):
        with pytest.raises(InvalidParameterError, match=f"0 to {VOCAB_SIZE - 1}"):
            engine.submit(ids, GREEDY)
    with pytest.raises(InvalidParameterError, match="stop_token_ids"):
        engine.submit([1], SamplingParams(stop_token_ids=(VOCAB_SIZE,)))
    with pytest.raises(InvalidParameterError, match="max_batch_tokens"):
        make_engine(runner, max_batch_tokens=0)


def test_a_full_engine_says_so_and_takes_requests_again_later(make_engine: MakeEngine) -> None:
    gate = threading.Event()

    engine = make_engine(FakeRunner(VOCAB_SIZE, before_run=gate.wait), max_requests=2)
    generations = [engine.submit(prompt(5), GREEDY) for _ in range(2)]
    with pytest.raises(EngineError, match="max_requests"):
        engine.submit(prompt(5), GREEDY)
    gate.set()
    for generation in generations:
        generation.result(10)
    engine.submit(prompt(5), GREEDY).result(10)


def test_owners_take_turns(make_engine: MakeEngine) -> None:
    """Bob's one request does not wait behind Ann's twenty, though it came last."""
    order: list[str] = []
    gate = threading.Event()

    engine = make_engine(FakeRunner(VOCAB_SIZE, before_run=gate.wait), max_num_seqs=1)
    generations = {f"ann {i}": engine.submit(prompt(5, i), GREEDY, owner="ann") for i in range(20)}
    generations["bob"] = engine.submit(prompt(5), GREEDY, owner="bob")
    for name, generation in generations.items():
        finish = generation.finish
        generation.finish = lambda *a, name=name, finish=finish: (order.append(name), finish(*a))  # type: ignore
    gate.set()
    for generation in generations.values():
        generation.result(10)
    assert order.index("bob") <= 2  # one of Ann's ran already, and the next turn may have been hers


def test_cancelling_frees_places_and_blocks_within_one_step(tokenizer: Tokenizer) -> None:
    """On the engine without its thread, so that steps can be counted."""
    core = EngineCore(FakeRunner(VOCAB_SIZE), max_num_seqs=2, max_batch_tokens=32)
    for name in "abc":
        generation = Generation(lambda _: None)
        core.add(SampledRequest(SAMPLED, [answer(tokenizer, name)], generation))
    for _ in range(3):
        core.step()
    assert (core.stats().running, core.stats().waiting, core.stats().blocks_used) == (2, 1, 4)
    core.cancel("a")
    assert (core.stats().running, core.stats().waiting, core.stats().blocks_used) == (1, 1, 2)
    core.step()
    assert (core.stats().running, core.stats().waiting) == (2, 0)
    core.cancel("a")  # no effect on what is finished
    core.cancel("b")
    core.cancel("c")
    assert (core.stats().running, core.stats().waiting, core.stats().blocks_used) == (0, 0, 0)
    assert core.stats().cancelled == core.stats().requests == 3
    assert not core.busy
    core.step()


def answer(tokenizer: Tokenizer, name: str) -> Answer:
    sequence = TokenSequence(f"{name}.0", name, "", prompt(20), 20)
    return Answer(
        sequence,
        index=0,
        params=SAMPLED,
        seed=1,
        limit=100,
        end_ids=frozenset(),
        tokenizer=tokenizer,
        matcher=None,
    )


def test_a_cancelled_answer_keeps_what_it_had(make_engine: MakeEngine) -> None:
    steps = threading.Semaphore(0)
    engine = make_engine(FakeRunner(VOCAB_SIZE, before_run=steps.acquire))
    generation = engine.submit(prompt(20), GREEDY)
    steps.release(5)
    deltas = iter(generation)
    shown = [next(deltas) for _ in range(5)]
    generation.cancel()
    steps.release(1)  # the step that is under way when the caller cancels; no other follows
    shown.extend(deltas)
    answer = only(generation.result(10))
    assert answer.finish_reason == shown[-1].finish_reason == "cancelled"
    assert len(answer.token_ids) == 6
    assert answer.text == "".join(delta.text for delta in shown)
    assert engine.stats().blocks_used == 0


def test_leaving_the_loop_cancels(make_engine: MakeEngine) -> None:
    steps = threading.Semaphore(1)
    engine = make_engine(FakeRunner(VOCAB_SIZE, before_run=steps.acquire))
    generation = engine.submit(prompt(20), GREEDY)
    for _ in generation:
        break
    steps.release(1)
    assert only(generation.result(10)).finish_reason == "cancelled"


def test_what_is_submitted_together_starts_in_one_step(make_engine: MakeEngine) -> None:
    runner = FakeRunner(VOCAB_SIZE)
    engine = make_engine(runner)
    with engine.together():
        generations = [engine.submit([index + 1], SamplingParams(max_tokens=2, ignore_eos=True)) for index in range(5)]
        with pytest.raises(EngineError, match="no result within"):
            generations[0].result(timeout_s=0.05)
        assert runner.batch_sizes == []
    assert all(generation.result() for generation in generations)
    assert runner.batch_sizes == [5, 5]


def test_an_engine_can_be_closed_while_it_is_held(make_engine: MakeEngine) -> None:
    engine = make_engine(FakeRunner(VOCAB_SIZE))
    with engine.together():
        generation = engine.submit([1])
        engine.close()
    with pytest.raises(EngineError, match="closed"):
        generation.result()
