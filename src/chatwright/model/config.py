"""The one description of a GPT: a frozen dataclass that every family of checkpoints is translated into.

Nothing in the package branches on a model's *name*; whatever differs between GPT-2, Llama, Qwen and Gemma is a field
here. ``families.py`` translates Hugging Face ``config.json`` files to and from this form, ``gguf`` metadata likewise.
"""

import math
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, Self, get_args

from chatwright.errors import ConfigError

Position = Literal["learned", "sinusoidal", "rotary", "none"]
Norm = Literal["rms", "layer"]
NormPlacement = Literal["pre", "post", "sandwich"]
FeedForward = Literal["gelu", "gelu_tanh", "relu", "silu", "swiglu", "geglu"]
LayerType = Literal["full", "sliding"]
RopeScaling = Literal["none", "linear", "llama3", "yarn"]

GATED: tuple[FeedForward, ...] = ("swiglu", "geglu")


@dataclass(frozen=True, slots=True)
class RopeConfig:
    """Rotary position embedding.

    Attributes:
        theta: base of the geometric series of wavelengths.
        scaling: how the frequencies are stretched beyond the trained context.
        factor: stretch factor; used by linear, llama3 and yarn.
        original_max_position_embeddings: trained context length; used by llama3 and yarn.
        low_freq_factor, high_freq_factor: llama3's band of interpolation.
        beta_fast, beta_slow: yarn's band of interpolation, in rotations.
        attention_factor: yarn's multiplier of cos and sin; None takes the paper's 0.1 ln(factor) + 1.
    """

    theta: float = 10_000.0
    scaling: RopeScaling = "none"
    factor: float = 1.0
    original_max_position_embeddings: int | None = None
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    attention_factor: float | None = None

    def __post_init__(self) -> None:
        _check_choice("rope.scaling", self.scaling, get_args(RopeScaling))
        for name in ("theta", "low_freq_factor", "beta_fast", "beta_slow", "attention_factor"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ConfigError(f"rope.{name} is {value!r}; it must be > 0")
        if not 1 <= self.factor < math.inf:
            raise ConfigError(f"rope.factor is {self.factor!r}; it must be >= 1")
        if not self.low_freq_factor < self.high_freq_factor < math.inf:
            raise ConfigError(
                f"rope.high_freq_factor is {self.high_freq_factor!r}; it must be above rope.low_freq_factor = "
                f"{self.low_freq_factor!r}"
            )
        if self.scaling == "yarn" and self.theta == 1:
            raise ConfigError("rope.theta is 1; rope.scaling='yarn' needs another")
        if self.scaling in ("llama3", "yarn") and not self.original_max_position_embeddings:
            raise ConfigError(f"rope.original_max_position_embeddings is required by rope.scaling={self.scaling!r}")


@dataclass(frozen=True, slots=True)
class MoEConfig:
    """Mixture of experts in place of the dense feed-forward layer.

    Attributes:
        num_experts: experts in a layer.
        num_experts_per_token: experts that each token visits.
        intermediate_size: width of one expert.
        normalize_weights: divide the chosen experts' router probabilities by their sum.
        dense_layers: indices of layers that keep the dense feed-forward.
    """

    num_experts: int
    num_experts_per_token: int
    intermediate_size: int
    normalize_weights: bool = True
    dense_layers: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.num_experts_per_token <= self.num_experts:
            raise ConfigError(
                f"moe.num_experts_per_token is {self.num_experts_per_token}; it must be between 1 and "
                f"moe.num_experts = {self.num_experts}"
            )


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """Shape and options of a decoder-only Transformer.

    Attributes:
        vocab_size: rows of the embedding table.
        hidden_size: width of the residual stream.
        num_layers, num_heads, num_kv_heads: blocks; query heads; key/value heads (equal to num_heads for
            multi-head attention, fewer for grouped-query attention). ``num_kv_heads=None`` means num_heads.
        head_dim: width of a head; None means hidden_size // num_heads.
        intermediate_size: width of the dense feed-forward layer; None means 4 * hidden_size.
        max_position_embeddings: longest context in tokens.
        position: where position comes from.
        rope: rotary settings (full-attention layers).
        rope_local: rotary settings of the sliding layers where they differ (Gemma 3), else None.
        norm, norm_eps, norm_placement: RMSNorm or LayerNorm; before, after (GPT-1), or around (Gemma) each sub-layer.
        norm_offset: the norm multiplies by (norm_offset + weight); 1.0 for Gemma, else 0.0.
        final_norm: whether a norm follows the last block (GPT-1 has none).
        feed_forward: activation of the feed-forward layer; swiglu and geglu are gated. geglu uses tanh-GELU.
        moe: mixture of experts, or None for dense layers.
        qkv_bias, output_bias, mlp_bias: biases of the q/k/v projections, the attention output, the feed-forward.
        qk_norm: RMSNorm on each query and key head (Qwen3, Gemma 3).
        attention_scale: multiplier of q·k; None means head_dim ** -0.5.
        sliding_window: how many tokens, itself included, a token of a sliding layer sees.
        layer_types: "full" or "sliding" per layer; empty means all full.
        embedding_scale: multiplier of the token embedding (Gemma: sqrt(hidden_size)).
        tie_embeddings: whether the output head shares the embedding table.
        causal: False lets every token see every other (masked-LM objective, classifiers).
        dropout: probability used in training at embeddings, attention output and feed-forward output.
        initializer_range: standard deviation of fresh weights.
    """

    vocab_size: int
    hidden_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int | None = None
    head_dim: int | None = None
    intermediate_size: int | None = None
    max_position_embeddings: int = 2048
    position: Position = "rotary"
    rope: RopeConfig = field(default_factory=RopeConfig)
    rope_local: RopeConfig | None = None
    norm: Norm = "rms"
    norm_eps: float = 1e-6
    norm_placement: NormPlacement = "pre"
    norm_offset: float = 0.0
    final_norm: bool = True
    feed_forward: FeedForward = "swiglu"
    moe: MoEConfig | None = None
    qkv_bias: bool = False
    output_bias: bool = False
    mlp_bias: bool = False
    qk_norm: bool = False
    attention_scale: float | None = None
    sliding_window: int | None = None
    layer_types: tuple[LayerType, ...] = ()
    embedding_scale: float = 1.0
    tie_embeddings: bool = True
    causal: bool = True
    dropout: float = 0.0
    initializer_range: float = 0.02

    def __post_init__(self) -> None:
        for name in ("vocab_size", "hidden_size", "num_layers", "num_heads", "max_position_embeddings"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ConfigError(f"{name} is {value!r}; it must be a positive integer")
        set_ = object.__setattr__  # fill the derived defaults once, so every reader sees plain integers
        if self.num_kv_heads is None:
            set_(self, "num_kv_heads", self.num_heads)
        if self.head_dim is None:
            if self.hidden_size % self.num_heads:
                raise ConfigError(
                    f"hidden_size {self.hidden_size} is not a multiple of num_heads {self.num_heads}; give head_dim"
                )
            set_(self, "head_dim", self.hidden_size // self.num_heads)
        if self.intermediate_size is None:
            set_(self, "intermediate_size", 4 * self.hidden_size)
        for name in ("num_kv_heads", "head_dim", "intermediate_size", "sliding_window"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
                raise ConfigError(f"{name} is {value!r}; it must be a positive integer")
        if not self.layer_types:
            set_(self, "layer_types", ("full",) * self.num_layers)
        _check_choice("position", self.position, get_args(Position))
        _check_choice("norm", self.norm, get_args(Norm))
        _check_choice("norm_placement", self.norm_placement, get_args(NormPlacement))
        _check_choice("feed_forward", self.feed_forward, get_args(FeedForward))
        for layer_type in self.layer_types:
            _check_choice("layer_types", layer_type, get_args(LayerType))
        if self.num_heads % self.kv_heads:
            raise ConfigError(f"num_heads {self.num_heads} is not a multiple of num_kv_heads {self.num_kv_heads}")
        if len(self.layer_types) != self.num_layers:
            raise ConfigError(f"layer_types has {len(self.layer_types)} entries for num_layers = {self.num_layers}")
        if "sliding" in self.layer_types and not self.sliding_window:
            raise ConfigError("layer_types has sliding layers, but sliding_window is not set")
        if self.position == "rotary" and self.head_size % 2:
            raise ConfigError(f"head_dim {self.head_dim} is odd; rotary positions need an even head_dim")
        if self.norm == "layer" and self.norm_offset:
            raise ConfigError(f"norm_offset is {self.norm_offset!r}; only norm='rms' has one")
        if self.moe is not None and not self.gated:
            raise ConfigError(f"feed_forward is {self.feed_forward!r}; experts (moe) need one of {', '.join(GATED)}")
        for name in ("norm_eps", "initializer_range"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"{name} is {getattr(self, name)!r}; it must be >= 0")
        for name in ("attention_scale", "embedding_scale", "norm_offset"):
            value = getattr(self, name)
            if value is not None and not math.isfinite(value):
                raise ConfigError(f"{name} is {value!r}; it must be a finite number")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout is {self.dropout!r}; it must be in [0, 1)")

    # Typed views of the fields that __post_init__ fills.
    @property
    def kv_heads(self) -> int:
        """Number of key/value heads."""
        assert self.num_kv_heads is not None
        return self.num_kv_heads

    @property
    def head_size(self) -> int:
        """Width of one attention head."""
        assert self.head_dim is not None
        return self.head_dim

    @property
    def mlp_size(self) -> int:
        """Width of the dense feed-forward layer."""
        assert self.intermediate_size is not None
        return self.intermediate_size

    @property
    def gated(self) -> bool:
        """Whether the feed-forward layer has a gate projection."""
        return self.feed_forward in GATED

    @property
    def scale(self) -> float:
        """Multiplier of q·k before the softmax."""
        return self.attention_scale if self.attention_scale is not None else self.head_size**-0.5

    def window(self, layer: int) -> int | None:
        """Sliding window of ``layer`` in tokens, or None where it sees everything."""
        return self.sliding_window if self.layer_types[layer] == "sliding" else None

    def layer_rope(self, layer: int) -> RopeConfig:
        """Rotary settings of ``layer``."""
        if self.rope_local is not None and self.layer_types[layer] == "sliding":
            return self.rope_local
        return self.rope

    def is_moe(self, layer: int) -> bool:
        """Whether ``layer`` has experts in place of the dense feed-forward."""
        return self.moe is not None and layer not in self.moe.dense_layers

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields changed; an unknown name is a ConfigError."""
        known = {f.name for f in fields(self)}
        for name in changes:
            if name not in known:
                raise ConfigError(f"unknown model option {name!r}; known are: {', '.join(sorted(known))}")
        return replace(self, **changes)


def _check_choice(name: str, value: object, allowed: tuple[object, ...]) -> None:
    if value not in allowed:
        raise ConfigError(f"{name} is {value!r}; allowed are {', '.join(map(repr, allowed))}")
