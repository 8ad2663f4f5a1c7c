"""Configurations of GPT-1 and GPT-2: learned positions, LayerNorm, biases everywhere.

Pairs of ``read_…`` and ``write_…`` as in :mod:`chatwright.model.hf_llama`.
"""

from typing import Any

from chatwright.model.config import FeedForward, ModelConfig
from chatwright.model.hf_keys import Keys

_GPT_ACTIVATIONS: dict[str, FeedForward] = {
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu": "gelu",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
}
_GPT1_ACTIVATIONS: dict[str, FeedForward] = {"gelu": "gelu_tanh", "relu": "relu", "silu": "silu", "swish": "silu"}


def _read_gpt_shape(keys: Keys, **differences: Any) -> ModelConfig:
    values: dict[str, Any] = {
        "vocab_size": keys.integer("vocab_size"),
        "hidden_size": keys.integer("n_embd", 768),
        "num_layers": keys.integer("n_layer", 12),
        "num_heads": keys.integer("n_head", 12),
        "position": "learned",
        "norm": "layer",
        "norm_eps": keys.number("layer_norm_epsilon", 1e-5),
        "qkv_bias": True,
        "output_bias": True,
        "mlp_bias": True,
        "tie_embeddings": keys.flag("tie_word_embeddings", True),
        "dropout": keys.number("resid_pdrop", 0.1),
        "initializer_range": keys.number("initializer_range", 0.02),
    }
    return ModelConfig(**values | differences)


def _write_gpt_shape(config: ModelConfig) -> dict[str, Any]:
    return {
        "vocab_size": config.vocab_size,
        "n_embd": config.hidden_size,
        "n_layer": config.num_layers,
        "n_head": config.num_heads,
        "n_positions": config.max_position_embeddings,
        "n_ctx": config.max_position_embeddings,
        "layer_norm_epsilon": config.norm_eps,
        "embd_pdrop": config.dropout,
        "attn_pdrop": 0.0,
        "resid_pdrop": config.dropout,
        "initializer_range": config.initializer_range,
        "tie_word_embeddings": config.tie_embeddings,
    }


def read_gpt2(keys: Keys) -> ModelConfig:
    """GPT-2: norms before each sub-layer, any activation, a feed-forward of any width."""
    keys.refuse("scale_attn_by_inverse_layer_idx", False)
    keys.refuse("add_cross_attention", False)
    return _read_gpt_shape(
        keys,
        intermediate_size=keys.optional_integer("n_inner"),
        max_position_embeddings=keys.integer("n_positions", 1024),
        feed_forward=keys.choice("activation_function", "gelu_new", _GPT_ACTIVATIONS),
        attention_scale=None if keys.flag("scale_attn_weights", True) else 1.0,
    )


def write_gpt2(config: ModelConfig) -> dict[str, Any]:
    """The inverse of :func:`read_gpt2`."""
    names = {ours: theirs for theirs, ours in reversed(_GPT_ACTIVATIONS.items())}
    return _write_gpt_shape(config) | {
        "n_inner": config.mlp_size,
        "activation_function": names.get(config.feed_forward, "gelu_new"),
        "scale_attn_weights": config.scale != 1.0,
        "use_cache": True,
    }


def read_gpt1(keys: Keys) -> ModelConfig:
    """GPT: norms after each sub-layer and none at the end; the feed-forward is four times as wide."""
    return _read_gpt_shape(
        keys,
        max_position_embeddings=keys.integer("n_positions", 512),
        feed_forward=keys.choice("afn", "gelu", _GPT1_ACTIVATIONS),
        norm_placement="post",
        final_norm=False,
    )


def write_gpt1(config: ModelConfig) -> dict[str, Any]:
    """The inverse of :func:`read_gpt1`."""
    names = {ours: theirs for theirs, ours in reversed(_GPT1_ACTIVATIONS.items())}
    return _write_gpt_shape(config) | {"afn": names.get(config.feed_forward, "gelu")}
