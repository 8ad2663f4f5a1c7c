"""Adapters beside the projections: what they compute, what they learn, and that they can be taken away again."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from chatwright.errors import ConfigError, UnsupportedModelError
from chatwright.model import GPT, ModelConfig, MoEConfig, build_model, save_model
from chatwright.model.lora import LoRALinear, adapted_modules, add_adapters, disabled_adapters, merge_adapters

CONFIG = ModelConfig(
    vocab_size=61, hidden_size=32, num_layers=2, num_heads=4, num_kv_heads=2, intermediate_size=48, qkv_bias=True
)
IDS = torch.randint(0, 61, (2, 9), generator=torch.Generator().manual_seed(1))


def adapted(*, learned: bool = True, dtype: torch.dtype = torch.float32, **options: Any) -> GPT:
    """A tiny model with adapters; ``learned`` fills what starts as zero, so that they do something."""
    model = build_model(CONFIG, seed=3, dtype=dtype).eval()
    add_adapters(model, r=4, lora_alpha=8.0, **options)
    if learned:
        generator = torch.Generator().manual_seed(5)
        for module in adapted_modules(model).values():
            module.lora_B.data.normal_(0, 0.1, generator=generator)
            if module.magnitude is not None:
                module.magnitude.data *= 1.2
    return model


@pytest.mark.parametrize("options", [{}, {"use_dora": True}, {"use_rslora": True}], ids=["lora", "dora", "rslora"])
def test_fresh_adapters_change_nothing_and_only_they_are_trained(options: dict[str, Any]) -> None:
    plain, model = build_model(CONFIG, seed=3).eval(), adapted(learned=False, **options)
    torch.testing.assert_close(model(IDS).logits, plain(IDS).logits)
    trained = {name.rpartition(".")[2] for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert trained == {"lora_A", "lora_B"} | ({"magnitude"} if "use_dora" in options else set())
    assert plain.state_dict().keys() <= model.state_dict().keys()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("options", [{}, {"use_dora": True}, {"use_rslora": True}], ids=["lora", "dora", "rslora"])
def test_a_merged_model_answers_as_the_adapted_one(options: dict[str, Any], dtype: torch.dtype) -> None:
    model = adapted(dtype=dtype, **options)
    expected = model(IDS).logits
    merge_adapters(model)
    assert not adapted_modules(model)
    tolerance = 1e-5 if dtype is torch.float32 else 0.02
    torch.testing.assert_close(model(IDS).logits, expected, atol=tolerance, rtol=tolerance)
    assert model.state_dict().keys() == build_model(CONFIG).state_dict().keys()


def test_disabled_adapters_give_the_model_below_and_come_back() -> None:
    plain, model = build_model(CONFIG, seed=3).eval(), adapted()
    with_adapters = model(IDS).logits
    with disabled_adapters(model):
        assert torch.equal(model(IDS).logits, plain(IDS).logits)
    assert torch.equal(model(IDS).logits, with_adapters)


@pytest.mark.parametrize("use_dora", [False, True], ids=["lora", "dora"])
def test_gradients_are_those_of_the_formula(use_dora: bool) -> None:
    base = torch.nn.Linear(6, 5)
    base.requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(3, 6, generator=generator), torch.randn(5, 3, generator=generator)
    magnitude = torch.rand(5, generator=generator) if use_dora else None
    module = LoRALinear(base, a, b, magnitude, scaling=0.5)
    x = torch.randn(2, 4, 6, generator=generator).requires_grad_()
    weights = torch.randn(2, 4, 5, generator=generator)

    def formula() -> Tensor:
        y = x @ (base.weight + 0.5 * module.lora_B @ module.lora_A).T
        if module.magnitude is not None:
            y = y * (module.magnitude / module.weight_norm())
        return y + base.bias

    parameters = [x, *(p for p in module.parameters() if p.requires_grad)]
    ours = torch.autograd.grad((module(x) * weights).sum(), parameters)
    theirs = torch.autograd.grad((formula() * weights).sum(), parameters)
    for got, expected in zip(ours, theirs, strict=True):
        torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)


def test_the_norm_of_rows_that_are_never_made() -> None:
    module = adapted(use_dora=True).get_submodule("layers.0.mlp.up_proj")
    assert isinstance(module, LoRALinear)
    rows = module.weight + module.scaling * module.lora_B @ module.lora_A
    torch.testing.assert_close(module.weight_norm(), rows.norm(dim=1))


def test_dropout_is_on_the_adapters_input_in_training_only() -> None:
    model = adapted(lora_dropout=0.5)
    assert torch.equal(model(IDS).logits, model(IDS).logits)
    model.train()
    torch.manual_seed(0)
    assert not torch.equal(model(IDS).logits, model(IDS).logits)
    with disabled_adapters(model):
        assert torch.equal(model(IDS).logits, model(IDS).logits)


def test_the_seed_decides_the_adapters() -> None:
    first, second, other = (adapted(learned=False, seed=seed).state_dict() for seed in (1, 1, 2))
    name = "layers.1.attn.o_proj.lora_A"
    assert torch.equal(first[name], second[name])
    assert not torch.equal(first[name], other[name])
    assert first[name].abs().max() <= 32**-0.5


def test_targets_are_chosen_by_name_and_unknown_ones_named() -> None:
    model = adapted(target_modules=["q_proj", "layers.1.mlp.up_proj"])
    assert set(adapted_modules(model)) == {"layers.0.attn.q_proj", "layers.1.attn.q_proj", "layers.1.mlp.up_proj"}
    with pytest.raises(ConfigError, match="has adapters already"):
        add_adapters(model)
    with pytest.raises(ConfigError, match=r"'c_attn', but this model has no such projection; it has down_proj"):
        add_adapters(build_model(CONFIG), target_modules=["c_attn"])


def test_routers_are_left_alone() -> None:
    model = build_model(CONFIG.replace(moe=MoEConfig(4, 2, 16), qkv_bias=False))
    add_adapters(model, r=2)
    assert {name.rpartition(".")[2] for name in adapted_modules(model)} == {"q_proj", "k_proj", "v_proj", "o_proj"}


def test_an_adapted_model_is_not_saved_as_if_it_were_whole(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModelError, match="merge them first"):
        save_model(adapted(), tmp_path)
