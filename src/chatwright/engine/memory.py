"""How much memory there is, and how it is divided between weights and the keys and values of conversations."""

import ctypes
import math
import mmap
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from chatwright.errors import EngineError

GIB = 2**30
CGROUP = Path("/sys/fs/cgroup")
_MADV_PAGEOUT = 21  # Linux 5.4; Python's mmap has no name for it yet
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's mallopt


@dataclass(frozen=True, slots=True)
class Share:
    """How much of the memory that weights leave free goes to keys and values, where the caller does not say.

    Attributes:
        part: of the free memory, 0 to 1.
        cap_bytes: at most this much; None for no limit.
    """

    part: float
    cap_bytes: int | None


# A graphics card is there for the model, so nearly all is taken (the rest is for activations); main memory belongs to
# other programs too. What is reserved on a CPU becomes resident only as it is used.
SHARES = {"cuda": Share(0.85, None), "mps": Share(0.25, 4 * GIB), "cpu": Share(0.25, 4 * GIB)}


def free_bytes(device: torch.device) -> int | None:
    """Memory that can still be taken on ``device``, in bytes; None where the system does not say."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    known = [value for value in (_system_free_bytes(), _container_free_bytes()) if value is not None]
    return min(known, default=None)


def kv_budget(device: torch.device, weight_bytes: int, free: int | None) -> int:
    """Memory for keys and values by default, in bytes.

    Args:
        device: where they are to be.
        weight_bytes: what the weights take, or will take, of ``free``.
        free: from :func:`free_bytes`.
    Raises:
        EngineError: the weights do not fit.
    """
    share = SHARES.get(device.type, SHARES["cpu"])
    if free is None:
        return share.cap_bytes or GIB
    if weight_bytes >= free:
        raise EngineError(
            f"the model's weights take {weight_bytes / GIB:.1f} GiB, but only {free / GIB:.1f} GiB are free on "
            f"{device}; use a smaller model, a smaller dtype (bfloat16), or another device"
        )
    budget = int((free - weight_bytes) * share.part)
    return budget if share.cap_bytes is None else min(budget, share.cap_bytes)


def zero_pages(shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    """Zeros in main memory that take it up a small page at a time, as they are first written.

    ``torch.zeros`` writes every byte at once. ``numpy.zeros`` does not, but asks for pages of 2 MB, and the first token
    of a conversation writes into as many places as a model has layers: twice 30 of them take 120 MB.

    Raises:
        MemoryError: not even the addresses can be had.
    """
    size = math.prod(shape) * dtype.itemsize
    try:
        if sys.platform == "win32":
            pages = mmap.mmap(-1, size)
        else:
            pages = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError as error:
        raise MemoryError(f"{size} bytes of memory cannot be had: {error}") from error
    return torch.from_numpy(np.frombuffer(pages, np.uint8)).view(dtype).view(shape)


def _system_free_bytes() -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            name, _, value = line.partition(":")
            if name == "MemAvailable":
                return int(value.split()[0]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    try:  # macOS says how much there is, but not how much is free
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, OSError, ValueError):
        return None


def _container_free_bytes() -> int | None:
    """What a container's own limit leaves (cgroup version 2); the system's figures know nothing of it."""
    try:
        limit = (CGROUP / "memory.max").read_text().strip()
        used = int((CGROUP / "memory.current").read_text())
        cache = dict(line.split() for line in (CGROUP / "memory.stat").read_text().splitlines())
        # Cached files count as used, but are given back when memory is needed.
        return None if limit == "max" else max(0, int(limit) - used + int(cache.get("inactive_file", 0)))
    except (OSError, ValueError):
        return None


def page_out(tensors: Iterable[Tensor]) -> None:
    """Let the system take back the memory of weights that are mapped from a file and were copied elsewhere.

    They are read again from the file should anybody ask for them. Only advice: where the system does not know it, or
    the memory is no file's, nothing happens.
    """
    if not sys.platform.startswith("linux"):
        return
    libc, page = ctypes.CDLL(None), mmap.PAGESIZE
    for tensor in tensors:
        start = -(-tensor.data_ptr() // page) * page
        length = (tensor.data_ptr() + tensor.nbytes) // page * page - start
        if length > 0:
            libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(length), _MADV_PAGEOUT)


def keep_freed_memory(limit_bytes: int = 256 << 20) -> None:
    """Let the C library keep what PyTorch frees between two operations instead of returning it to the system.

    Tensors of some megabytes come and go with every matrix product. By default each goes back and is provided anew,
    zeroed page by page: 5,000 to 14,000 page faults, 20 to 40 ms of a prompt of 505 tokens.

    Args:
        limit_bytes: at most this much stays, below 2 GiB; a training step frees all its activations at once.
    """
    try:
        libc = ctypes.CDLL("libc.so.6")
    except OSError:
        return  # another C library, with habits of its own
    libc.mallopt(_M_MMAP_THRESHOLD, 32 << 20)
    libc.mallopt(_M_TRIM_THRESHOLD, limit_bytes)
