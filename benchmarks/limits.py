"""What the machine can do at most: reading memory and multiplying matrices. Reads the number of threads from stdin."""

import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

MIB = 1 << 20
SMALL_MIB = 96  # the weights of a small model: may lie in the last level of cache
LARGE_MIB = 2048  # lies in no cache
MATRIX = 2048


def read_bandwidth(mebibytes: int, threads: int, repeats: int) -> float:
    """Best rate at which ``threads`` threads read an array of this size, GB/s."""
    import numba
    import numpy as np

    @numba.njit(nogil=True)
    def total(values: Any) -> int:
        # Four places at once: the processor fetches ahead for each of them.
        quarter = values.size // 4
        a = b = c = d = 0
        for i in range(quarter):
            a += values[i]
            b += values[quarter + i]
            c += values[2 * quarter + i]
            d += values[3 * quarter + i]
        return a + b + c + d

    values = np.ones(mebibytes * MIB // 8, np.int64)
    parts = np.array_split(values, threads)
    total(parts[0][:8])
    with ThreadPoolExecutor(threads) as pool:
        seconds = _best(lambda: list(pool.map(total, parts)), repeats)
    return values.nbytes / seconds / 1e9


def matmul_rate(dtype: str, threads: int, repeats: int) -> float:
    """Best rate of PyTorch's matrix product, 10⁹ operations per second."""
    import torch

    torch.set_num_threads(threads)
    a = torch.randn(MATRIX, MATRIX).to(getattr(torch, dtype))
    b = torch.randn(MATRIX, MATRIX).to(a.dtype).t()  # as the weights of a linear layer lie
    return 2 * MATRIX**3 / _best(lambda: a @ b, repeats) / 1e9


def _best(work: Callable[[], object], repeats: int) -> float:
    seconds = []
    for _ in range(repeats + 1):  # one to warm up
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return min(seconds[1:])


def measure(threads: int, repeats: int) -> dict[str, float]:
    """All limits, best of ``repeats``."""
    return {
        "read_small_gb_s": read_bandwidth(SMALL_MIB, threads, 4 * repeats),
        "read_large_gb_s": read_bandwidth(LARGE_MIB, threads, repeats),
        "matmul_bf16_gflop_s": matmul_rate("bfloat16", threads, repeats),
        "matmul_f32_gflop_s": matmul_rate("float32", threads, repeats),
    }


if __name__ == "__main__":
    job = json.load(sys.stdin)
    print(json.dumps(measure(job["threads"], job["repeats"])))
