"""The engine over real (tiny, random) models against a loop over the plain GPT module."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from chatwright.engine.cuda_runner import CudaRunner
from chatwright.engine.engine import Engine
from chatwright.engine.params import SamplingParams
from chatwright.engine.runner import Chunk
from chatwright.engine.torch_runner import TorchRunner
from chatwright.errors import InvalidParameterError, UnsupportedModelError
from chatwright.model.config import ModelConfig, MoEConfig, RopeConfig
from chatwright.model.gpt import GPT

MakeEngine = Callable[..., Engine]
VOCAB_SIZE = 258  # of the tokenizer in conftest.py
GREEDY = SamplingParams(temperature=0, max_tokens=20, ignore_eos=True)

FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {"num_kv_heads": 2, "rope": RopeConfig(scaling="linear", factor=2.0)},
    "qwen3": {"num_kv_heads": 1, "qk_norm": True, "head_dim": 12, "tie_embeddings": False},
    "qwen3-moe": {"moe": MoEConfig(num_experts=4, num_experts_per_token=2, intermediate_size=16)},
    "gpt2": {"position": "learned", "norm": "layer", "feed_forward": "gelu_tanh", "qkv_bias": True, "mlp_bias": True},
    "gpt1": {"position": "learned", "norm": "layer", "norm_placement": "post", "final_norm": False},
    "gemma3": {
        "num_kv_heads": 2,
        "sliding_window": 7,
        "layer_types": ("sliding", "full", "sliding"),
        "rope_local": RopeConfig(theta=1000.0),
        "norm_placement": "sandwich",
        "norm_offset": 1.0,
        "feed_forward": "geglu",
        "embedding_scale": 32**0.5,
        "attention_scale": 0.3,
        "qk_norm": True,
    },
}


def tiny(**values: Any) -> GPT:
    config = ModelConfig(
        vocab_size=VOCAB_SIZE,
        hidden_size=32,
        num_layers=3,
        num_heads=4,
        intermediate_size=48,
        max_position_embeddings=200,
        initializer_range=0.3,
        **values,
    )
    return GPT(config).eval()


def prompt(length: int, salt: int = 0) -> list[int]:
    return [(salt * 31 + 7 * i * i + i) % 250 for i in range(length)]


@torch.inference_mode()
def plain_logits(model: GPT, ids: list[int]) -> np.ndarray:
    return model(torch.tensor([ids])).logits[0].float().numpy()


def naive(model: GPT, ids: list[int], count: int) -> tuple[int, ...]:
    tokens = list(ids)
    for _ in range(count):
        tokens.append(int(plain_logits(model, tokens)[-1].argmax()))
    return tuple(tokens[len(ids) :])


@pytest.mark.parametrize("family", FAMILIES)
def test_greedy_is_the_naive_loop_in_every_family(make_engine: MakeEngine, family: str) -> None:
    """Several at once, in chunks that cut prompts anywhere, with blocks smaller than the window."""
    model = tiny(**FAMILIES[family])
    engine = make_engine(TorchRunner(model, num_blocks=60, block_size=4), max_num_seqs=3, max_batch_tokens=23)
    prompts = [prompt(length, length) for length in (1, 5, 40, 64)]
    for ids, generation in zip(prompts, [engine.submit(ids, GREEDY) for ids in prompts], strict=True):
        assert generation.result(60)[0].token_ids == naive(model, ids, 20)


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_of_chunks_are_those_of_the_whole(family: str) -> None:
    model = tiny(**FAMILIES[family])
    runner = TorchRunner(model, num_blocks=30, block_size=4)
    ids, expected = prompt(50), plain_logits(model, prompt(50))
    blocks = [7, 3, 20, 1, 9, 11, 2, 28, 5, 16, 4, 8, 10]
    start = 0
    for size in (1, 13, 1, 30, 5):
        logits = runner.run([Chunk(ids[start : start + size], start, blocks, size)])
        assert np.abs(logits - expected[start : start + size]).max() < 1e-4
        start += size


def test_wanted_rows_come_in_the_order_of_the_chunks() -> None:
    model = tiny()
    runner = TorchRunner(model, num_blocks=30, block_size=8)
    chunks = [Chunk(prompt(9), 0, [0, 1], 1), Chunk(prompt(5, 1), 0, [2], 0), Chunk(prompt(7, 2), 0, [3], 3)]
    logits = runner.run(chunks)
    assert logits.shape == (4, VOCAB_SIZE)
    assert np.abs(logits[0] - plain_logits(model, prompt(9))[-1]).max() < 1e-4
    assert np.abs(logits[1:] - plain_logits(model, prompt(7, 2))[-3:]).max() < 1e-4
    assert runner.run(chunks[1:2]).shape == (0, VOCAB_SIZE)


@pytest.mark.parametrize("family", FAMILIES)
def test_batched_decoding_is_decoding_one_by_one(family: str) -> None:
    """The form that graphics cards use, tried on the CPU; contexts of different length, some beyond the window."""
    model = tiny(**FAMILIES[family])
    runner = TorchRunner(model, num_blocks=40, block_size=4)
    lengths, chunks, expected = (3, 30, 17), [], []
    for i, length in enumerate(lengths):
        ids, blocks = prompt(length + 1, i), list(range(i * 10, i * 10 + 8))
        runner.run([Chunk(ids[:-1], 0, blocks, 1)])
        chunks.append(Chunk(ids[-1:], length, blocks[: length // 4 + 1], 1))
        expected.append(plain_logits(model, ids)[-1])
    with torch.inference_mode():
        logits = runner._decode(chunks).numpy()
    assert np.abs(logits - np.stack(expected)).max() < 1e-4


def test_rows_of_padding_change_nothing() -> None:
    """What a CUDA graph replays, run directly: two sequences padded to a batch of four and to longer tables."""
    model = tiny(num_kv_heads=2)
    runner = CudaRunner(model, num_blocks=10, block_size=4)
    chunks = []
    for i, length in enumerate((5, 11)):
        ids, blocks = prompt(length + 1, i), list(range(i * 5, i * 5 + 5))
        runner.run([Chunk(ids[:-1], 0, blocks, 0)])
        chunks.append(Chunk(ids[-1:], length, blocks[: length // 4 + 1], 1))
    expected = runner.run(chunks)
    before = runner._memory[:, :, :10].clone()
    with torch.inference_mode():
        logits = runner._step(torch.tensor(runner._rows(chunks, 4, 8)))
    assert np.abs(logits[:2].numpy() - expected).max() < 1e-5
    assert torch.isfinite(logits).all()
    assert torch.allclose(runner._memory[:, :, :10], before, atol=1e-5)


def test_copied_blocks_hold_the_same_keys() -> None:
    model = tiny()
    runner = TorchRunner(model, num_blocks=4, block_size=8)
    ids = prompt(9)
    runner.run([Chunk(ids[:8], 0, [0], 1)])
    runner.copy_block(0, 2)
    logits = runner.run([Chunk(ids[8:], 8, [2, 3], 1)])
    assert np.abs(logits[0] - plain_logits(model, ids)[-1]).max() < 1e-4


def test_reuse_forks_and_preemption_with_a_real_model(make_engine: MakeEngine) -> None:
    model = tiny(num_kv_heads=2)
    sampled = SamplingParams(seed=1, max_tokens=20, ignore_eos=True)
    roomy = make_engine(TorchRunner(model, num_blocks=200, block_size=4))
    expected = [roomy.submit(prompt(20, i), sampled.replace(n=2)).result(60) for i in range(4)]
    assert roomy.submit(prompt(20, 0), sampled.replace(n=2)).result(60)[0].cached_tokens == 16
    tight = make_engine(TorchRunner(model, num_blocks=14, block_size=4))
    generations = [tight.submit(prompt(20, i), sampled.replace(n=2)) for i in range(4)]
    for generation, answers in zip(generations, expected, strict=True):
        assert [a.token_ids for a in generation.result(60)] == [a.token_ids for a in answers]
    assert tight.stats().preemptions > 0


def test_logprobs_are_those_of_the_model(make_engine: MakeEngine) -> None:
    model = tiny()
    engine = make_engine(TorchRunner(model, num_blocks=20, block_size=16))
    answer = engine.submit(prompt(20), GREEDY.replace(logprobs=4, prompt_logprobs=0)).result(60)[0]
    ids = [*prompt(20), *answer.token_ids]
    expected = torch.log_softmax(torch.from_numpy(plain_logits(model, ids)), dim=-1)
    assert answer.logprobs is not None
    assert answer.prompt_logprobs is not None
    for position, entry in enumerate((*answer.prompt_logprobs[1:], *answer.logprobs), 1):
        assert entry is not None
        assert entry.logprob == pytest.approx(float(expected[position - 1, ids[position]]), abs=1e-4)
    values, tokens = expected[-2].topk(4)
    assert [token for token, _ in answer.logprobs[-1].top] == tokens.tolist()
    assert [value for _, value in answer.logprobs[-1].top] == pytest.approx(values.tolist(), abs=1e-4)


def test_what_cannot_run_is_refused() -> None:
    with pytest.raises(UnsupportedModelError, match="both directions"):
        TorchRunner(tiny(causal=False), num_blocks=4)
    with pytest.raises(InvalidParameterError, match="bytes"):
        TorchRunner(tiny(), kv_memory_bytes=10)
    for length in (1, 201):
        with pytest.raises(InvalidParameterError, match="between 2 and the model's 200"):
            TorchRunner(tiny(), num_blocks=4, max_model_len=length)


def test_memory_is_counted_in_blocks() -> None:
    runner = TorchRunner(tiny(num_kv_heads=2), kv_memory_bytes=100_000, block_size=16)
    assert runner.num_blocks == 100_000 // (3 * 2 * 16 * 2 * 8 * 4)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("family", FAMILIES)
def test_cuda_graphs_give_the_text_of_the_plain_loop(make_engine: MakeEngine, family: str) -> None:
    model = tiny(**FAMILIES[family])
    prompts = [prompt(length, length) for length in (1, 5, 40, 64, 17)]
    expected = [naive(model, ids, 20) for ids in prompts]
    engine = make_engine(CudaRunner(model.to("cuda"), num_blocks=60, block_size=4), max_num_seqs=3)
    for text, generation in zip(expected, [engine.submit(ids, GREEDY) for ids in prompts], strict=True):
        assert generation.result(120)[0].token_ids == text
