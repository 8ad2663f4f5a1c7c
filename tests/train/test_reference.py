"""The reference: scored once, found again, never by a model that has learned since."""

from pathlib import Path

import numpy as np
import pytest
import torch

from chatwright.data.example import Document, Example
from chatwright.errors import ConfigError
from chatwright.model import GPT, ModelConfig
from chatwright.model.lora import LoRALinear, add_adapters
from chatwright.train.batch import Batch
from chatwright.train.likelihood import document_sums, token_log_probs
from chatwright.train.reference import LiveReference, StoredReference, without_dropout

CONFIG = ModelConfig(
    vocab_size=40,
    hidden_size=16,
    num_layers=1,
    num_heads=2,
    num_kv_heads=1,
    intermediate_size=32,
    max_position_embeddings=64,
    dropout=0.3,
    initializer_range=0.3,
)


@pytest.fixture
def model() -> GPT:
    return GPT(CONFIG).train()


def pairs(seed: int, count: int = 3) -> list[Example]:
    generator = np.random.default_rng(seed)

    def document() -> Document:
        ids = generator.integers(0, 40, size=generator.integers(4, 9)).astype(np.int32)
        return Document(ids, np.arange(len(ids)) >= 2)

    return [Example((document(), document())) for _ in range(count)]


def change(model: GPT) -> None:
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter))


def truth(model: GPT, batch: Batch) -> torch.Tensor:
    with torch.no_grad():
        return document_sums(token_log_probs(model.eval(), batch), batch)


def test_scores_are_of_the_model_before_and_without_dropout(model: GPT, tmp_path: Path) -> None:
    batch = Batch.of(pairs(0))
    StoredReference(tmp_path).prepare(model, [batch])
    assert model.training
    expected = truth(model, batch)
    change(model)
    torch.testing.assert_close(StoredReference(tmp_path).document_log_probs(batch), expected)


def test_examples_are_found_in_any_other_division(model: GPT, tmp_path: Path) -> None:
    examples = pairs(0, 4)
    reference = StoredReference(tmp_path)
    reference.prepare(model, [Batch.of(examples[:1]), Batch.of(examples[1:], multiple_of=32)])
    shuffled = Batch.of([examples[2], examples[0]], index=[7, 7])
    torch.testing.assert_close(reference.document_log_probs(shuffled), truth(model, shuffled))


def test_nothing_is_scored_twice(model: GPT, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = Batch.of(pairs(0)), Batch.of(pairs(1))
    StoredReference(tmp_path).prepare(model, [first])
    resumed = StoredReference(tmp_path)
    resumed.prepare(model, [first, second])  # held-out data, or a run that was killed in between
    monkeypatch.setattr("chatwright.train.reference.token_log_probs", None)
    change(model)
    again = StoredReference(tmp_path)
    again.prepare(model, [first, second])
    assert torch.equal(again.document_log_probs(second), resumed.document_log_probs(second))


def test_a_trained_model_is_no_reference(model: GPT, tmp_path: Path) -> None:
    StoredReference(tmp_path).prepare(model, [Batch.of(pairs(0))])
    change(model)
    resumed = StoredReference(tmp_path)
    with pytest.raises(ConfigError, match="the model has been trained since"):
        resumed.prepare(model, [Batch.of(pairs(1))])
    with pytest.raises(ConfigError, match="3 of 3 examples are not among the 3"):
        resumed.document_log_probs(Batch.of(pairs(1)))


@pytest.mark.parametrize("with_adapters", [False, True])
def test_a_live_reference_stays_what_the_model_was(model: GPT, with_adapters: bool) -> None:
    batch = Batch.of(pairs(0))
    expected = truth(model, batch)
    if with_adapters:
        add_adapters(model, r=2, seed=0)
    reference = LiveReference(model)
    change(model)
    model.train()
    scored = reference.document_log_probs(model, batch)
    torch.testing.assert_close(scored, expected)
    assert not scored.requires_grad
    assert model.training
    assert not torch.allclose(truth(model, batch), expected)


def test_adapters_can_always_be_switched_off_again(model: GPT, tmp_path: Path) -> None:
    batch, more = Batch.of(pairs(0)), Batch.of(pairs(1))
    expected = truth(model, more)
    add_adapters(model, r=2, seed=0)
    StoredReference(tmp_path).prepare(model, [batch])
    change(model)
    resumed = StoredReference(tmp_path)
    resumed.prepare(model, [more])
    torch.testing.assert_close(resumed.document_log_probs(more), expected)


def test_without_dropout(model: GPT) -> None:
    add_adapters(model, r=2, lora_dropout=0.5, seed=0)
    without_dropout(model)
    batch = Batch.of(pairs(0))
    change(model)
    assert all(module.dropout == 0 for module in model.modules() if isinstance(module, LoRALinear))
    model.train()
    trained = document_sums(token_log_probs(model, batch), batch).detach()
    assert torch.equal(trained, truth(model, batch))
    assert model.config.dropout == 0.3
