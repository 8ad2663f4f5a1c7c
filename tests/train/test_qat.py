"""Weights rounded in training as the engine rounds them in serving."""

import numpy as np
import pytest
import torch

from chatwright.data.example import Document, Example
from chatwright.engine.cpu.pack import Packed, pack
from chatwright.engine.cpu.tiles import INT8
from chatwright.errors import ConfigError
from chatwright.model import GPT, ModelConfig, build_model
from chatwright.model.lora import add_adapters
from chatwright.train.batch import Batch
from chatwright.train.likelihood import cross_entropy
from chatwright.train.precision import MasterWeights
from chatwright.train.qat import int8_rounded, int8_rounding
from tests.engine.cpu.dequantise import dequantised

CONFIG = ModelConfig(vocab_size=64, hidden_size=32, num_layers=2, num_heads=2, intermediate_size=64)


def test_it_is_what_the_engine_holds() -> None:
    weight = torch.randn(64, 96, generator=torch.Generator().manual_seed(0)) * torch.logspace(-4, 2, 64)[:, None]
    weight[3] = 0
    bits, data = pack(weight.numpy())
    assert bits == INT8
    held = dequantised(data, Packed(bits, 0, 64, 3))
    assert np.array_equal(int8_rounded(weight).numpy(), held)


def test_rows_that_end_within_a_group() -> None:
    weight = torch.randn(3, 40, generator=torch.Generator().manual_seed(0))
    rounded = int8_rounded(weight)
    assert rounded.shape == weight.shape
    assert torch.equal(rounded[:, :32], int8_rounded(weight[:, :32]))
    assert float((rounded - weight).abs().max()) < 0.02


def squares() -> Batch:
    """Sequences that a tiny model learns by heart in a few hundred steps."""
    ids = [
        np.array([(a * i * i + b) % 61 for i in range(24)], dtype=np.int32)
        for a in range(1, 5)
        for b in range(0, 40, 8)
    ]
    return Batch.of([Example((Document(sequence),)) for sequence in ids])


def losses_after_training(*, qat: bool, levels: int) -> tuple[float, float]:
    """The loss of a trained model in float32, and when its matrices are rounded."""
    model, batch = build_model(CONFIG, seed=1), squares()
    rounding = int8_rounding(model, levels=levels)
    masters = MasterWeights({"model": model}, torch.float32, rounding=rounding if qat else None)
    optimizer = torch.optim.AdamW(masters.parameters.values(), lr=3e-3)
    for _ in range(150):
        (cross_entropy(model, batch) / batch.num_labels).backward()
        masters.collect()
        optimizer.step()
        optimizer.zero_grad()
        masters.publish()
    masters.finish()
    with torch.no_grad():
        plain = float(cross_entropy(model, batch)) / batch.num_labels
        for name, parameter in model.named_parameters():
            parameter.copy_(rounding(f"model.{name}", parameter))
        return plain, float(cross_entropy(model, batch)) / batch.num_labels


def test_a_model_that_was_trained_for_it_loses_less_by_rounding() -> None:
    """Eight bits in groups of 32 cost a tiny model little either way; with fewer levels the training decides."""
    (plain, rounded), (_, rounded_qat) = (losses_after_training(qat=qat, levels=3) for qat in (False, True))
    assert rounded > 2 * plain
    assert rounded_qat < 0.5 * rounded
    plain_qat, rounded_qat = losses_after_training(qat=True, levels=127)
    assert rounded_qat - plain_qat < 0.002


def held(model: GPT) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def test_passes_see_rounded_matrices_and_files_get_the_masters() -> None:
    model = build_model(CONFIG, seed=2)
    before = held(model)
    masters = MasterWeights({"model": model}, torch.float32, rounding=int8_rounding(model))
    working = held(model)
    assert torch.equal(working["layers.0.attn.q_proj.weight"], int8_rounded(before["layers.0.attn.q_proj.weight"]))
    assert torch.equal(working["embed.weight"], int8_rounded(before["embed.weight"]))  # it is the head too
    assert torch.equal(working["norm.weight"], before["norm.weight"])
    with masters.exported(masters.parameters):
        assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    masters.finish()
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_an_untied_head_is_rounded_and_its_embedding_is_not() -> None:
    model = build_model(CONFIG.replace(tie_embeddings=False))
    before = held(model)
    MasterWeights({"model": model}, torch.float32, rounding=int8_rounding(model))
    assert torch.equal(model.embed.weight, before["embed.weight"])
    assert torch.equal(model.state_dict()["head.weight"], int8_rounded(before["head.weight"]))


def test_adapters_and_rounding_exclude_each_other() -> None:
    model = build_model(CONFIG)
    add_adapters(model)
    with pytest.raises(ConfigError, match="leave out one of the two"):
        int8_rounding(model)
