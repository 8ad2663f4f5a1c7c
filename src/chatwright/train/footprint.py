"""What training keeps in memory, by arithmetic alone. Imports no tensor library.

Shape legend: C hidden width, I inner width, H query heads, K key/value heads, D head width, V vocabulary.
"""

from dataclasses import dataclass, replace
from typing import Literal

from chatwright.model.config import ModelConfig
from chatwright.model.presets import count_parameters

_CHUNK = 512  # positions whose logits exist at once, as in chatwright.train.likelihood


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """Bytes that training takes, by what they are for; before any sharding.

    Attributes:
        weights: in the dtype of computation.
        masters: float32 copies of what is trained; 0 where that is the dtype of computation.
        gradients: where a step has most of them.
        optimizer: moments.
        mean: the running mean of the weights, if one is kept.
        activation_per_token: kept from the forward to the backward pass, for each token of a micro-batch.
        transient: needed for a moment, whatever the batch: a chunk of logits, the head's gradient.
        reference: a model beside that is not trained: the one before the stage, a teacher.
        gathered: whole weights that a process needs for a moment where it keeps a part: two blocks and the embeddings,
            or to sample answers, all.
    """

    weights: int
    masters: int
    gradients: int
    optimizer: int
    mean: int
    activation_per_token: int
    transient: int
    reference: int = 0
    gathered: int = 0

    @property
    def fixed(self) -> int:
        """All that does not depend on the batch."""
        trained = self.weights + self.masters + self.gradients + self.optimizer + self.mean
        return trained + self.reference + self.transient

    def sharded(self, parts: int) -> "MemoryEstimate":
        """For a process that keeps one of so many parts: of all weights in float32, whatever the passes compute in."""
        if parts == 1:
            return self
        kept = 2 * self.weights if self.masters else self.weights
        return replace(
            self,
            weights=0,
            masters=kept // parts,
            gradients=self.gradients // parts,
            optimizer=self.optimizer // parts,
            mean=self.mean // parts,
            reference=self.reference // parts,
            transient=self.transient + self.gathered,
        )

    def total(self, tokens: int) -> int:
        """With micro-batches of so many tokens."""
        return self.fixed + tokens * self.activation_per_token


def estimate_memory(
    config: ModelConfig,
    *,
    itemsize: int,
    optimizer: Literal["muon", "adamw"] = "adamw",
    trainable: int | None = None,
    mean: bool = False,
    recompute: bool = False,
    reference: int = 0,
    samples: bool = False,
) -> MemoryEstimate:
    """What training a model takes.

    Args:
        config: the model's shape.
        itemsize: bytes of a number in the dtype of computation; where they are fewer than 4, float32 masters are kept.
        optimizer: AdamW keeps two float32 numbers for each weight, Muon one for those of the layers' matrices.
        trainable: weights that are trained; None: all.
        mean: whether a running mean of the weights is kept.
        recompute: whether activations are computed again in the backward pass.
        reference: weights of a model that is kept beside, and not trained.
        samples: whether the model answers as it trains.
    """
    parameters = count_parameters(config)
    trained = parameters if trainable is None else trainable
    lowered = itemsize < 4
    embedding = config.vocab_size * config.hidden_size
    embeddings = embedding * (1 if config.tie_embeddings else 2)
    turned = max(0, trained - embeddings) if optimizer == "muon" else 0
    gathered = parameters if samples else embeddings + 2 * (parameters - embeddings) // config.num_layers
    head_gradient = 4 * embedding if trainable is None else 0
    return MemoryEstimate(
        weights=parameters * itemsize,
        masters=4 * trained if lowered else 0,
        gradients=trained * (4 + itemsize if lowered else 4),
        optimizer=8 * (trained - turned) + 4 * turned,
        mean=4 * trained if mean else 0,
        activation_per_token=_activation_per_token(config, itemsize, recompute=recompute),
        transient=_CHUNK * config.vocab_size * (8 + itemsize) + head_gradient,
        reference=reference * itemsize,
        gathered=gathered * itemsize,
    )


def layer_activation(config: ModelConfig, layer: int) -> int:
    """Numbers of one token that a layer keeps for its backward pass."""
    hidden, query, key = config.hidden_size, config.num_heads * config.head_size, config.kv_heads * config.head_size
    norm = 2 if config.norm == "rms" else 1  # its input; PyTorch's RMSNorm keeps what it is before the weight, too
    kept = 2 * (norm + 1) * hidden  # two norms and what they give to the projections
    kept += 3 * query + 2 * key  # rotated queries, keys and values; the attention's result in two layouts
    kept += norm * (query + key) if config.qk_norm else 0
    kept += 2 * norm * hidden if config.norm_placement == "sandwich" else 0
    kept += hidden if config.dropout else 0  # masks of a byte each
    per_unit = 4 if config.gated else 2
    if config.moe is not None and config.is_moe(layer):
        return kept + config.moe.num_experts_per_token * (per_unit * config.moe.intermediate_size + 2 * hidden)
    return kept + per_unit * config.mlp_size


def _activation_per_token(config: ModelConfig, itemsize: int, *, recompute: bool) -> int:
    layers = [layer_activation(config, layer) for layer in range(config.num_layers)]
    # The last norm's input and output, and the gradient of what the head reads; while a layer's backward pass runs,
    # the gradients of its activations come and go.
    around = 3 * config.hidden_size + max(layers)
    kept = config.hidden_size * config.num_layers + max(layers) if recompute else sum(layers)
    return (kept + around) * itemsize
