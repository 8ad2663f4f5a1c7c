"""Configurations of the Llama line: rotary positions, RMSNorm, gated feed-forward (Llama, Mistral, Qwen, Gemma).

Each family is a pair: ``read_…`` from the keys of a ``config.json`` to :class:`ModelConfig`, ``write_…`` back. A writer
may drop what its family cannot say; :mod:`chatwright.model.families` notices.
"""

from typing import Any

from chatwright.errors import ModelFormatError, UnsupportedModelError
from chatwright.model.config import LayerType, ModelConfig, MoEConfig
from chatwright.model.hf_keys import Keys
from chatwright.model.rope_keys import read_local_rope, read_rope, rope_parameters, write_rope

_LAYER_TYPES: dict[str, LayerType] = {"full_attention": "full", "sliding_attention": "sliding"}


def _read_llama_shape(keys: Keys, **differences: Any) -> ModelConfig:
    """What the Llama-like families share; ``differences`` win."""
    hidden_size, num_heads = keys.integer("hidden_size"), keys.integer("num_attention_heads")
    values: dict[str, Any] = {
        "vocab_size": keys.integer("vocab_size"),
        "hidden_size": hidden_size,
        "num_layers": keys.integer("num_hidden_layers"),
        "num_heads": num_heads,
        "num_kv_heads": keys.optional_integer("num_key_value_heads"),
        "head_dim": keys.optional_integer("head_dim"),
        "intermediate_size": keys.integer("intermediate_size"),
        "max_position_embeddings": keys.integer("max_position_embeddings", 2048),
        "norm_eps": keys.number("rms_norm_eps", 1e-6),
        "tie_embeddings": keys.flag("tie_word_embeddings", False),
        "initializer_range": keys.number("initializer_range", 0.02),
        "dropout": keys.number("dropout", 0.0),
    }
    if "rope" not in differences:
        values["rope"] = read_rope(keys)
    if "feed_forward" not in differences:
        values["feed_forward"] = keys.choice("hidden_act", "silu", {"silu": "swiglu", "swish": "swiglu"})
    return ModelConfig(**values | differences)


def _write_llama_shape(config: ModelConfig) -> dict[str, Any]:
    return {
        "vocab_size": config.vocab_size,
        "hidden_size": config.hidden_size,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "num_key_value_heads": config.kv_heads,
        "head_dim": config.head_size,
        "intermediate_size": config.mlp_size,
        "hidden_act": "silu",
        "max_position_embeddings": config.max_position_embeddings,
        "rms_norm_eps": config.norm_eps,
        "tie_word_embeddings": config.tie_embeddings,
        "initializer_range": config.initializer_range,
        "attention_dropout": 0.0,
        "use_cache": True,
        **write_rope(config.rope),
        # transformers ignores it; without it a run that is continued from this folder would lose its dropout.
        **({"dropout": config.dropout} if config.dropout else {}),
    }


def read_llama(keys: Keys) -> ModelConfig:
    """Llama and SmolLM: biases on all of attention or none, on all of the feed-forward or none."""
    bias = keys.flag("attention_bias", False)
    return _read_llama_shape(keys, qkv_bias=bias, output_bias=bias, mlp_bias=keys.flag("mlp_bias", False))


def write_llama(config: ModelConfig) -> dict[str, Any]:
    """The inverse of :func:`read_llama`."""
    return _write_llama_shape(config) | {"attention_bias": config.output_bias, "mlp_bias": config.mlp_bias}


def read_mistral(keys: Keys) -> ModelConfig:
    """Mistral: Llama with a sliding window in every layer, or in none."""
    window = keys.optional_integer("sliding_window")
    layers = _sliding(keys.integer("num_hidden_layers")) if window else ()
    return _read_llama_shape(keys, sliding_window=window, layer_types=layers)


def write_mistral(config: ModelConfig) -> dict[str, Any]:
    """The inverse of :func:`read_mistral`."""
    return _write_llama_shape(config) | {"sliding_window": config.sliding_window}


def _read_window(keys: Keys) -> dict[str, Any]:
    """Qwen's sliding layers: a list, or all layers from ``max_window_layers`` on."""
    if not keys.flag("use_sliding_window", False):
        return {}
    layer_types = _read_layer_types(keys)
    if not layer_types:
        # 0 (all layers slide) is a legal value here
        start = 0 if keys.values.get("max_window_layers") == 0 else keys.integer("max_window_layers", 28)
        num_layers = keys.integer("num_hidden_layers")
        layer_types = _sliding(num_layers, start)
    return {"sliding_window": keys.integer("sliding_window", 4096), "layer_types": layer_types}


def _sliding(num_layers: int, start: int = 0) -> tuple[LayerType, ...]:
    """All layers slide from ``start`` on."""
    return tuple("sliding" if layer >= start else "full" for layer in range(num_layers))


def _read_layer_types(keys: Keys) -> tuple[LayerType, ...]:
    types: list[LayerType] = []
    for name in keys.items("layer_types") or []:
        if not isinstance(name, str) or name not in _LAYER_TYPES:
            raise UnsupportedModelError(f"{keys.source}: layer_types has {name!r}, which Chatwright does not run")
        types.append(_LAYER_TYPES[name])
    return tuple(types)


def _write_layer_types(config: ModelConfig) -> list[str]:
    return ["sliding_attention" if kind == "sliding" else "full_attention" for kind in config.layer_types]


def _write_window(config: ModelConfig) -> dict[str, Any]:
    types = config.layer_types
    return {
        "use_sliding_window": "sliding" in types,
        "sliding_window": config.sliding_window if "sliding" in types else None,
        "max_window_layers": types.index("sliding") if "sliding" in types else config.num_layers,
        "layer_types": _write_layer_types(config),
    }


def read_qwen2(keys: Keys) -> ModelConfig:
    """Qwen 2 and 2.5: biases on q, k and v only; some layers may slide."""
    return _read_llama_shape(keys, qkv_bias=True, **_read_window(keys))


def write_qwen2(config: ModelConfig) -> dict[str, Any]:
    """The inverse of :func:`read_qwen2`."""
    values = _write_llama_shape(config) | _write_window(config)
    del values["head_dim"]  # no key of this family: most readers derive it
    return values


def read_qwen3(keys: Keys) -> ModelConfig:
    """Qwen 3: QK-norm, heads of any width; some layers may slide."""
    bias = keys.flag("attention_bias", False)
    window = _read_window(keys)
    head_dim = keys.integer("head_dim", 128)
    return _read_llama_shape(keys, qk_norm=True, head_dim=head_dim, qkv_bias=bias, output_bias=bias, **window)


def write_qwen3(config: ModelConfig) -> dict[str, Any]:
    """The inverse of :func:`read_qwen3`."""
    return _write_llama_shape(config) | _write_window(config) | {"attention_bias": config.output_bias}


def read_qwen3_moe(keys: Keys) -> ModelConfig:
    """Qwen 3 with experts in all layers but the named ones; all layers slide, or none."""
    bias = keys.flag("attention_bias", False)
    num_layers, step = keys.integer("num_hidden_layers"), keys.integer("decoder_sparse_step", 1)
    dense = keys.items("mlp_only_layers") or []
    moe = MoEConfig(
        num_experts=keys.integer("num_experts", keys.integer("num_local_experts", 128)),
        num_experts_per_token=keys.integer("num_experts_per_tok", 8),
        intermediate_size=keys.integer("moe_intermediate_size", 768),
        normalize_weights=keys.flag("norm_topk_prob", False),
        dense_layers=tuple(layer for layer in range(num_layers) if layer in dense or (layer + 1) % step),
    )
    window = keys.integer("sliding_window", 4096) if keys.flag("use_sliding_window", False) else None
    return _read_llama_shape(
        keys,
        moe=moe,
        qk_norm=True,
        head_dim=keys.optional_integer("head_dim"),
        qkv_bias=bias,
        output_bias=bias,
        sliding_window=window,
        layer_types=_sliding(num_layers) if window else (),
    )


def write_qwen3_moe(config: ModelConfig) -> dict[str, Any]:
    """The inverse of :func:`read_qwen3_moe`."""
    if config.moe is None:
        raise UnsupportedModelError("a dense model is not of the family qwen3_moe")
    return _write_llama_shape(config) | {
        "attention_bias": config.output_bias,
        "use_sliding_window": "sliding" in config.layer_types,
        "sliding_window": config.sliding_window,
        "decoder_sparse_step": 1,
        "mlp_only_layers": [layer for layer in config.moe.dense_layers if layer < config.num_layers],
        "num_experts": config.moe.num_experts,
        "num_experts_per_tok": config.moe.num_experts_per_token,
        "moe_intermediate_size": config.moe.intermediate_size,
        "norm_topk_prob": config.moe.normalize_weights,
    }


def read_gemma3(keys: Keys) -> ModelConfig:
    """Gemma 3 (text): sandwich norms around zero, geglu, scaled embedding, sliding layers with their own rope."""
    keys.refuse("final_logit_softcapping")
    keys.refuse("attn_logit_softcapping")
    num_layers, window = keys.integer("num_hidden_layers"), keys.integer("sliding_window", 4096)
    bidirectional = keys.flag("use_bidirectional_attention", False)
    pattern = keys.integer("sliding_window_pattern", 6)
    head_dim, scalar = keys.integer("head_dim", 256), keys.number("query_pre_attn_scalar", 256.0)
    if scalar <= 0:
        raise ModelFormatError(f"{keys.source}: query_pre_attn_scalar is {scalar}; it must be > 0")
    bias = keys.flag("attention_bias", False)
    return _read_llama_shape(
        keys,
        head_dim=head_dim,
        rope=read_rope(keys, default_theta=1_000_000.0),
        rope_local=read_local_rope(keys),
        max_position_embeddings=keys.integer("max_position_embeddings", 131_072),
        norm_placement="sandwich",
        norm_offset=1.0,
        feed_forward=keys.choice("hidden_activation", "gelu_pytorch_tanh", {"gelu_pytorch_tanh": "geglu"}),
        qkv_bias=bias,
        output_bias=bias,
        qk_norm=True,
        attention_scale=None if scalar == head_dim else scalar**-0.5,
        # Both directions share the window: the file gives the width of the two sides together.
        sliding_window=window // 2 + 1 if bidirectional else window,
        layer_types=_read_layer_types(keys)
        or tuple("sliding" if (layer + 1) % pattern else "full" for layer in range(num_layers)),
        embedding_scale=keys.integer("hidden_size") ** 0.5,
        tie_embeddings=keys.flag("tie_word_embeddings", True),
        causal=not bidirectional,
    )


def write_gemma3(config: ModelConfig) -> dict[str, Any]:
    """The inverse of :func:`read_gemma3`."""
    local = config.rope_local or config.rope
    window = config.sliding_window or 4096
    scaling = rope_parameters(config.rope)
    values = _write_llama_shape(config) | {
        "attention_bias": config.output_bias,
        "hidden_activation": "gelu_pytorch_tanh",
        "query_pre_attn_scalar": round(config.scale**-2),
        "sliding_window": window if config.causal else (window - 1) * 2,
        "layer_types": _write_layer_types(config),
        "use_bidirectional_attention": not config.causal,
        "rope_local_base_freq": local.theta,
        "rope_parameters": {"full_attention": scaling, "sliding_attention": rope_parameters(local)},
    }
    del values["hidden_act"]
    return values
