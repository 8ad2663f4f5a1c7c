"""Operations are counted as the model does them."""

import json
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from chatwright.model import ModelConfig, MoEConfig, build_model
from chatwright.train import throughput
from chatwright.train.flops import ModelFlops, active_matrix_parameters
from chatwright.train.throughput import matmul_peak

CONFIG = ModelConfig(
    vocab_size=512, hidden_size=64, num_layers=3, num_heads=4, num_kv_heads=2, head_dim=32, intermediate_size=160
)


@pytest.mark.parametrize(
    "config",
    [CONFIG, CONFIG.replace(tie_embeddings=False), CONFIG.replace(feed_forward="gelu", position="learned")],
    ids=["tied", "untied", "plain"],
)
def test_against_pytorchs_counter(config: ModelConfig) -> None:
    """Both ways; of attention, PyTorch counts what is masked too, and the backward pass' second look at the scores."""
    model, length = build_model(config), 64
    ids = torch.zeros(1, length, dtype=torch.int64)
    with FlopCounterMode(display=False) as counter:
        model(ids).logits.sum().backward()
    every = counter.get_flop_counts()["Global"]
    attention = sum(count for kind, count in every.items() if "attention" in str(kind))
    matrices = sum(every.values()) - attention
    ours = ModelFlops.of(config)
    assert ours.of_documents((length,), length) - sum(ours.per_pair) * length * (length + 1) / 2 == pytest.approx(
        matrices,
        rel=0.01,  # norms and biases are counted as if they were matrices
    )
    forward = 4 * config.num_heads * config.head_size * length * length * config.num_layers
    assert sum(ours.per_pair) * length * length == 3 * forward


def test_a_token_is_counted_with_those_it_sees() -> None:
    ours = ModelFlops.of(CONFIG)
    one, two = ours.of_documents((64,), 0), ours.of_documents((32, 32), 0)
    pairs = (64 * 65 - 2 * 32 * 33) / 2
    assert one - two == pytest.approx(sum(ours.per_pair) * pairs)
    window = ModelFlops.of(CONFIG.replace(sliding_window=8, layer_types=("sliding", "sliding", "full")))
    seen = sum(min(position + 1, 8) for position in range(64))
    assert window.of_documents((64,), 0) == pytest.approx(
        ours.per_token * 64 + ours.per_pair[0] * (2 * seen + 64 * 65 / 2)
    )
    both_ways = ModelFlops.of(CONFIG.replace(causal=False))
    assert both_ways.of_documents((64,), 0) == pytest.approx(ours.per_token * 64 + sum(ours.per_pair) * 64 * 64)


def test_only_the_experts_in_use_count() -> None:
    moe = CONFIG.replace(moe=MoEConfig(num_experts=8, num_experts_per_token=2, intermediate_size=40))
    fewer = CONFIG.replace(moe=MoEConfig(num_experts=2, num_experts_per_token=2, intermediate_size=40))
    router = 3 * 6 * CONFIG.hidden_size
    assert active_matrix_parameters(moe) == active_matrix_parameters(fewer) + router


def test_frozen_weights_need_no_gradient() -> None:
    assert ModelFlops.of(CONFIG, trained_part=0.0).per_token == pytest.approx(ModelFlops.of(CONFIG).per_token * 2 / 3)


def test_the_peak_is_the_most_that_was_ever_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rates = iter([3e11, 5e11, 4e11, 5e11, 5e11])
    monkeypatch.setattr(throughput, "_measure", lambda *what: next(rates))
    cpu = torch.device("cpu")
    assert [matmul_peak(cpu, torch.float32) for _ in range(3)] == [3e11, 5e11, 5e11]
    matmul_peak(cpu, torch.bfloat16)
    (memo,) = throughput.cache_dir().glob("matmul-peaks.json")
    assert list(json.loads(memo.read_text()).values()) == [5e11, 5e11]
    memo.write_text("{ damaged")
    assert matmul_peak(cpu, torch.float32) == 5e11
    assert matmul_peak(torch.device("meta"), torch.float32) is None
