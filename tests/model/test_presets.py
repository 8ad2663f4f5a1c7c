"""Presets have the sizes that their names say, and the count is that of the real module."""

import pytest
import torch

from chatwright.errors import ConfigError
from chatwright.model import PRESETS, ModelConfig, MoEConfig, build_model, count_parameters, preset

# As published, or counted from the published checkpoints.
PUBLISHED = {
    "gpt1-117m": 116_534_784,
    "gpt2-124m": 124_439_808,
    "gpt2-355m": 354_823_168,
    "gpt2-774m": 774_030_080,
    "gpt2-1.5b": 1_557_611_200,
    "smollm2-135m": 134_515_008,
    "smollm2-360m": 361_821_120,
    "smollm2-1.7b": 1_711_376_384,
    "llama3.2-1b": 1_235_814_400,
    "llama3.2-3b": 3_212_749_824,
    "llama3.1-8b": 8_030_261_248,
    "qwen3-0.6b": 596_049_920,
    "qwen3-1.7b": 1_720_574_976,
    "qwen3-4b": 4_022_468_096,
    "qwen3-8b": 8_190_735_360,
    "qwen3-30b-a3b": 30_532_122_624,
    "gemma3-270m": 268_098_176,
    "gemma3-1b": 999_885_952,
}
UNITS = {"m": 1e6, "b": 1e9}


@pytest.mark.parametrize("name", PRESETS)
def test_the_count_is_that_of_the_module(name: str) -> None:
    model = build_model(PRESETS[name].config, device="meta")
    assert model.embed.weight.is_meta
    assert model.num_parameters() == PRESETS[name].parameters


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_count_is_the_published_one(name: str) -> None:
    assert PRESETS[name].parameters == PUBLISHED[name]


@pytest.mark.parametrize("name", [name for name in PRESETS if name not in ("gpt2-24x768", "qwen3-30b-a3b")])
def test_the_name_tells_the_size(name: str) -> None:
    size = name.split("-")[1]
    # Families count the embedding in or out, so a name is a size only roughly (llama-1b has 1.24 billion).
    assert PRESETS[name].parameters == pytest.approx(float(size[:-1]) * UNITS[size[-1]], rel=0.25)


def test_the_24_layer_model() -> None:
    config = preset("gpt2-24x768")
    shape = (config.num_layers, config.hidden_size, config.mlp_size, config.num_heads, config.vocab_size)
    assert shape == (24, 768, 3072, 16, 50257)


@pytest.mark.parametrize(
    "config",
    [
        ModelConfig(97, 32, 2, 4, num_kv_heads=2, qkv_bias=True, output_bias=True, mlp_bias=True, qk_norm=True),
        ModelConfig(97, 32, 2, 4, norm="layer", norm_placement="sandwich", feed_forward="relu", tie_embeddings=False),
        ModelConfig(97, 32, 3, 4, moe=MoEConfig(4, 2, 8, dense_layers=(1,)), final_norm=False, head_dim=12),
        ModelConfig(97, 32, 2, 4, position="learned", max_position_embeddings=50),
    ],
)
def test_the_count_holds_for_every_option(config: ModelConfig) -> None:
    model = build_model(config)
    assert model.num_parameters() == count_parameters(config)
    tables = 97 * 32 + (50 * 32 if config.position == "learned" else 0)
    assert model.num_parameters(non_embedding=True) == count_parameters(config) - tables


def test_a_model_beyond_the_memory_is_built_without_weights() -> None:
    model = build_model(preset("gpt3-175b"))
    assert model.embed.weight.is_meta
    assert model.num_parameters() > 174e9
    logits = model(torch.zeros(1, 4, dtype=torch.int64, device="meta")).logits
    assert logits.shape == (1, 4, 50257)


def test_small_models_have_weights_and_fields_can_be_changed() -> None:
    model = build_model(preset("qwen3-1m", vocab_size=300), dtype=torch.bfloat16)
    assert model.embed.weight.shape == (300, 96)
    assert model.embed.weight.dtype == torch.bfloat16
    assert model(torch.tensor([[1, 2]])).logits.isfinite().all()


def test_unknown_names_list_the_known() -> None:
    with pytest.raises(ConfigError, match="'gpt5'; there are: gpt1-117m"):
        preset("gpt5")
    with pytest.raises(ConfigError, match="vocab_sise"):
        preset("gpt2-124m", vocab_sise=3)
