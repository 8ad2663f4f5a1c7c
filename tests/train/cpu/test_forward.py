"""The fused training step on a CPU against the modules it stands for, computed in float32."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from chatwright.data.example import Document, Example
from chatwright.model import GPT, ModelConfig, RopeConfig
from chatwright.model.lora import add_adapters
from chatwright.train.batch import Batch
from chatwright.train.blocks import running_blocks
from chatwright.train.cpu import forward as fused
from chatwright.train.likelihood import cross_entropy, token_log_probs
from chatwright.train.precision import MasterWeights

SHAPE: dict[str, Any] = {
    "vocab_size": 96,
    "hidden_size": 64,
    "num_layers": 2,
    "num_heads": 4,
    "intermediate_size": 96,
    "initializer_range": 0.1,
}
VARIANTS = {
    "llama": {"num_kv_heads": 2},
    "qwen3": {"num_kv_heads": 2, "qk_norm": True, "head_dim": 32},
    "biases": {"qkv_bias": True, "output_bias": True, "tie_embeddings": False},
    "window": {"sliding_window": 5, "layer_types": ("full", "sliding"), "rope_local": RopeConfig(theta=1000.0)},
    "nowhere": {"position": "none", "num_kv_heads": 1},
}


def model_of(**changes: Any) -> GPT:
    model = GPT(ModelConfig(**SHAPE, **changes))
    generator = torch.Generator().manual_seed(5)
    for name, parameter in model.named_parameters():  # norms that are all 1 would hide a forgotten weight
        if "norm" in name or "bias" in name:
            parameter.data += 0.2 * torch.randn(parameter.shape, generator=generator)
    return model


def batch_of(lengths: Sequence[int] = (7, 7, 7, 33, 2), multiple_of: int = 32) -> Batch:
    rng = np.random.default_rng(3)
    documents = [Document(rng.integers(0, 96, n).astype(np.int32), rng.random(n) < 0.7) for n in lengths]
    return Batch.of([Example((document,)) for document in documents], multiple_of=multiple_of)


def gradients(model: GPT, loss: Callable[[GPT, Batch], Tensor], batch: Batch) -> tuple[float, dict[str, Tensor]]:
    total = loss(model, batch)
    total.backward()  # type: ignore[no-untyped-call]
    found = {name: parameter.grad for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert all(grad is not None for grad in found.values())
    return total.item(), {name: grad.float() for name, grad in found.items() if grad is not None}


def check(make: Callable[[], GPT], loss: Callable[[GPT, Batch], Tensor], batch: Batch) -> None:
    """The fused gradients are about as near to float32's as those of the modules in bfloat16 are."""
    value, exact = gradients(make(), loss, batch)
    in_bfloat16 = make()
    MasterWeights({"model": in_bfloat16}, torch.bfloat16)
    assert fused.supports(in_bfloat16)
    fused_value, found = gradients(in_bfloat16, loss, batch)
    in_bfloat16.zero_grad()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fused, "supports", lambda model: False)
        module_value, rounded = gradients(in_bfloat16, loss, batch)
    assert abs(fused_value - value) <= 2 * abs(module_value - value) + 2e-3 * abs(value)
    assert found.keys() == exact.keys()
    for name, grad in exact.items():
        allowed = 1.6 * (rounded[name] - grad).norm() + 0.01 * grad.norm()
        assert (found[name] - grad).norm() <= allowed, name


@pytest.mark.parametrize("variant", VARIANTS)
def test_fused_loss_and_gradients_are_those_of_the_modules(variant: str) -> None:
    check(lambda: model_of(**VARIANTS[variant]), cross_entropy, batch_of())


def test_documents_longer_than_a_block_of_queries() -> None:
    check(lambda: model_of(**VARIANTS["qwen3"]), cross_entropy, batch_of((700, 520, 3), multiple_of=1))


def test_log_probabilities_and_their_gradients() -> None:
    def weighted(model: GPT, batch: Batch) -> Tensor:
        values = token_log_probs(model, batch, temperature=0.7)
        return (values * torch.linspace(-1, 1, len(values))).sum()

    check(model_of, weighted, batch_of())


def test_z_loss_is_that_of_the_definition() -> None:
    plain = model_of()
    only = batch_of((60,), multiple_of=1)
    logits = plain(only.input_ids_N[None]).logits[0][only.labels_N != -100]
    labels = only.labels_N[only.labels_N != -100]
    expected = torch.nn.functional.cross_entropy(logits, labels, reduction="sum")
    expected = expected + 0.1 * torch.logsumexp(logits, -1).square().sum()
    assert cross_entropy(plain, only, z_loss=0.1).item() == pytest.approx(expected.item(), rel=1e-5)
    assert cross_entropy(model_of().to(torch.bfloat16), only, z_loss=0.1).item() == pytest.approx(
        expected.item(), rel=1e-2
    )


def test_a_document_does_not_see_its_neighbours() -> None:
    model = model_of().to(torch.bfloat16)
    together = batch_of((9, 21))
    alone = Batch.of([Example((Document(together.input_ids_N[9:30].numpy().astype(np.int32)),))], multiple_of=32)
    hidden = fused.hidden_states(model, together)[9:30]
    assert torch.equal(hidden, fused.hidden_states(model, alone)[:21])


def test_adapters_train_as_on_the_modules() -> None:
    def adapted() -> GPT:
        model = model_of()
        add_adapters(model, r=4, seed=1)
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.data += 0.05
        return model

    check(adapted, cross_entropy, batch_of())


def test_recomputed_layers_give_the_same_gradients() -> None:
    model = model_of().to(torch.bfloat16)
    _, expected = gradients(model, cross_entropy, batch_of())
    model.zero_grad()
    with running_blocks(model, recompute=True, compiled=False):
        assert fused.supports(model)
        _, found = gradients(model, cross_entropy, batch_of())
    assert all(torch.equal(found[name], grad) for name, grad in expected.items())


@pytest.mark.parametrize(
    "changes", [{"norm": "layer"}, {"dropout": 0.1}, {"causal": False}, {"feed_forward": "gelu"}, {"norm_offset": 1.0}]
)
def test_other_shapes_run_as_modules(changes: dict[str, Any]) -> None:
    model = model_of(**changes).to(torch.bfloat16)
    assert not fused.supports(model)
    assert np.isfinite(cross_entropy(model, batch_of()).item())


def test_results_do_not_depend_on_the_number_of_threads() -> None:
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            results.append(gradients(model_of().to(torch.bfloat16), cross_entropy, batch_of()))
    finally:
        torch.set_num_threads(before)
    norms = [name for name in results[0][1] if "norm" in name]
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-6)
    assert norms
    assert all(torch.allclose(results[0][1][n], results[1][1][n], rtol=1e-2) for n in norms)
