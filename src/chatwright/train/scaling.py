"""From one dial to the rest: the shape of a depth, and batch, learning rate and tokens of a shape.

Source of the batch and the learning rate: DeepSeek-AI 2024, arXiv 2401.02954, equation 1, fitted over compute budgets
of 1e17 to 2e19; of the number of tokens: Hoffmann et al. 2022, arXiv 2203.15556; of the number of passes over data that
still pay: Muennighoff et al. 2023, arXiv 2305.16264.
"""

from dataclasses import dataclass

from chatwright.model.config import ModelConfig
from chatwright.model.presets import count_parameters

TOKENS_PER_PARAMETER = 20
MAX_PASSES = 4

_HEAD = 64


@dataclass(frozen=True, slots=True)
class Budget:
    """What suits the pretraining of a shape.

    Attributes:
        tokens: to train on.
        batch_tokens: in an optimiser step.
        learning_rate: AdamW's peak.
    """

    tokens: int
    batch_tokens: int
    learning_rate: float


def config_of_depth(depth: int, vocab_size: int) -> ModelConfig:
    """The Qwen3 shape of so many layers: 64 wide for each layer, a head for each layer.

    Heads share keys and values in groups of up to 4.
    """
    hidden = depth * _HEAD
    groups = next(size for size in (4, 3, 2, 1) if depth % size == 0)
    return ModelConfig(
        vocab_size=vocab_size,
        hidden_size=hidden,
        num_layers=depth,
        num_heads=depth,
        num_kv_heads=depth // groups,
        intermediate_size=-(-hidden * 8 // 3 // 64) * 64,
        qk_norm=True,
    )


def budget_of(config: ModelConfig, available_tokens: int | None = None) -> Budget:
    """Tokens, batch and learning rate for a shape.

    Args:
        config: the shape.
        available_tokens: in the training data; more than a few passes over them are not worth their time.
    """
    parameters = count_parameters(config)
    tokens = TOKENS_PER_PARAMETER * parameters
    if available_tokens is not None:
        tokens = min(tokens, MAX_PASSES * available_tokens)
    flops = 6 * parameters * max(tokens, 1)
    return Budget(tokens, round(0.2920 * flops**0.3271), round(0.3118 * flops**-0.1250, 5))
