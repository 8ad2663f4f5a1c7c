"""How many processor threads a model should take on this machine."""

import math
import os
from pathlib import Path

import torch

# The decoder waits for memory, and its threads for each other some 300 times a token: more than this gains nothing
# for models that one would run on a CPU.
MOST_USEFUL = 16
_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def default_threads() -> int:
    """Threads for decoding where the caller does not say: what PyTorch takes, within what this process may use.

    A container that may use two of a server's sixty-four processors sees all of them; threads that spin at barriers
    would then spend their quota on waiting.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(torch.get_num_threads(), allowed, container_cpus() or allowed, MOST_USEFUL))


def container_cpus() -> int | None:
    """Processors that the container's quota amounts to, rounded up; None without a quota."""
    try:
        quota, period = _QUOTA.read_text().split()
        return None if quota == "max" else max(1, math.ceil(int(quota) / int(period)))
    except (OSError, ValueError):
        return None
