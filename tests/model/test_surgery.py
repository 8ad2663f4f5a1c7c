"""Growing a model changes nothing at first, and then what was added learns."""

from pathlib import Path
from typing import Any

import pytest
import torch

from chatwright.errors import ConfigError
from chatwright.model import GPT, ModelConfig, MoEConfig, build_model, load_model, save_model
from chatwright.model.lora import add_adapters
from chatwright.model.surgery import add_layers, drop_layers, resize_vocabulary, widen_feed_forward, widen_stream

BASE: dict[str, Any] = {
    "vocab_size": 53,
    "hidden_size": 24,
    "num_layers": 3,
    "num_heads": 4,
    "num_kv_heads": 2,
    "intermediate_size": 40,
    "max_position_embeddings": 32,
}
GPT2: dict[str, Any] = {"norm": "layer", "position": "learned", "feed_forward": "gelu_tanh", "num_kv_heads": 4}
SHAPES = {
    "qwen3": ModelConfig(**BASE, qk_norm=True, head_dim=8),
    "llama-untied": ModelConfig(**BASE, tie_embeddings=False),
    "gpt2": ModelConfig(**BASE | GPT2, qkv_bias=True, output_bias=True, mlp_bias=True),
    "gemma": ModelConfig(
        **BASE,
        norm_offset=1.0,
        norm_placement="sandwich",
        feed_forward="geglu",
        embedding_scale=24**0.5,
        layer_types=("sliding", "full", "sliding"),
        sliding_window=4,
    ),
    "moe": ModelConfig(**BASE, moe=MoEConfig(4, 2, 16, dense_layers=(1,))),
}
IDS = torch.randint(0, 53, (2, 9), generator=torch.Generator().manual_seed(1))


def shaken(config: ModelConfig) -> GPT:
    """Random numbers everywhere, norms and biases too."""
    model = build_model(config, seed=2).eval()
    generator = torch.Generator().manual_seed(3)
    for parameter in model.parameters():
        parameter.data += torch.empty_like(parameter).normal_(0, 0.1, generator=generator)
    return model


def same(new: GPT, old: GPT) -> None:
    torch.testing.assert_close(new(IDS).logits, old(IDS).logits, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("name", SHAPES)
def test_more_layers(name: str) -> None:
    old = shaken(SHAPES[name])
    new = add_layers(old, 2)
    assert new.config.num_layers == 5
    assert len(new.config.layer_types) == 5
    same(new, old)
    new(IDS).logits.square().sum().backward()
    fresh = [layer for layer in range(5) if not new.state_dict()[f"layers.{layer}.attn.o_proj.weight"].any()]
    assert fresh == [1, 4]
    gradient = new.get_parameter("layers.1.attn.o_proj.weight").grad
    assert gradient is not None
    assert gradient.any()
    same(drop_layers(new, fresh), old)


def test_more_new_layers_than_old_ones() -> None:
    old = shaken(SHAPES["qwen3"])
    new = add_layers(old, 7)
    assert new.config.num_layers == 10
    same(new, old)


@pytest.mark.parametrize("name", [name for name in SHAPES if name != "moe"])
def test_a_wider_feed_forward(name: str) -> None:
    old = shaken(SHAPES[name])
    new = widen_feed_forward(old, 100)
    assert new.config.intermediate_size == 100
    same(new, old)


@pytest.mark.parametrize("factor", [2, 3])
@pytest.mark.parametrize("name", SHAPES)
def test_a_wider_stream(name: str, factor: int) -> None:
    old = shaken(SHAPES[name])
    new = widen_stream(old, factor)
    assert new.config.hidden_size == 24 * factor
    same(new, old)
    new(IDS).logits.square().sum().backward()
    gradient = new.get_parameter("layers.0.attn.o_proj.weight").grad
    assert gradient is not None
    assert not torch.allclose(gradient[:24], gradient[24:48], rtol=1e-2)  # the copies will go different ways


@pytest.mark.parametrize("name", ["qwen3", "llama-untied"])
def test_another_vocabulary(name: str, tmp_path: Path) -> None:
    old = shaken(SHAPES[name])
    new = resize_vocabulary(old, 64)
    logits = new(IDS).logits
    torch.testing.assert_close(logits[..., :53], old(IDS).logits)
    assert logits[..., 53:].max() < logits[..., :53].max()  # no new token is a favourite
    same(resize_vocabulary(new, 53), old)
    save_model(new, tmp_path)
    assert torch.equal(load_model(tmp_path)(IDS).logits, logits)


def test_what_cannot_be_done_is_said() -> None:
    model = shaken(SHAPES["qwen3"])
    with pytest.raises(ConfigError, match="layer 3 cannot be dropped: the model has 3"):
        drop_layers(model, [3])
    with pytest.raises(ConfigError, match="leave at least one"):
        drop_layers(model, [0, 1, -1])
    with pytest.raises(ConfigError, match="is not more than the model's 40"):
        widen_feed_forward(model, 40)
    with pytest.raises(ConfigError, match="norm_placement=post"):
        add_layers(build_model(ModelConfig(**BASE, norm_placement="post")), 1)
    with pytest.raises(ConfigError, match="with experts"):
        widen_feed_forward(shaken(SHAPES["moe"]), 80)
    add_adapters(model)
    with pytest.raises(ConfigError, match="merge them"):
        add_layers(model, 1)
