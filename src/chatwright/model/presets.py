"""Known shapes by name, and how many parameters a shape has. Imports no tensor library.

The published models are given as their ``config.json`` says; the small ``llama-`` and ``qwen3-`` shapes are our own
steps for training from scratch.
"""

from dataclasses import dataclass
from typing import Any

from chatwright.errors import ConfigError
from chatwright.model.config import LayerType, ModelConfig, MoEConfig, RopeConfig


@dataclass(frozen=True, slots=True)
class Preset:
    """A named shape.

    Attributes:
        name: as given to :func:`preset`.
        config: the shape.
        about: one line for lists.
    """

    name: str
    config: ModelConfig
    about: str

    @property
    def parameters(self) -> int:
        """Number of weights; a tied output head counts once."""
        return count_parameters(self.config)


def preset(name: str, **changes: Any) -> ModelConfig:
    """The config of a preset, with some fields changed (``vocab_size`` to fit a tokenizer, say).

    Raises:
        ConfigError: no such preset, or no such field.
    """
    if name not in PRESETS:
        raise ConfigError(f"no preset is called {name!r}; there are: {', '.join(PRESETS)}")
    return PRESETS[name].config.replace(**changes)


def count_parameters(config: ModelConfig) -> int:
    """Number of weights of the model that ``config`` describes, by arithmetic alone."""
    hidden, norm = config.hidden_size, _norm(config, config.hidden_size)
    total = config.vocab_size * hidden * (1 if config.tie_embeddings else 2)
    if config.position == "learned":
        total += config.max_position_embeddings * hidden
    if config.final_norm:
        total += norm
    norms_per_layer = 4 if config.norm_placement == "sandwich" else 2
    for layer in range(config.num_layers):
        total += norms_per_layer * norm + _attention(config) + _feed_forward(config, layer)
    return total


def _norm(config: ModelConfig, size: int) -> int:
    return size if config.norm == "rms" else 2 * size


def _linear(inputs: int, outputs: int, bias: bool) -> int:
    return inputs * outputs + (outputs if bias else 0)


def _attention(config: ModelConfig) -> int:
    width, kv_width = config.num_heads * config.head_size, config.kv_heads * config.head_size
    total = _linear(config.hidden_size, width, config.qkv_bias)
    total += 2 * _linear(config.hidden_size, kv_width, config.qkv_bias)
    total += _linear(width, config.hidden_size, config.output_bias)
    return total + (2 * config.head_size if config.qk_norm else 0)


def _feed_forward(config: ModelConfig, layer: int) -> int:
    if config.moe is not None and config.is_moe(layer):
        expert = 3 * config.hidden_size * config.moe.intermediate_size
        return config.moe.num_experts * (expert + config.hidden_size)  # + its row of the router
    inner = (2 if config.gated else 1) * _linear(config.hidden_size, config.mlp_size, config.mlp_bias)
    return inner + _linear(config.mlp_size, config.hidden_size, config.mlp_bias)


def _gpt(hidden: int, layers: int, heads: int, *, vocab: int = 50257, context: int = 1024, **more: Any) -> ModelConfig:
    """The shape of GPT-1, 2 and 3: learned positions, LayerNorm, GELU, biases."""
    values: dict[str, Any] = {
        "position": "learned",
        "norm": "layer",
        "norm_eps": 1e-5,
        "feed_forward": "gelu_tanh",
        "qkv_bias": True,
        "output_bias": True,
        "mlp_bias": True,
    }
    return ModelConfig(
        vocab_size=vocab,
        hidden_size=hidden,
        num_layers=layers,
        num_heads=heads,
        max_position_embeddings=context,
        **values | more,
    )


def _llama(hidden: int, inner: int, layers: int, heads: int, kv_heads: int, **more: Any) -> ModelConfig:
    """The shape of Llama: rotary positions, RMSNorm, SwiGLU, grouped queries."""
    return ModelConfig(
        hidden_size=hidden,
        intermediate_size=inner,
        num_layers=layers,
        num_heads=heads,
        num_kv_heads=kv_heads,
        **{"norm_eps": 1e-5} | more,
    )


def _llama3(hidden: int, inner: int, layers: int, heads: int, *, factor: float, tied: bool) -> ModelConfig:
    rope = RopeConfig(theta=500_000.0, scaling="llama3", factor=factor, original_max_position_embeddings=8192)
    return _llama(
        hidden,
        inner,
        layers,
        heads,
        8,
        vocab_size=128_256,
        max_position_embeddings=131_072,
        rope=rope,
        tie_embeddings=tied,
    )


def _qwen3(hidden: int, inner: int, layers: int, heads: int, kv_heads: int, **more: Any) -> ModelConfig:
    """The shape of Qwen3: Llama's, with QK-norm and heads of 128."""
    published: dict[str, Any] = {
        "vocab_size": 151_936,
        "max_position_embeddings": 40_960,
        "head_dim": 128,
        "rope": RopeConfig(theta=1_000_000.0),
    }
    return _llama(hidden, inner, layers, heads, kv_heads, **{"norm_eps": 1e-6, "qk_norm": True} | published | more)


def _gemma3(hidden: int, inner: int, layers: int) -> ModelConfig:
    layer_types: tuple[LayerType, ...] = tuple("full" if layer % 6 == 5 else "sliding" for layer in range(layers))
    return ModelConfig(
        vocab_size=262_144,
        hidden_size=hidden,
        intermediate_size=inner,
        num_layers=layers,
        num_heads=4,
        num_kv_heads=1,
        head_dim=256,
        max_position_embeddings=32_768,
        rope=RopeConfig(theta=1_000_000.0),
        rope_local=RopeConfig(theta=10_000.0),
        norm_placement="sandwich",
        norm_offset=1.0,
        feed_forward="geglu",
        qk_norm=True,
        sliding_window=512,
        layer_types=layer_types,
        embedding_scale=hidden**0.5,
    )


# Our steps: parameters, vocabulary, hidden, feed-forward, layers, heads, kv heads. Heads are 32 wide, then 64.
_STEPS = (
    ("1m", 4096, 96, 256, 6, 3, 1),
    ("5m", 8192, 192, 512, 8, 6, 2),
    ("15m", 16_384, 320, 864, 9, 5, 1),
    ("50m", 32_768, 512, 1408, 12, 8, 2),
    ("125m", 32_768, 768, 2048, 16, 12, 4),
    ("350m", 65_536, 1024, 2816, 24, 16, 8),
)


def _steps(family: str, **more: Any) -> list[Preset]:
    return [
        Preset(
            f"{family}-{size}",
            _llama(hidden, inner, layers, heads, kv_heads, vocab_size=vocab, **more),
            f"the {family} architecture, small, to train from scratch",
        )
        for size, vocab, hidden, inner, layers, heads, kv_heads in _STEPS
    ]


_GPT1 = _gpt(768, 12, 12, vocab=40_478, context=512, norm_placement="post", final_norm=False, dropout=0.1)
_GPT3 = "GPT-3 (Brown et al. 2020, table 2.1), with dense attention in every layer"
_SMOLLM2 = {"vocab_size": 49_152, "max_position_embeddings": 8192}
_LLAMA32_1B = _llama3(2048, 8192, 16, 32, factor=32.0, tied=True)
_LLAMA32_3B = _llama3(3072, 8192, 28, 24, factor=32.0, tied=True)
_LLAMA31_8B = _llama3(4096, 14_336, 32, 32, factor=8.0, tied=False)
_QWEN3_30B = _qwen3(
    2048,
    6144,
    48,
    32,
    4,
    tie_embeddings=False,
    moe=MoEConfig(num_experts=128, num_experts_per_token=8, intermediate_size=768),
)

PRESETS: dict[str, Preset] = {
    entry.name: entry
    for entry in (
        Preset("gpt1-117m", _GPT1, "GPT (Radford et al. 2018): norms after each sub-layer"),
        Preset("gpt2-124m", _gpt(768, 12, 12, dropout=0.1), "GPT-2 small (Radford et al. 2019)"),
        Preset("gpt2-355m", _gpt(1024, 24, 16, dropout=0.1), "GPT-2 medium"),
        Preset("gpt2-774m", _gpt(1280, 36, 20, dropout=0.1), "GPT-2 large"),
        Preset("gpt2-1.5b", _gpt(1600, 48, 25, dropout=0.1), "GPT-2 XL"),
        Preset("gpt2-24x768", _gpt(768, 24, 16, dropout=0.1), "24 layers of 768, feed-forward 3072, 16 heads"),
        Preset("gpt3-125m", _gpt(768, 12, 12, context=2048), _GPT3),
        Preset("gpt3-350m", _gpt(1024, 24, 16, context=2048), _GPT3),
        Preset("gpt3-760m", _gpt(1536, 24, 16, context=2048), _GPT3),
        # The paper's 24 heads of 128 do not make 2048; 16 do.
        Preset("gpt3-1.3b", _gpt(2048, 24, 16, context=2048), _GPT3),
        Preset("gpt3-2.7b", _gpt(2560, 32, 32, context=2048), _GPT3),
        Preset("gpt3-6.7b", _gpt(4096, 32, 32, context=2048), _GPT3),
        # The paper's 5140 is not 40 heads of 128; 5120 is.
        Preset("gpt3-13b", _gpt(5120, 40, 40, context=2048), _GPT3),
        Preset("gpt3-175b", _gpt(12_288, 96, 96, context=2048), _GPT3),
        *_steps("llama"),
        Preset("llama-1b", _LLAMA32_1B, "the shape of Llama 3.2 1B"),
        Preset("llama-3b", _LLAMA32_3B, "the shape of Llama 3.2 3B"),
        Preset("llama-8b", _LLAMA31_8B, "the shape of Llama 3.1 8B"),
        Preset("llama3.2-1b", _LLAMA32_1B, "Llama 3.2 1B"),
        Preset("llama3.2-3b", _LLAMA32_3B, "Llama 3.2 3B"),
        Preset("llama3.1-8b", _LLAMA31_8B, "Llama 3.1 8B"),
        Preset("smollm2-135m", _llama(576, 1536, 30, 9, 3, rope=RopeConfig(100_000.0), **_SMOLLM2), "SmolLM2 135M"),
        Preset("smollm2-360m", _llama(960, 2560, 32, 15, 5, rope=RopeConfig(100_000.0), **_SMOLLM2), "SmolLM2 360M"),
        Preset("smollm2-1.7b", _llama(2048, 8192, 24, 32, 32, rope=RopeConfig(130_000.0), **_SMOLLM2), "SmolLM2 1.7B"),
        *_steps("qwen3", qk_norm=True, norm_eps=1e-6),
        Preset("qwen3-0.6b", _qwen3(1024, 3072, 28, 16, 8), "Qwen3 0.6B"),
        Preset("qwen3-1.7b", _qwen3(2048, 6144, 28, 16, 8), "Qwen3 1.7B"),
        Preset("qwen3-4b", _qwen3(2560, 9728, 36, 32, 8), "Qwen3 4B"),
        Preset("qwen3-8b", _qwen3(4096, 12_288, 36, 32, 8, tie_embeddings=False), "Qwen3 8B"),
        Preset("qwen3-30b-a3b", _QWEN3_30B, "Qwen3 30B-A3B: 128 experts, 8 for each token"),
        Preset("gemma3-270m", _gemma3(640, 2048, 18), "Gemma 3 270M"),
        Preset("gemma3-1b", _gemma3(1152, 6912, 26), "Gemma 3 1B"),
    )
}
