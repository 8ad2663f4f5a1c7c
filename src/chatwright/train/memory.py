"""How many rows of a batch fit in one forward pass, and what a process has taken."""

import math
import sys
from pathlib import Path

import torch

from chatwright.engine.memory import free_bytes
from chatwright.train.feed import RowFeed
from chatwright.train.footprint import MemoryEstimate
from chatwright.train.settings import StageSettings

# Of the free memory; the rest is for the allocator's gaps and what an estimate forgets. On a CPU, where others want
# memory too, a process grew by 30 % more than estimated (17M weights, 1,024 to 4,096 tokens, bfloat16).
_SHARE = {"cpu": 0.6, "cuda": 0.85}
# With so many tokens a pass is as fast per token as it gets; more only take memory. Measured on 2 cores for 17M
# weights: 4,400 tokens a second in passes of 1,024, 5,500 of 2,048, 5,700 of 4,096, 6,700 of 8,192.
_ENOUGH_TOKENS = {"cpu": 8192, "cuda": 65_536}


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
    free = free_bytes(device)
    if free is not None and device.type == "cpu":
        free //= world_size  # the others take theirs from the same memory
    return rows_that_fit(feed, estimate, device, present=present, world_size=world_size, free=free)


def peak_memory_bytes(device: torch.device) -> int:
    """The most that this process has had on ``device`` so far; 0 where the system does not say."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    status = Path("/proc/self/status")
    if status.exists():  # Linux, whose getrusage gives a peak that outlives exec: that of whoever launched this one
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) * 1024
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
