"""From one dial to the rest: the shape of a depth, and batch, learning rate and tokens of a shape.

Source of the batch and the learning rate: DeepSeek-AI 2024, arXiv 2401.02954, equation 1, fitted over compute budgets
of 1e17 to 2e19; of the number of tokens: Hoffmann et al. 2022, arXiv 2203.15556; of the number of passes over data that
still pay: Muennighoff et al. 2023, arXiv 2305.16264.
"""

import math

from chatwright.model.config import ModelConfig
from chatwright.model.presets import count_parameters
from chatwright.train.settings import StageSettings

TOKENS_PER_PARAMETER = 20
MAX_PASSES = 4

_HEAD = 64


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


def batch_tokens(flops: float) -> float:
    """Tokens in a step that suit a training of so many floating-point operations."""
    return 0.2920 * math.pow(flops, 0.3271)


def learning_rate(flops: float) -> float:
    """AdamW's peak that suits a training of so many floating-point operations; two digits."""
    return float(f"{0.3118 * flops**-0.1250:.2g}")


def scaled(settings: StageSettings, config: ModelConfig, available_tokens: int | None) -> StageSettings:
    """The settings of a stage that trains random weights on text, with what nobody has given derived from the shape.

    Args:
        settings: of the stage. What was given stays: the batch, the steps or passes, the learning rate.
        config: the shape.
        available_tokens: in the training data; None where that is not known.
    """
    parameters = count_parameters(config)
    tokens = TOKENS_PER_PARAMETER * parameters
    if available_tokens is not None:
        tokens = min(tokens, MAX_PASSES * available_tokens)
    if settings.max_steps is not None and settings.train_batch_size is not None:
        tokens = settings.max_steps * settings.train_batch_size * settings.max_length
    flops = 6 * parameters * max(tokens, 1)
    given = settings.model_fields_set
    changes: dict[str, float | int] = {}
    rows = settings.train_batch_size
    if not given & {"train_batch_size", "per_device_train_batch_size", "gradient_accumulation_steps"}:
        rows = changes["train_batch_size"] = max(round(batch_tokens(flops) / settings.max_length), 1)
    if rows is not None and not given & {"max_steps", "num_train_epochs"}:
        changes["max_steps"] = max(round(tokens / (rows * settings.max_length)), 1)
    if "learning_rate" not in given:
        changes["learning_rate"] = learning_rate(flops)
    return settings.model_copy(update=changes)
