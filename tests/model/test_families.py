"""Which architecture a model is saved as, and that nothing its config says is lost on the way."""

from typing import Any

import pytest

from chatwright.errors import ConfigError, ModelFormatError, UnsupportedModelError
from chatwright.model import PRESETS, ModelConfig, MoEConfig, RopeConfig, config_from_hf, config_to_hf
from chatwright.model.families import FAMILIES

LLAMA = ModelConfig(97, 32, 3, 4, num_kv_heads=2)
EXPECTED = {
    "gpt1": "openai-gpt",
    "gpt2": "gpt2",
    "gpt3": "gpt2",
    "llama": "llama",
    "llama3.1": "llama",
    "llama3.2": "llama",
    "smollm2": "llama",
    "qwen3": "qwen3",
    "gemma3": "gemma3_text",
}


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_an_architecture_of_transformers(name: str) -> None:
    config = PRESETS[name].config
    values = config_to_hf(config)
    expected = "qwen3_moe" if name == "qwen3-30b-a3b" else EXPECTED[name.split("-")[0]]
    assert values["model_type"] == expected
    assert values["architectures"] == [FAMILIES[expected].architecture]
    assert config_from_hf(values) == config


@pytest.mark.parametrize(
    ("changes", "model_type"),
    [
        ({}, "llama"),
        ({"tie_embeddings": False, "head_dim": 16, "mlp_bias": True}, "llama"),
        ({"qkv_bias": True, "output_bias": True}, "llama"),
        ({"dropout": 0.1}, "llama"),
        ({"qkv_bias": True}, "qwen2"),
        ({"qk_norm": True}, "qwen3"),
        ({"sliding_window": 8, "layer_types": ("sliding",) * 3}, "mistral"),
        ({"qk_norm": True, "sliding_window": 8, "layer_types": ("full", "sliding", "full")}, "qwen3"),
        ({"qk_norm": True, "moe": MoEConfig(4, 2, 8, dense_layers=(1,))}, "qwen3_moe"),
        ({"attention_scale": (1 / 8) ** 0.5}, "llama"),
        ({"rope": RopeConfig(500.0, "linear", 2.0)}, "llama"),
        ({"rope": RopeConfig(500.0, "yarn", 2.0, 16, beta_fast=20.0, attention_factor=1.5)}, "llama"),
        ({"rope": RopeConfig(500.0, "llama3", 2.0, 16, high_freq_factor=3.0)}, "llama"),
    ],
)
def test_the_family_follows_from_the_options(changes: dict[str, Any], model_type: str) -> None:
    config = LLAMA.replace(**changes)
    values = config_to_hf(config)
    assert values["model_type"] == model_type
    again = config_from_hf(values)
    assert again.replace(attention_scale=None) == config.replace(attention_scale=None)
    assert again.scale == pytest.approx(config.scale)


@pytest.mark.parametrize(
    "changes",
    [
        {"position": "sinusoidal"},
        {"position": "none"},
        {"causal": False},
        {"attention_scale": 0.5},
        {"embedding_scale": 3.0},
        {"final_norm": False},
        {"feed_forward": "relu"},
        {"qkv_bias": False, "output_bias": True},
        {"norm_placement": "post"},
    ],
)
def test_what_no_architecture_has_is_refused_by_name(changes: dict[str, Any]) -> None:
    config = LLAMA.replace(**changes)
    with pytest.raises(UnsupportedModelError) as caught:
        config_to_hf(config)
    assert next(iter(changes)) in str(caught.value)
    assert "own_format=True" in str(caught.value)
    assert config_from_hf(config_to_hf(config, own_format=True)) == config


def test_own_format_keeps_nested_options() -> None:
    moe = MoEConfig(4, 2, 8, dense_layers=(0, 2))
    rope = RopeConfig(500.0, "llama3", 2.0, 16)
    config = LLAMA.replace(causal=False, moe=moe, rope=rope, rope_local=RopeConfig(10.0))
    assert config_from_hf(config_to_hf(config, own_format=True)) == config


@pytest.mark.parametrize("change", [{"num_layers": "3"}, {"rope": [1]}, {"norm_eps": "x"}, {"hidden_size": None}])
def test_own_format_with_bad_values_is_refused(change: dict[str, Any]) -> None:
    values = config_to_hf(LLAMA.replace(causal=False), own_format=True)
    with pytest.raises(ModelFormatError):
        config_from_hf(values | change)


def test_both_spellings_of_rope_are_written() -> None:
    values = config_to_hf(LLAMA.replace(rope=RopeConfig(500.0, "linear", 2.0)))
    assert values["rope_theta"] == 500.0
    assert values["rope_scaling"] == {"rope_type": "linear", "factor": 2.0}
    assert values["rope_parameters"] == {"rope_type": "linear", "rope_theta": 500.0, "factor": 2.0}


def test_yarn_reads_the_spelling_with_mscale() -> None:
    values = config_to_hf(LLAMA)
    del values["rope_parameters"]
    scaling = {"type": "yarn", "factor": 4.0, "mscale": 1.0, "mscale_all_dim": 0.5}
    rope = config_from_hf(values | {"rope_scaling": scaling}).rope
    assert rope.original_max_position_embeddings == LLAMA.max_position_embeddings
    assert rope.attention_factor == pytest.approx((0.1 * 1.3862944 + 1) / (0.05 * 1.3862944 + 1))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_kv_heads": 0}, "num_kv_heads is 0"),
        ({"head_dim": -8}, "head_dim is -8"),
        ({"norm": "layer", "norm_offset": 1.0}, "norm_offset"),
        ({"feed_forward": "relu", "moe": MoEConfig(4, 2, 8)}, "feed_forward is 'relu'"),
        ({"norm_eps": float("nan")}, "norm_eps is nan"),
        ({"initializer_range": -0.1}, "initializer_range is -0.1"),
        ({"embedding_scale": float("inf")}, "embedding_scale is inf"),
        ({"colour": 3}, "unknown model option 'colour'"),
    ],
)
def test_configs_that_contradict_themselves_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        LLAMA.replace(**changes)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"theta": 0.0}, "rope.theta is 0.0"),
        ({"scaling": "linear", "factor": 0.5}, "rope.factor is 0.5"),
        ({"scaling": "llama3", "factor": 2.0}, "original_max_position_embeddings is required"),
        ({"high_freq_factor": 1.0}, "rope.high_freq_factor is 1.0"),
        ({"beta_fast": float("nan")}, "rope.beta_fast is nan"),
    ],
)
def test_rotary_settings_without_meaning_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        RopeConfig(**values)
