"""ModelConfig → the architecture and metadata that llama.cpp knows it by.

An architecture can express a model if its metadata, read back by :mod:`~chatwright.model.gguf_config`, give the same
config; so nothing that a config says is lost without notice.
"""

import dataclasses
import io
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from chatwright.errors import ModelFormatError, UnsupportedModelError
from chatwright.model.config import ModelConfig, RopeConfig
from chatwright.model.gguf_config import GEMMA3_PATTERN, gguf_config
from chatwright.model.gguf_file import GGUFFile
from chatwright.model.gguf_header import TensorInfo, Value
from chatwright.model.gguf_rope import llama3_factors, scaling_to_metadata


def gguf_metadata(config: ModelConfig) -> tuple[str, dict[str, Value]]:
    """The architecture to write a model as, and its metadata.

    Raises:
        UnsupportedModelError: llama.cpp has no architecture that computes this model; names what is in the way.
    """
    closest: list[str] | None = None
    for architecture, (write, biases) in _ARCHITECTURES.items():
        if (config.qkv_bias, config.output_bias, config.mlp_bias) not in biases:
            continue
        metadata = _common(config) | write(config)
        metadata = {f"{architecture}.{key}": value for key, value in metadata.items()}
        differing = _differences(_read_back(architecture, metadata, config), config)
        if not differing:
            return architecture, metadata
        if closest is None or len(differing) < len(closest):
            closest = differing
    obstacles = ", ".join(f"{name}={getattr(config, name)!r}" for name in closest or ["qkv_bias", "output_bias"])
    raise UnsupportedModelError(
        f"llama.cpp has no architecture for this model ({obstacles}); export it with --format hf instead"
    )


def _common(config: ModelConfig) -> dict[str, Value]:
    return {
        "block_count": config.num_layers,
        "context_length": config.max_position_embeddings,
        "embedding_length": config.hidden_size,
        "feed_forward_length": config.mlp_size,
        "attention.head_count": config.num_heads,
        "attention.head_count_kv": config.kv_heads,
        "vocab_size": config.vocab_size,
    }


def _gpt2(config: ModelConfig) -> dict[str, Value]:
    return {"attention.layer_norm_epsilon": config.norm_eps}


def _llama(config: ModelConfig) -> dict[str, Value]:
    scaling = {f"rope.scaling.{key}": value for key, value in scaling_to_metadata(config.rope).items()}
    return {
        "attention.layer_norm_rms_epsilon": config.norm_eps,
        "attention.key_length": config.head_size,
        "attention.value_length": config.head_size,
        "rope.dimension_count": config.head_size,
        "rope.freq_base": config.rope.theta,
        **scaling,
    }


def _qwen3moe(config: ModelConfig) -> dict[str, Value]:
    if config.moe is None:
        return {}
    return _llama(config) | {
        "expert_count": config.moe.num_experts,
        "expert_used_count": config.moe.num_experts_per_token,
        "expert_feed_forward_length": config.moe.intermediate_size,
    }


def _gemma3(config: ModelConfig) -> dict[str, Value]:
    values = _llama(config)
    if "sliding" not in config.layer_types or config.sliding_window is None:
        return values
    local = config.rope_local or config.rope
    values |= {"attention.sliding_window": config.sliding_window, "rope.freq_base_swa": local.theta}
    sliding = [kind == "sliding" for kind in config.layer_types]
    if sliding != [bool((layer + 1) % GEMMA3_PATTERN) for layer in range(config.num_layers)]:
        values["attention.sliding_window_pattern"] = list[int | float | bool | str](sliding)
    return values


_Write = Callable[[ModelConfig], dict[str, Value]]
_NO_BIAS = (False, False, False)
# In order of preference: how it is written, and which (qkv, output, feed-forward) biases llama.cpp reads for it.
_ARCHITECTURES: dict[str, tuple[_Write, tuple[tuple[bool, bool, bool], ...]]] = {
    "gpt2": (_gpt2, ((True, True, True),)),
    "gemma3": (_gemma3, (_NO_BIAS,)),
    "qwen3moe": (_qwen3moe, (_NO_BIAS,)),
    "qwen3": (_llama, (_NO_BIAS,)),
    "qwen2": (_llama, ((True, False, False),)),
    "llama": (
        _llama,
        tuple((qkv, out, mlp) for qkv in (False, True) for out in (False, True) for mlp in (False, True)),
    ),
}


def _read_back(architecture: str, metadata: Mapping[str, Value], config: ModelConfig) -> ModelConfig | None:
    """The config that a file with these metadata and this model's tensors would be read as."""
    if architecture == "qwen2" and config.num_heads * config.head_size != config.hidden_size:
        return None  # llama.cpp has no other width of heads there
    shapes: dict[str, tuple[int, ...]] = {"token_embd.weight": (config.vocab_size, config.hidden_size)}
    if not config.tie_embeddings:
        shapes["output.weight"] = shapes["token_embd.weight"]
    for present, tensor in (
        (config.qkv_bias, "attn_q"),
        (config.output_bias, "attn_output"),
        (config.mlp_bias, "ffn_up"),
    ):
        if present:
            shapes[f"blk.0.{tensor}.bias"] = (1,)
    for layer in range(config.num_layers):  # as many tensors as layers at least, or the depth is not believed
        shapes[f"blk.{layer}.attn_norm.weight"] = (config.hidden_size,)
    data = b""
    if config.rope.scaling == "llama3" and config.position == "rotary":
        shapes["rope_freqs.weight"] = (config.head_size // 2,)
        data = llama3_factors(config.rope, config.head_size).tobytes()
    tensors = {name: TensorInfo(name, shape, "F32", 0, len(data)) for name, shape in shapes.items()}
    file = GGUFFile(Path("model"), {"general.architecture": architecture, **metadata}, tensors, io.BytesIO(data))
    try:
        return gguf_config(file)
    except (ModelFormatError, UnsupportedModelError):
        return None


def _differences(found: ModelConfig | None, config: ModelConfig) -> list[str]:
    """Names of the fields in which a config read back differs; all of them where none could be read."""
    wanted = dataclasses.asdict(_essence(config))
    if found is None:
        return list(wanted)
    got = dataclasses.asdict(_essence(found))
    return [name for name in wanted if not _same(wanted[name], got[name])]


def _essence(config: ModelConfig) -> ModelConfig:
    """The config without what does not change what the model computes."""
    sliding = "sliding" in config.layer_types
    rope_local = (config.rope_local or config.rope) if sliding else None
    return config.replace(
        dropout=0.0,
        initializer_range=0.02,
        rope=config.rope if config.position == "rotary" else RopeConfig(),
        rope_local=rope_local,
        sliding_window=config.sliding_window if sliding else None,
        attention_scale=config.scale,
    )


def _same(one: Any, other: Any) -> bool:
    """Equal, with numbers compared as the float32 that metadata keep."""
    if isinstance(one, dict) and isinstance(other, dict):
        return all(_same(one[key], other[key]) for key in one)
    if type(one) is float and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-6)
    return bool(one == other)
