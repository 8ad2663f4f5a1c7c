"""How much memory training takes, and how many rows of a batch fit in one forward pass.

Shape legend: C hidden width, I inner width, H query heads, K key/value heads, D head width, V vocabulary.
"""

import math
import sys
from dataclasses import dataclass
from typing import Literal

import torch

from chatwright.engine.memory import free_bytes
from chatwright.model import ModelConfig, count_parameters
from chatwright.train.feed import RowFeed
from chatwright.train.settings import StageSettings

_CHUNK = 512  # positions whose logits exist at once, as in chatwright.train.likelihood
# Of the free memory; the rest is for the allocator's gaps and what an estimate forgets. On a CPU, where others want
# memory too, a process grew by 30 % more than estimated (17M weights, 1,024 to 4,096 tokens, bfloat16).
_SHARE = {"cpu": 0.6, "cuda": 0.85}
# With so many tokens a pass is as fast per token as it gets; more only take memory. Measured on 2 cores for 17M
# weights: 4,400 tokens a second in passes of 1,024, 5,500 of 2,048, 5,700 of 4,096, 6,700 of 8,192.
_ENOUGH_TOKENS = {"cpu": 8192, "cuda": 65_536}


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
    """

    weights: int
    masters: int
    gradients: int
    optimizer: int
    mean: int
    activation_per_token: int
    transient: int

    @property
    def fixed(self) -> int:
        """All that does not depend on the batch."""
        return self.weights + self.masters + self.gradients + self.optimizer + self.mean + self.transient

    def total(self, tokens: int) -> int:
        """With micro-batches of so many tokens."""
        return self.fixed + tokens * self.activation_per_token


def estimate_memory(
    config: ModelConfig,
    *,
    dtype: torch.dtype,
    optimizer: Literal["muon", "adamw"] = "adamw",
    trainable: int | None = None,
    mean: bool = False,
    recompute: bool = False,
) -> MemoryEstimate:
    """What training a model takes.

    Args:
        config: the model's shape.
        dtype: of computation.
        optimizer: AdamW keeps two float32 numbers for each weight, Muon one for those of the layers' matrices.
        trainable: weights that are trained; None: all.
        mean: whether a running mean of the weights is kept.
        recompute: whether activations are computed again in the backward pass.
    """
    parameters = count_parameters(config)
    trained = parameters if trainable is None else trainable
    lowered = dtype != torch.float32
    embedding = config.vocab_size * config.hidden_size
    turned = max(0, trained - embedding * (1 if config.tie_embeddings else 2)) if optimizer == "muon" else 0
    head_gradient = 4 * embedding if trainable is None else 0
    return MemoryEstimate(
        weights=parameters * dtype.itemsize,
        masters=4 * trained if lowered else 0,
        gradients=trained * (4 + dtype.itemsize if lowered else 4),
        optimizer=8 * (trained - turned) + 4 * turned,
        mean=4 * trained if mean else 0,
        activation_per_token=_activation_per_token(config, dtype, recompute=recompute),
        transient=_CHUNK * config.vocab_size * (8 + dtype.itemsize) + head_gradient,
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


def rows_that_fit(
    feed: RowFeed, estimate: MemoryEstimate, device: torch.device, *, present: int, world_size: int, free: int | None
) -> int:
    """Rows for one forward pass of one process.

    Args:
        feed: says how long its rows are, and how many a step has.
        estimate: of the stage's memory.
        device: that the model is on.
        present: bytes of the estimate that are allocated already.
        world_size: number of processes.
        free: bytes that can still be had on ``device``; None where nobody knows.
    Returns:
        At least 1, even if by the estimate not one fits; the rows of a step are divided evenly.
    """
    most = max(1, _ENOUGH_TOKENS.get(device.type, 8192) // feed.tokens_per_row)
    if free is not None:
        left = _SHARE.get(device.type, 0.6) * free - max(0, estimate.fixed - present)
        most = min(most, max(1, int(left // (estimate.activation_per_token * feed.tokens_per_row))))
    share = math.ceil(feed.rows_per_step / world_size)
    passes = math.ceil(share / most)
    return math.ceil(share / passes)


def rows_per_micro_batch(
    feed: RowFeed,
    settings: StageSettings,
    estimate: MemoryEstimate,
    device: torch.device,
    *,
    present: int,
    world_size: int,
) -> int:
    """Rows in one forward pass: what the settings ask for, or where they say ``auto``, what fits into memory."""
    rows = settings.per_device_train_batch_size
    if rows != "auto":
        return rows
    if settings.gradient_accumulation_steps != "auto":
        return math.ceil(feed.rows_per_step / (world_size * settings.gradient_accumulation_steps))
    return rows_that_fit(feed, estimate, device, present=present, world_size=world_size, free=free_bytes(device))


def peak_memory_bytes(device: torch.device) -> int:
    """The most that this process has had on ``device`` so far; 0 where the system does not say."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        import resource  # not on Windows
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory for a tensor could not be had, on a device or in main memory."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def _activation_per_token(config: ModelConfig, dtype: torch.dtype, *, recompute: bool) -> int:
    layers = [layer_activation(config, layer) for layer in range(config.num_layers)]
    # The last norm's input and output, and the gradient of what the head reads; while a layer's backward pass runs,
    # the gradients of its activations come and go.
    around = 3 * config.hidden_size + max(layers)
    kept = config.hidden_size * config.num_layers + max(layers) if recompute else sum(layers)
    return (kept + around) * dtype.itemsize
