"""The CPU runner against the GPT module whose matrices are the packed ones, so that only rounding may differ."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from chatwright.engine.cpu.runner import CpuRunner, supports
from chatwright.engine.cpu.state import Weights
from chatwright.engine.cpu.step import step
from chatwright.engine.cpu.weights import build_weights
from chatwright.engine.engine import Engine
from chatwright.engine.params import SamplingParams
from chatwright.engine.runner import Chunk
from chatwright.model.config import ModelConfig, MoEConfig, RopeConfig
from chatwright.model.gpt import GPT
from tests.engine.cpu.dequantise import RoundedAttend, model_of

VOCAB_SIZE = 258  # of the tokenizer in conftest.py; no multiple of 32
SHORT, LONG = 8, 40  # chunks that run in the kernel; in PyTorch

FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {"num_kv_heads": 2, "rope": RopeConfig(scaling="llama3", factor=2, original_max_position_embeddings=128)},
    "qwen2": {"num_kv_heads": 2, "qkv_bias": True, "head_dim": 20},
    "qwen3": {"num_kv_heads": 1, "qk_norm": True, "head_dim": 24, "tie_embeddings": False},
    "gpt2": {
        "position": "learned",
        "norm": "layer",
        "feed_forward": "gelu_tanh",
        "qkv_bias": True,
        "output_bias": True,
        "mlp_bias": True,
    },
    "gated-biases": {"feed_forward": "swiglu", "mlp_bias": True, "output_bias": True, "attention_scale": 0.2},
    "sinusoidal": {"position": "sinusoidal", "feed_forward": "relu", "norm": "layer", "qk_norm": True},
    "no-position": {"position": "none", "feed_forward": "gelu", "head_dim": 7},
    "silu": {"feed_forward": "silu", "num_heads": 5, "num_kv_heads": 1, "head_dim": 80},
    "gemma3": {
        "num_kv_heads": 2,
        "sliding_window": 30,
        "layer_types": ("sliding", "full", "sliding"),
        "rope_local": RopeConfig(theta=1000.0),
        "norm_placement": "sandwich",
        "norm_offset": 1.0,
        "feed_forward": "geglu",
        "embedding_scale": 50**0.5,
        "attention_scale": 0.3,
        "qk_norm": True,
    },
}


def tiny(**values: Any) -> GPT:
    """Random weights, biases and norms; widths that are no multiples of 32."""
    settings: dict[str, Any] = {
        "vocab_size": VOCAB_SIZE,
        "hidden_size": 50,
        "num_layers": 3,
        "num_heads": 4,
        "head_dim": 12,
        "intermediate_size": 70,
        "max_position_embeddings": 400,
        "initializer_range": 0.2,
    }
    model = GPT(ModelConfig(**(settings | values))).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name or name.endswith("bias"):
                parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    return model


def weights_of(model: GPT) -> Weights:
    state = model.state_dict()
    return build_weights(model.config, lambda name: state[name].float().numpy())


MakeRunner = Callable[..., CpuRunner]


@pytest.fixture
def make_runner() -> Iterator[MakeRunner]:
    """Makes runners whose threads end with the test. Prompts read the quantised weights too, as plain numbers."""
    runners: list[CpuRunner] = []

    def make(model: GPT, *, threads: int = 1) -> CpuRunner:
        weights = weights_of(model)
        prompts = model_of(weights, model).to(model.embed.weight.dtype)
        runners.append(CpuRunner(prompts, weights, kv_memory_bytes=4 << 20, threads=threads))
        return runners[-1]

    yield make
    for runner in runners:
        runner.close()


def prompt(length: int, salt: int = 0) -> list[int]:
    return [(salt * 31 + 7 * i * i + i) % 250 for i in range(length)]


@torch.inference_mode()
def plain_logits(model: GPT, ids: list[int]) -> np.ndarray:
    return model_of(weights_of(model), model)(torch.tensor([ids]), attend=RoundedAttend()).logits[0].numpy()


def in_pieces(runner: CpuRunner, ids: list[int], blocks: list[int], size: int, start: int = 0) -> np.ndarray:
    """Logits of all tokens from ``start`` on, run in chunks of ``size``."""
    parts = []
    for at in range(start, len(ids), size):
        piece = ids[at : at + size]
        parts.append(runner.run([Chunk(piece, at, blocks, len(piece))]).copy())
    return np.concatenate(parts)


def assert_close(logits: np.ndarray, expected: np.ndarray, tolerance: float = 0.003) -> None:
    """Typical and largest difference are small beside the spread of logits; numbers measured are a third of this."""
    difference = np.abs(logits - expected) / expected.std()
    assert np.sqrt((difference**2).mean()) < tolerance
    assert difference.max() < 20 * tolerance


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_are_those_of_the_packed_weights(make_runner: MakeRunner, family: str) -> None:
    """300 tokens in short chunks: several pages of keys, windows, and contexts that are divided."""
    model, ids = tiny(**FAMILIES[family]), prompt(300)
    assert supports(model.config)
    runner = make_runner(model, threads=2)
    assert_close(in_pieces(runner, ids, [3, 1, 4, 0, 5], SHORT), plain_logits(model, ids))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_prompt_is_read_as_its_tokens_are_one_by_one(
    make_runner: MakeRunner, family: str, dtype: torch.dtype
) -> None:
    """Long chunks from the start and behind text in the cache, then single tokens behind both."""
    model, ids = tiny(**FAMILIES[family]).to(dtype), prompt(210)
    runner, expected = make_runner(model), plain_logits(model, ids)
    tolerance = 0.008 if dtype == torch.float32 else 0.03
    logits = in_pieces(runner, ids[:200], [2, 0, 5, 3], LONG)
    assert_close(logits, expected[:200], tolerance)
    assert_close(in_pieces(runner, ids, [2, 0, 5, 3], 1, start=200), expected[200:], tolerance)


def test_single_tokens_of_a_bfloat16_model_have_its_embeddings(make_runner: MakeRunner) -> None:
    model, ids = tiny(**FAMILIES["llama"]).bfloat16(), prompt(60)
    assert_close(in_pieces(make_runner(model), ids, [0], SHORT), plain_logits(model, ids))


def test_tokens_one_by_one_are_a_chunk_to_the_last_bit(make_runner: MakeRunner) -> None:
    runner, ids = make_runner(tiny(**FAMILIES["gemma3"])), prompt(90)
    whole = in_pieces(runner, ids, [0, 1], SHORT)
    assert np.array_equal(in_pieces(runner, ids, [2, 3], 1), whole)
    assert np.array_equal(in_pieces(runner, ids, [5, 4], 3), whole)


def test_who_else_is_in_the_batch_changes_nothing_to_the_last_bit(make_runner: MakeRunner) -> None:
    """Nor does the number of threads. Contexts of 1 to 300 tokens; 70 columns take two passes."""
    model = tiny(**FAMILIES["qwen3"])
    lengths = [300, 130, 1, 64, 65, 2, 20, 257, 9, *(3 + i % 5 for i in range(61))]
    chunks, free = [], iter(range(200))
    for i, length in enumerate(lengths):
        blocks = [next(free) for _ in range(length // 64 + 1)]
        chunks.append(Chunk(prompt(length + 1, i)[-1:], length, blocks, 1))
    alone: list[np.ndarray] = []
    for threads in (1, 2, 3):
        runner = make_runner(model, threads=threads)
        for i, (chunk, length) in enumerate(zip(chunks, lengths, strict=True)):
            runner.run([Chunk(prompt(length, i), 0, chunk.blocks, 0)])
        alone = alone or [runner.run([chunk])[0].copy() for chunk in chunks]
        for count in (1, 2, 5, 9, 70):
            assert np.array_equal(runner.run(chunks[:count]), np.stack(alone[:count]))
            assert np.array_equal(runner.run(chunks[:count][::-1]), np.stack(alone[:count][::-1]))


def test_rows_come_in_the_order_of_the_chunks(make_runner: MakeRunner) -> None:
    """Prompts and single tokens mixed, with all, some, one or none of their logits wanted."""
    runner = make_runner(tiny(**FAMILIES["llama"]))
    chunks = []
    for i, (start, length, wanted) in enumerate(
        [(0, SHORT, 2), (0, LONG, 3), (9, 1, 1), (0, LONG, 0), (64, 1, 1), (0, 3, 3), (5, SHORT, 0), (0, LONG, LONG)]
    ):
        ids, blocks = prompt(start + length, i), [2 * i, 2 * i + 1]
        if start:
            runner.run([Chunk(ids[:start], 0, blocks, 0)])
        chunks.append(Chunk(ids[start:], start, blocks, wanted))
    alone = [runner.run([chunk]).copy() for chunk in chunks]
    assert [rows.shape for rows in alone] == [(chunk.num_logits, VOCAB_SIZE) for chunk in chunks]
    assert np.array_equal(runner.run(chunks), np.concatenate(alone))
    assert np.array_equal(runner.run(chunks[::-1]), np.concatenate(alone[::-1]))
    assert runner.run([]).shape == (0, VOCAB_SIZE)


def test_a_copied_block_holds_the_same_keys_and_values(make_runner: MakeRunner) -> None:
    runner, ids = make_runner(tiny(**FAMILIES["llama"])), prompt(80)
    expected = in_pieces(runner, ids, [0, 1], SHORT)[-10:]
    runner.copy_block(0, 6)
    runner.copy_block(1, 4)
    runner.run([Chunk(prompt(64, 9), 0, [0], 0)])  # the original is somebody else's now
    assert np.array_equal(in_pieces(runner, ids, [6, 4], SHORT, start=70), expected)


@pytest.mark.parametrize("size", [SHORT, LONG])
def test_nan_stays_in_the_sequence_that_made_it(make_runner: MakeRunner, size: int) -> None:
    """Also when the next sequence gets its memory."""
    model = tiny(**FAMILIES["gemma3"])
    runner = make_runner(model)
    sane, sick = prompt(size, 1), [251, *prompt(size - 1, 2)]
    expected = runner.run([Chunk(sane, 0, [0], 1)]).copy()
    with torch.no_grad():
        runner.model.embed.weight[251] = float("nan")
    logits = runner.run([Chunk(sick, 0, [1], 1), Chunk(sane, 0, [2], 1)])
    assert np.isnan(logits[0]).all()
    assert np.array_equal(logits[1:], expected)
    assert np.array_equal(runner.run([Chunk(sane, 0, [1], 1)]), expected)
    for i, token in enumerate(prompt(3, 5)):  # now decoding over the memory that held NaN
        rows = [runner.run([Chunk([token], size + i, [block], 1)]).copy() for block in (1, 2)]
        assert np.array_equal(*rows)
        assert np.isfinite(rows[0]).all()


def test_positions_beyond_the_first_table_of_angles(make_runner: MakeRunner) -> None:
    """Eight parts of a divided context, and cosines that had to be computed anew."""
    model = tiny(**FAMILIES["llama"], max_position_embeddings=1200)
    runner, ids = make_runner(model), prompt(1150)
    blocks = list(range(18))
    runner.run([Chunk(ids[:4], 0, blocks, 1)])
    runner.run([Chunk(ids[4:1100], 4, blocks, 0)])
    assert_close(in_pieces(runner, ids, blocks, SHORT, start=1100), plain_logits(model, ids)[1100:], 0.008)


def test_every_model_runs_in_one_compiled_form(make_runner: MakeRunner) -> None:
    """A second form would be compiled, for many seconds, in the middle of somebody's answer."""
    for family in FAMILIES:
        runner = make_runner(tiny(**FAMILIES[family]))
        for count in (1, 3):
            runner.run([Chunk([i], 0, [i], 1) for i in range(count)])
    assert len(step.signatures) == 1


@pytest.mark.parametrize(
    "values",
    [
        {"causal": False},
        {"moe": MoEConfig(num_experts=4, num_experts_per_token=2, intermediate_size=16)},
        {"position": "learned", "norm": "layer", "norm_placement": "post", "final_norm": False},
        {"norm": "layer", "norm_placement": "sandwich"},
        {"intermediate_size": 1 << 21},
        {"num_heads": 1 << 12, "head_dim": 512},
    ],
)
def test_models_that_the_kernel_cannot_run_are_left_to_pytorch(values: dict[str, Any]) -> None:
    config = ModelConfig(**({"vocab_size": 32, "hidden_size": 32, "num_layers": 1, "num_heads": 2} | values))
    assert not supports(config)


def test_a_crowd_hears_what_each_would_hear_alone(make_runner: MakeRunner, make_engine: Callable[..., Engine]) -> None:
    """The engine over this runner: sampled answers, forks, prompts that are cut, neighbours that come and go."""
    params = SamplingParams(seed=3, ignore_eos=True, n=2)
    runner = make_runner(tiny(**FAMILIES["llama"]))
    requests = [
        (prompt(length, length), params.replace(max_tokens=length % 40 + 5)) for length in (5, 70, 100, 61, 130)
    ]
    engine = make_engine(runner, max_num_seqs=7, max_batch_tokens=50, prefix_cache=False)
    alone = [engine.submit(*request).result(60) for request in requests]
    crowd = [generation.result(60) for generation in [engine.submit(*request) for request in requests]]
    assert [[a.token_ids for a in answers] for answers in crowd] == [[a.token_ids for a in one] for one in alone]
