"""GGUF metadata → ModelConfig: what each architecture's keys, and the tensors that are there, say about the shape.

llama.cpp leaves a good deal unsaid: whether projections have biases, whether the head is tied and how long the
vocabulary is follow from the tensors, and llama3's rope scaling is a tensor of its own.
"""

import math
from typing import Any

import numpy as np

from chatwright.errors import ConfigError, ModelFormatError, UnsupportedModelError
from chatwright.model.config import LayerType, ModelConfig, MoEConfig, RopeConfig
from chatwright.model.gguf_file import GGUFFile
from chatwright.model.gguf_rope import llama3_scaling, scaling_from_metadata

ARCHITECTURES = ("llama", "qwen2", "qwen3", "qwen3moe", "gemma3", "gpt2")
GEMMA3_PATTERN = 6  # every sixth layer of Gemma 3 sees everything
GEMMA3_LOCAL_THETA = 10_000.0
# llama.cpp knows the 27B by its depth and scales its queries by hidden_size / num_heads instead of the head's width.
GEMMA3_27B_LAYERS = 62
# Beyond any model: lying sizes must not make us loop over a billion layers or compute with more than 64 bits.
LARGEST_CONTEXT = 2**31 - 1
LARGEST_WIDTH = 2**24
LARGEST_COUNT = 2**16  # heads, experts, width of a head
# Keys that would change the arithmetic in ways we do not compute, unless they are 0.
_MUST_BE_ZERO = (
    "attention.clamp_kqv",
    "attention.max_alibi_bias",
    "attention.scale",
    "attn_logit_softcapping",
    "embedding_scale",
    "expert_group_count",
    "expert_shared_count",
    "expert_weights_scale",
    "final_logit_softcapping",
    "logit_scale",
    "nextn_predict_layers",
    "residual_scale",
)


def gguf_config(file: GGUFFile) -> ModelConfig:
    """The shape and options of the model in ``file``.

    Raises:
        UnsupportedModelError: another architecture, or a feature of it that we do not compute; names the key.
        ModelFormatError: a key is missing or impossible.
    """
    if file.architecture not in ARCHITECTURES:
        raise UnsupportedModelError(
            f"{file.path} holds a model of architecture {file.architecture!r}; supported are {', '.join(ARCHITECTURES)}"
        )
    keys = _Keys(file)
    for key in _MUST_BE_ZERO:
        keys.refuse(key)
    if file.architecture != "qwen3moe":
        keys.refuse("expert_count")
    try:
        fields = _common_fields(keys)
        if file.architecture == "gpt2":
            fields |= _gpt2_fields(keys)
        elif file.architecture == "gemma3":
            fields |= _gemma3_fields(keys, fields)
        else:
            fields |= _llama_fields(keys, fields)
        return ModelConfig(**fields)
    except ConfigError as error:
        raise ModelFormatError(f"{file.path}: the metadata describe no possible model: {error}") from None
    except UnsupportedModelError as error:
        raise UnsupportedModelError(f"{file.path}: {error}") from None


class _Keys:
    """The metadata under the architecture's own prefix."""

    def __init__(self, file: GGUFFile) -> None:
        self.file = file

    def name(self, key: str) -> str:
        return f"{self.file.architecture}.{key}"

    def integer(self, key: str, default: int | None = None, *, largest: int = LARGEST_COUNT) -> int:
        """A positive integer; a list with one entry per layer is accepted where all are equal."""
        value = self.file.metadata.get(self.name(key))
        if isinstance(value, list) and value and all(entry == value[0] for entry in value):
            value = value[0]
        elif isinstance(value, list):
            raise UnsupportedModelError(f"{self.name(key)} differs from layer to layer, which Chatwright does not run")
        else:
            value = self.file.get(self.name(key), int, default)
        if type(value) is not int or not 1 <= value <= largest:
            raise ModelFormatError(f"{self.file.path}: {self.name(key)} is {value!r}; it must be from 1 to {largest}")
        return value

    def number(self, key: str, default: float | None = None) -> float:
        """A positive number, as the shortest decimal that is the same float32: 1e-05 and not 9.99999974e-06."""
        value = float(str(np.float32(self.file.get(self.name(key), float, default))))
        if not 0 < value < math.inf:
            raise ModelFormatError(f"{self.file.path}: {self.name(key)} is {value}; it must be finite and > 0")
        return value

    def refuse(self, key: str) -> None:
        value = self.file.metadata.get(self.name(key))
        if value:
            raise UnsupportedModelError(
                f"{self.file.path}: the model sets {self.name(key)} = {value!r}, which Chatwright does not run"
            )

    def under(self, prefix: str) -> dict[str, Any]:
        """Keys that begin with ``prefix``, without it."""
        start = self.name(prefix)
        return {key[len(start) :]: value for key, value in self.file.metadata.items() if key.startswith(start)}

    def has_bias(self, *tensors: str) -> bool:
        return any(f"blk.0.{tensor}.bias" in self.file.tensors for tensor in tensors)


def _common_fields(keys: _Keys) -> dict[str, Any]:
    embedding = keys.file.tensors.get("token_embd.weight")
    if embedding is None or len(embedding.shape) != 2:
        raise ModelFormatError(f"{keys.file.path}: the tensor 'token_embd.weight' is missing or no matrix")
    hidden_size = keys.integer("embedding_length", largest=LARGEST_WIDTH)
    if embedding.shape[1] != hidden_size:
        raise ModelFormatError(
            f"{keys.file.path}: tensor 'token_embd.weight' has the shape {list(embedding.shape)}, but embedding_length "
            f"is {hidden_size}"
        )
    num_layers = keys.integer("block_count")
    if num_layers > len(keys.file.tensors):
        raise ModelFormatError(
            f"{keys.file.path}: block_count is {num_layers}, but there are only {len(keys.file.tensors)} tensors"
        )
    num_heads = keys.integer("attention.head_count")
    return {
        "vocab_size": embedding.shape[0],
        "hidden_size": hidden_size,
        "num_layers": num_layers,
        "num_heads": num_heads,
        "num_kv_heads": keys.integer("attention.head_count_kv", num_heads),
        "intermediate_size": keys.integer("feed_forward_length", largest=LARGEST_WIDTH),
        "max_position_embeddings": keys.integer("context_length", largest=LARGEST_CONTEXT),
        "tie_embeddings": "output.weight" not in keys.file.tensors,
        "qkv_bias": keys.has_bias("attn_q", "attn_qkv"),
        "output_bias": keys.has_bias("attn_output"),
        "mlp_bias": keys.has_bias("ffn_up"),
    }


def _gpt2_fields(keys: _Keys) -> dict[str, Any]:
    return {
        "position": "learned",
        "norm": "layer",
        "norm_eps": keys.number("attention.layer_norm_epsilon"),
        "feed_forward": "gelu_tanh",
    }


def _llama_fields(keys: _Keys, common: dict[str, Any]) -> dict[str, Any]:
    """Llama and its descendants: rotary positions, RMSNorm before each sub-layer, SwiGLU."""
    keys.refuse("attention.sliding_window")
    head_dim = _head_dim(keys, common)
    return {
        "head_dim": head_dim,
        "rope": _rope(keys, head_dim),
        "norm_eps": keys.number("attention.layer_norm_rms_epsilon"),
        "qk_norm": keys.file.architecture in ("qwen3", "qwen3moe"),
        "moe": _moe(keys) if keys.file.architecture == "qwen3moe" else None,
    }


def _moe(keys: _Keys) -> MoEConfig:
    experts, used = keys.integer("expert_count"), keys.integer("expert_used_count")
    default = max(1, keys.integer("feed_forward_length", largest=LARGEST_WIDTH) // used)
    size = keys.integer("expert_feed_forward_length", default, largest=LARGEST_WIDTH)
    return MoEConfig(num_experts=experts, num_experts_per_token=used, intermediate_size=size)


def _gemma3_fields(keys: _Keys, common: dict[str, Any]) -> dict[str, Any]:
    head_dim = _head_dim(keys, common, key_length=True)
    window = keys.file.get(keys.name("attention.sliding_window"), int, 0)
    layer_types = _gemma3_layers(keys, common["num_layers"]) if window else ()
    scale = None
    if common["num_layers"] == GEMMA3_27B_LAYERS:
        scale = (common["hidden_size"] // common["num_heads"]) ** -0.5
    return {
        "head_dim": head_dim,
        "rope": _rope(keys, head_dim),
        "rope_local": RopeConfig(theta=keys.number("rope.freq_base_swa", GEMMA3_LOCAL_THETA)) if window else None,
        "norm_eps": keys.number("attention.layer_norm_rms_epsilon"),
        "norm_placement": "sandwich",
        "norm_offset": 1.0,
        "feed_forward": "geglu",
        "qk_norm": True,
        "attention_scale": scale,
        "sliding_window": window or None,
        "layer_types": layer_types,
        "embedding_scale": common["hidden_size"] ** 0.5,
    }


def _gemma3_layers(keys: _Keys, num_layers: int) -> tuple[LayerType, ...]:
    pattern = keys.file.metadata.get(keys.name("attention.sliding_window_pattern"), GEMMA3_PATTERN)
    if isinstance(pattern, list):
        if len(pattern) != num_layers:
            raise ModelFormatError(
                f"{keys.file.path}: attention.sliding_window_pattern has {len(pattern)} entries for {num_layers} layers"
            )
        return tuple("sliding" if entry else "full" for entry in pattern)
    if type(pattern) is not int or pattern < 0:
        raise ModelFormatError(f"{keys.file.path}: attention.sliding_window_pattern is {pattern!r}")
    return tuple("sliding" if pattern == 0 or (layer + 1) % pattern else "full" for layer in range(num_layers))


def _head_dim(keys: _Keys, common: dict[str, Any], *, key_length: bool = False) -> int:
    """Width of a head; every head must be turned as a whole, and values as wide as keys."""
    default = None if key_length else max(1, common["hidden_size"] // common["num_heads"])
    head_dim = keys.integer("attention.key_length", default)
    rotary = keys.integer("rope.dimension_count", head_dim)
    value_dim = keys.integer("attention.value_length", head_dim)
    if rotary != head_dim and keys.name("attention.key_length") not in keys.file.metadata:
        head_dim = value_dim = rotary  # older llama files give the width of a head only here
    if rotary != head_dim or value_dim != head_dim:
        raise UnsupportedModelError(
            f"keys of width {head_dim}, of which {rotary} are rotary, with values of {value_dim} are not supported"
        )
    return head_dim


def _rope(keys: _Keys, head_dim: int) -> RopeConfig:
    theta = keys.number("rope.freq_base", 10_000.0)
    if any(name.startswith(("rope_factors_long", "rope_factors_short")) for name in keys.file.tensors):
        raise UnsupportedModelError(
            "the model scales its positions by the longrope method, which Chatwright does not run"
        )
    values = keys.under("rope.scaling.")
    values.setdefault("factor", keys.file.metadata.get(keys.name("rope.scale_linear")))
    for key, value in values.items():
        if value is not None and key != "type" and not isinstance(value, int | float):
            raise ModelFormatError(f"{keys.file.path}: rope.scaling.{key} is {value!r}, not a number")
    factors = keys.file.tensors.get("rope_freqs.weight")
    if factors is None:
        return scaling_from_metadata(values, theta, keys.integer("context_length", largest=LARGEST_CONTEXT))
    if factors.shape != (head_dim // 2,):
        raise ModelFormatError(f"{keys.file.path}: tensor 'rope_freqs.weight' has the shape {list(factors.shape)}")
    original = values.get("original_context_length")
    return llama3_scaling(keys.file.tensor("rope_freqs.weight"), theta, head_dim, int(original) if original else None)
