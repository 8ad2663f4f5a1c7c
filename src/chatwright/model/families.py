"""The families of checkpoints we read and write: Hugging Face ``config.json`` to and from :class:`ModelConfig`.

A family is a row of :data:`FAMILIES`: two functions and a table of weight names. Which family a model is saved as
follows from its config alone: the first whose ``config.json``, read back, gives the same config. So nothing a config
says can be lost on the way, and an option that no family has is noticed.
"""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_origin, get_type_hints

from chatwright.errors import ConfigError, ModelFormatError, UnsupportedModelError
from chatwright.model.config import FeedForward, LayerType, ModelConfig, MoEConfig, RopeConfig
from chatwright.model.hf_keys import Keys
from chatwright.model.rope_keys import read_local_rope, read_rope, rope_parameters, write_rope
from chatwright.model.weight_names import GEMMA_NAMES, GPT1_NAMES, GPT2_NAMES, LLAMA_NAMES, NameTable

OWN_FORMAT = "chatwright"
_LAYER_TYPES: dict[str, LayerType] = {"full_attention": "full", "sliding_attention": "sliding"}
_GPT_ACTIVATIONS: dict[str, FeedForward] = {
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu": "gelu",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
}
_GPT1_ACTIVATIONS: dict[str, FeedForward] = {"gelu": "gelu_tanh", "relu": "relu", "silu": "silu", "swish": "silu"}


@dataclass(frozen=True, slots=True)
class Family:
    """One kind of checkpoint.

    Attributes:
        model_type: its name in ``config.json``.
        architecture: the class of ``transformers`` that opens it.
        read: from the keys of ``config.json`` to our config.
        write: the inverse; may drop what the family cannot say.
        names: its weights' names.
    """

    model_type: str
    architecture: str
    read: Callable[[Keys], ModelConfig]
    write: Callable[[ModelConfig], dict[str, Any]]
    names: NameTable


def config_from_hf(values: Mapping[str, Any], *, source: str = "config.json") -> ModelConfig:
    """Translate a parsed ``config.json``.

    Args:
        values: the JSON object.
        source: path of the file, for messages.
    Raises:
        UnsupportedModelError: an architecture or feature that we do not run.
        ModelFormatError: a key is missing, of the wrong type, or contradicts another.
    """
    keys = Keys(values, source)
    model_type = keys.text("model_type", "")
    if keys.has("auto_map"):
        raise UnsupportedModelError(
            f"{source}: this model needs Python code of its own (auto_map), which Chatwright never runs; "
            f"use a checkpoint of a built-in architecture: {_supported()}"
        )
    if keys.has("quantization_config"):
        raise UnsupportedModelError(
            f"{source}: the weights are quantised in a way that Chatwright does not read; "
            "use the unquantised checkpoint or a GGUF file"
        )
    try:
        if model_type == OWN_FORMAT:
            return _read_own(keys)
        if model_type not in FAMILIES:
            raise UnsupportedModelError(
                f"{source}: model_type is {model_type!r}, which Chatwright does not run; supported are {_supported()}"
            )
        return FAMILIES[model_type].read(keys)
    except ConfigError as error:
        raise ModelFormatError(f"{source}: {error}") from None


def config_to_hf(config: ModelConfig, *, own_format: bool = False) -> dict[str, Any]:
    """The ``config.json`` of a model, as the first family that can express all of it.

    Args:
        config: the model.
        own_format: where no family can, write our own form, which only Chatwright opens.
    Raises:
        UnsupportedModelError: no family can express it, and ``own_format`` is False; names the options in the way.
    """
    family = family_of(config)
    if family is not None:
        head = {"architectures": [family.architecture], "model_type": family.model_type}
        return head | family.write(config)
    if own_format:
        return {"architectures": ["GPT"], "model_type": OWN_FORMAT} | dataclasses.asdict(config)
    raise UnsupportedModelError(
        f"no architecture of transformers can express this model ({_obstacles(config)}); change these options, or save "
        "with own_format=True for a folder that only Chatwright opens"
    )


def family_of(config: ModelConfig) -> Family | None:
    """The family that a model is saved as; None when none can express it."""
    for family in FAMILIES.values():
        if _read_back(family, config) == _essence(config):
            return family
    return None


def _read_back(family: Family, config: ModelConfig) -> ModelConfig | None:
    try:
        return _essence(family.read(Keys(family.write(config))))
    except (ConfigError, ModelFormatError, UnsupportedModelError):
        return None


def _essence(config: ModelConfig) -> ModelConfig:
    """The config without what has no effect on what the model computes: dropout, and settings nobody reads."""
    sliding = "sliding" in config.layer_types
    return config.replace(
        dropout=0.0,
        rope=config.rope if config.position == "rotary" else RopeConfig(),
        rope_local=config.rope_local if sliding and config.rope_local != config.rope else None,
        sliding_window=config.sliding_window if sliding else None,
        attention_scale=float(f"{config.scale:.12g}"),  # 1 / sqrt(d) and d ** -0.5 are the same wish
    )


def _obstacles(config: ModelConfig) -> str:
    """Which options keep the closest family from expressing the config."""
    wanted = dataclasses.asdict(_essence(config))
    shortest: list[str] | None = None
    for family in FAMILIES.values():
        found = _read_back(family, config)
        if found is None:
            continue
        got = dataclasses.asdict(found)
        differing = [f"{name}={wanted[name]!r}" for name in wanted if wanted[name] != got[name]]
        if shortest is None or len(differing) < len(shortest):
            shortest = differing
    return ", ".join(shortest) if shortest else "its combination of options"


def _supported() -> str:
    return ", ".join(FAMILIES)


# --- our own form: the dataclass, field by field ---------------------------------------------------------------------


def _read_own(keys: Keys) -> ModelConfig:
    values = _read_fields(keys, ModelConfig)
    for name, kind in (("rope", RopeConfig), ("rope_local", RopeConfig), ("moe", MoEConfig)):
        table = keys.table(name)
        if table is not None:
            values[name] = _read_fields_of(kind, table)
    config: ModelConfig = _construct(ModelConfig, values, keys)
    return config


def _read_fields_of(kind: Callable[..., Any], keys: Keys) -> Any:
    return _construct(kind, _read_fields(keys, kind), keys)


def _construct(kind: Callable[..., Any], values: dict[str, Any], keys: Keys) -> Any:
    try:
        return kind(**values)
    except TypeError as error:  # a required field is missing
        raise ModelFormatError(f"{keys.source}: not a Chatwright model description: {error}") from None


def _read_fields(keys: Keys, kind: Any) -> dict[str, Any]:
    """The fields of one of our dataclasses, each of the type that it is declared with."""
    values: dict[str, Any] = {}
    for name, hint in get_type_hints(kind).items():
        if not keys.has(name):
            continue
        if hint in (int, int | None):
            values[name] = keys.integer(name)
        elif hint in (float, float | None):
            values[name] = keys.number(name)
        elif hint is bool:
            values[name] = keys.flag(name, False)
        elif get_origin(hint) is tuple:
            values[name] = tuple(keys.items(name) or ())
        elif get_origin(hint) is Literal:
            values[name] = keys.text(name, "")
    return values


# --- Llama, Qwen, Gemma: rotary positions, RMSNorm, gated feed-forward ------------------------------------------------


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


def _read_llama(keys: Keys) -> ModelConfig:
    bias = keys.flag("attention_bias", False)
    return _read_llama_shape(keys, qkv_bias=bias, output_bias=bias, mlp_bias=keys.flag("mlp_bias", False))


def _write_llama(config: ModelConfig) -> dict[str, Any]:
    return _write_llama_shape(config) | {"attention_bias": config.output_bias, "mlp_bias": config.mlp_bias}


def _read_mistral(keys: Keys) -> ModelConfig:
    window = keys.optional_integer("sliding_window")
    layers = _sliding(keys.integer("num_hidden_layers")) if window else ()
    return _read_llama_shape(keys, sliding_window=window, layer_types=layers)


def _write_mistral(config: ModelConfig) -> dict[str, Any]:
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


def _read_qwen2(keys: Keys) -> ModelConfig:
    return _read_llama_shape(keys, qkv_bias=True, **_read_window(keys))


def _write_qwen2(config: ModelConfig) -> dict[str, Any]:
    values = _write_llama_shape(config) | _write_window(config)
    del values["head_dim"]  # no key of this family: most readers derive it
    return values


def _read_qwen3(keys: Keys) -> ModelConfig:
    bias = keys.flag("attention_bias", False)
    window = _read_window(keys)
    head_dim = keys.integer("head_dim", 128)
    return _read_llama_shape(keys, qk_norm=True, head_dim=head_dim, qkv_bias=bias, output_bias=bias, **window)


def _write_qwen3(config: ModelConfig) -> dict[str, Any]:
    return _write_llama_shape(config) | _write_window(config) | {"attention_bias": config.output_bias}


def _read_qwen3_moe(keys: Keys) -> ModelConfig:
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


def _write_qwen3_moe(config: ModelConfig) -> dict[str, Any]:
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


def _read_gemma3(keys: Keys) -> ModelConfig:
    keys.refuse("final_logit_softcapping")
    keys.refuse("attn_logit_softcapping")
    num_layers, window = keys.integer("num_hidden_layers"), keys.integer("sliding_window", 4096)
    bidirectional = keys.flag("use_bidirectional_attention", False)
    pattern = keys.integer("sliding_window_pattern", 6)
    bias = keys.flag("attention_bias", False)
    return _read_llama_shape(
        keys,
        head_dim=keys.integer("head_dim", 256),
        rope=read_rope(keys, default_theta=1_000_000.0),
        rope_local=read_local_rope(keys),
        max_position_embeddings=keys.integer("max_position_embeddings", 131_072),
        norm_placement="sandwich",
        norm_offset=1.0,
        feed_forward=keys.choice("hidden_activation", "gelu_pytorch_tanh", {"gelu_pytorch_tanh": "geglu"}),
        qkv_bias=bias,
        output_bias=bias,
        qk_norm=True,
        attention_scale=keys.number("query_pre_attn_scalar", 256.0) ** -0.5,
        # Both directions share the window: the file gives the width of the two sides together.
        sliding_window=window // 2 + 1 if bidirectional else window,
        layer_types=_read_layer_types(keys)
        or tuple("sliding" if (layer + 1) % pattern else "full" for layer in range(num_layers)),
        embedding_scale=keys.integer("hidden_size") ** 0.5,
        tie_embeddings=keys.flag("tie_word_embeddings", True),
        causal=not bidirectional,
    )


def _write_gemma3(config: ModelConfig) -> dict[str, Any]:
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


# --- GPT-1 and GPT-2: learned positions, LayerNorm, biases everywhere -------------------------------------------------


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


def _read_gpt2(keys: Keys) -> ModelConfig:
    keys.refuse("scale_attn_by_inverse_layer_idx", False)
    keys.refuse("add_cross_attention", False)
    return _read_gpt_shape(
        keys,
        intermediate_size=keys.optional_integer("n_inner"),
        max_position_embeddings=keys.integer("n_positions", 1024),
        feed_forward=keys.choice("activation_function", "gelu_new", _GPT_ACTIVATIONS),
        attention_scale=None if keys.flag("scale_attn_weights", True) else 1.0,
    )


def _write_gpt2(config: ModelConfig) -> dict[str, Any]:
    names = {ours: theirs for theirs, ours in reversed(_GPT_ACTIVATIONS.items())}
    return _write_gpt_shape(config) | {
        "n_inner": config.mlp_size,
        "activation_function": names.get(config.feed_forward, "gelu_new"),
        "scale_attn_weights": config.scale != 1.0,
        "use_cache": True,
    }


def _read_gpt1(keys: Keys) -> ModelConfig:
    return _read_gpt_shape(
        keys,
        max_position_embeddings=keys.integer("n_positions", 512),
        feed_forward=keys.choice("afn", "gelu", _GPT1_ACTIVATIONS),
        norm_placement="post",
        final_norm=False,
    )


def _write_gpt1(config: ModelConfig) -> dict[str, Any]:
    names = {ours: theirs for theirs, ours in reversed(_GPT1_ACTIVATIONS.items())}
    return _write_gpt_shape(config) | {"afn": names.get(config.feed_forward, "gelu")}


FAMILIES: dict[str, Family] = {
    family.model_type: family
    for family in (
        Family("llama", "LlamaForCausalLM", _read_llama, _write_llama, LLAMA_NAMES),
        Family("qwen3", "Qwen3ForCausalLM", _read_qwen3, _write_qwen3, LLAMA_NAMES),
        Family("qwen2", "Qwen2ForCausalLM", _read_qwen2, _write_qwen2, LLAMA_NAMES),
        Family("mistral", "MistralForCausalLM", _read_mistral, _write_mistral, LLAMA_NAMES),
        Family("qwen3_moe", "Qwen3MoeForCausalLM", _read_qwen3_moe, _write_qwen3_moe, LLAMA_NAMES),
        Family("gemma3_text", "Gemma3ForCausalLM", _read_gemma3, _write_gemma3, GEMMA_NAMES),
        Family("gpt2", "GPT2LMHeadModel", _read_gpt2, _write_gpt2, GPT2_NAMES),
        Family("openai-gpt", "OpenAIGPTLMHeadModel", _read_gpt1, _write_gpt1, GPT1_NAMES),
    )
}
