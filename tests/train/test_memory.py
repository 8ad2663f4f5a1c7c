"""What training takes, as estimated, against what PyTorch really keeps."""

import subprocess
import sys
from typing import Any

import pytest
import torch

from chatwright.model import ModelConfig, MoEConfig, build_model, count_parameters
from chatwright.train.batch import Batch
from chatwright.train.footprint import estimate_memory
from chatwright.train.likelihood import hidden_states
from chatwright.train.memory import is_out_of_memory, rows_that_fit
from chatwright.train.optimizers import Optimizers
from chatwright.train.settings import StageSettings
from tests.train.doubles import MadeUpFeed

BASE = ModelConfig(
    vocab_size=64, hidden_size=64, num_layers=4, num_heads=4, num_kv_heads=2, intermediate_size=160, qk_norm=True
)
SHAPES: dict[str, ModelConfig] = {
    "qwen3": BASE,
    "llama": BASE.replace(qk_norm=False),
    "gemma": BASE.replace(norm_placement="sandwich", feed_forward="geglu"),
    "gpt2": BASE.replace(
        position="learned", norm="layer", feed_forward="gelu_tanh", qk_norm=False, num_kv_heads=4, qkv_bias=True
    ),
    "experts": BASE.replace(moe=MoEConfig(num_experts=8, num_experts_per_token=2, intermediate_size=64)),
}


def kept_per_token(config: ModelConfig, batch: Batch) -> float:
    """Bytes that a forward pass keeps for the backward pass, weights left out, each piece of memory counted once."""
    model = build_model(config)
    own = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    sizes: dict[int, int] = {}
    alive = []

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            alive.append(tensor)  # or its address would be given to the next one
            sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        hidden = hidden_states(model, batch)
    assert hidden.requires_grad
    return sum(sizes.values()) / len(batch.input_ids_N)


@pytest.mark.parametrize("name", list(SHAPES))
def test_activations(name: str) -> None:
    (batch,) = MadeUpFeed(rows_per_step=8, rows_per_micro_batch=8).micro_batches(0)
    estimated = estimate_memory(SHAPES[name], itemsize=4).activation_per_token
    real = kept_per_token(SHAPES[name], batch)
    assert real <= estimated < 1.6 * real


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_moments(optimizer: Any) -> None:
    model = build_model(SHAPES["experts"])
    parameters = {f"model.{name}": parameter for name, parameter in model.named_parameters()}
    optimizers = Optimizers(parameters, StageSettings(optimizer=optimizer))
    for parameter in parameters.values():
        parameter.grad = torch.zeros_like(parameter)
    optimizers.step()
    real = sum(value.nbytes for value in optimizers.state().values())
    estimate = estimate_memory(SHAPES["experts"], itemsize=4, optimizer=optimizer)
    assert estimate.optimizer == pytest.approx(real, rel=0.03)


def test_master_weights_and_adapters() -> None:
    whole = estimate_memory(BASE, itemsize=2, mean=True)
    size = count_parameters(BASE)
    assert (whole.weights, whole.masters, whole.mean) == (2 * size, 4 * size, 4 * size)
    adapters = estimate_memory(BASE, itemsize=2, trainable=100)
    assert (adapters.weights, adapters.masters, adapters.optimizer) == (2 * size, 400, 800)
    assert estimate_memory(BASE, itemsize=4).masters == 0
    again = estimate_memory(BASE, itemsize=2, recompute=True)
    assert again.activation_per_token < whole.activation_per_token


def test_who_samples_answers_from_parts_needs_the_whole_and_keeps_part_of_a_reference() -> None:
    size = count_parameters(BASE)
    plain = estimate_memory(BASE, itemsize=2)
    sampling = estimate_memory(BASE, itemsize=2, samples=True, reference=size)
    assert sampling.fixed - plain.fixed == 2 * size
    parts = sampling.sharded(4)
    assert parts.reference == 2 * size // 4
    assert parts.transient - plain.transient == 2 * size > plain.sharded(4).transient - plain.transient


def test_rows_are_divided_evenly() -> None:
    estimate = estimate_memory(BASE, itemsize=4)
    feed = MadeUpFeed(rows_per_step=10)
    row = estimate.activation_per_token * feed.tokens_per_row

    def rows(free: int | None, world_size: int = 1) -> int:
        return rows_that_fit(feed, estimate, torch.device("cpu"), present=0, world_size=world_size, free=free)

    assert rows(None) == 10
    assert rows(0) == 1
    enough_for_nine = int((estimate.fixed + 9.5 * row) / 0.6)
    assert rows(enough_for_nine) == 5  # twice five, and not nine and one
    assert rows(enough_for_nine, world_size=2) == 5
    assert rows(enough_for_nine, world_size=4) == 3


def test_what_counts_as_out_of_memory() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert not is_out_of_memory(RuntimeError("shapes do not fit"))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a process starts with a peak of its own")
def test_the_peak_is_not_that_of_the_program_which_launched_this_one() -> None:
    own = "import torch, chatwright.train.memory as m; print(m.peak_memory_bytes(torch.device('cpu')))"
    launcher = f"import os, sys; large = bytearray(2 << 30); os.execv(sys.executable, [sys.executable, '-c', {own!r}])"
    result = subprocess.run([sys.executable, "-c", launcher], capture_output=True, text=True, check=True)
    assert 50 << 20 < int(result.stdout) < 2 << 30
