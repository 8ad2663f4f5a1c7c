"""Floating-point operations of training, by arithmetic alone. Imports no tensor library.

Shape legend: L length of a document, W sliding window.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chatwright.model.config import ModelConfig
from chatwright.model.presets import count_parameters

if TYPE_CHECKING:
    from chatwright.train.batch import Batch


@dataclass(frozen=True, slots=True)
class ModelFlops:
    """Floating-point operations of one training pass: forward, and backward to inputs and weights.

    Only what the model needs is counted, as is usual for MFU (Chowdhery et al. 2022, arXiv 2204.02311, appendix B):
    not what is computed again, nor what a kernel does beyond it. Other than there, a token's attention is counted over
    the tokens that it sees: itself and the earlier ones of its document, within the window.

    Attributes:
        per_token: of the matrices of the layers.
        per_label: of the output head, which only labelled positions need.
        per_pair: of attention, for each pair of a token and one that it sees, by layer.
    """

    per_token: float
    per_label: float
    per_pair: tuple[float, ...]
    windows: tuple[int | None, ...]
    causal: bool

    @classmethod
    def of(cls, config: ModelConfig, *, trained_part: float = 1.0) -> "ModelFlops":
        """For a model of ``config``, of which ``trained_part`` of the weights learn (adapters: hardly any)."""
        passes = 2 + trained_part  # forward, gradients of the inputs, gradients of the trained weights
        layers = range(config.num_layers)
        return cls(
            per_token=2 * passes * active_matrix_parameters(config),
            per_label=2 * passes * config.vocab_size * config.hidden_size,
            per_pair=(12.0 * config.num_heads * config.head_size,) * config.num_layers,
            windows=tuple(config.window(layer) for layer in layers),
            causal=config.causal,
        )

    def of_batch(self, batch: "Batch") -> float:
        """Of one batch (on the CPU: its labels are counted)."""
        return self.of_documents(batch.lengths, batch.num_labels)

    def of_documents(self, lengths: tuple[int, ...], num_labels: int) -> float:
        """Of documents of so many tokens, with so many labelled positions in all."""
        total = self.per_token * sum(lengths) + self.per_label * num_labels
        pairs = {window: sum(_pairs(length, window, self.causal) for length in lengths) for window in set(self.windows)}
        return total + sum(
            per_pair * pairs[window] for per_pair, window in zip(self.per_pair, self.windows, strict=True)
        )

    def per_token_of(self, length: int) -> float:
        """Of one token in a document of ``length``, labelled everywhere."""
        return self.of_documents((length,), length) / length


def active_matrix_parameters(config: ModelConfig) -> int:
    """Weights of the layers' matrices that one token meets: of the experts, only those it is sent to."""
    total = count_parameters(config)
    total -= config.vocab_size * config.hidden_size * (1 if config.tie_embeddings else 2)
    if config.position == "learned":
        total -= config.max_position_embeddings * config.hidden_size
    if config.moe is not None:
        idle = config.moe.num_experts - config.moe.num_experts_per_token
        layers = sum(config.is_moe(layer) for layer in range(config.num_layers))
        total -= layers * idle * 3 * config.hidden_size * config.moe.intermediate_size
    return total


def _pairs(length: int, window: int | None, causal: bool) -> float:
    """Pairs of a token and one that it sees, in a document."""
    if not causal:
        return length * min(length, 2 * window - 1 if window else length)
    reach = min(length, window or length)
    return reach * (reach + 1) / 2 + (length - reach) * reach
