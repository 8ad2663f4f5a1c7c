"""What the machine's matrix products reach: the measure of how well training uses it."""

import json
import os
import time
from pathlib import Path

import torch

from chatwright.paths import cache_dir


def matmul_peak(device: torch.device, dtype: torch.dtype) -> float | None:
    """Floating-point operations a second of large matrix products: the most that was ever measured here.

    A machine that is busy at the moment seems slower than it is, so every start measures and the best is remembered.

    Returns:
        None where nothing can be measured (the meta device).
    """
    if device.type not in ("cpu", "cuda", "mps"):
        return None
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else _processor()
    key = f"{device.type} {name}, {torch.get_num_threads()} threads, {dtype}, torch {torch.__version__}"
    memo = cache_dir() / "matmul-peaks.json"
    known = _read(memo)
    measured = _measure(device, dtype)
    if measured > known.get(key, 0.0):
        known[key] = measured
        _write(memo, known)
    return known[key]


def _measure(device: torch.device, dtype: torch.dtype) -> float:
    size, repeats = (8192, 20) if device.type == "cuda" else (2048, 4)
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    best = float("inf")
    for _ in range(repeats):
        _synchronize(device)
        start = time.perf_counter()
        torch.mm(a, b)
        _synchronize(device)
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def _processor() -> str:
    capabilities = torch.cpu.get_capabilities()
    return f"{capabilities.get('cpu_name') or capabilities.get('architecture')} with {os.cpu_count()} processors"


def _read(memo: Path) -> dict[str, float]:
    try:
        values = json.loads(memo.read_text("utf-8"))
    except (OSError, ValueError):
        return {}  # absent or damaged: measured again
    return {key: value for key, value in values.items() if isinstance(value, float)} if isinstance(values, dict) else {}


def _write(memo: Path, values: dict[str, float]) -> None:
    """Best effort: without the memo it is only measured again next time."""
    partial = memo.with_name(f".{memo.name}.{os.getpid()}")
    try:
        memo.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(values, indent=2) + "\n", "utf-8")
        os.replace(partial, memo)
    except OSError:
        pass
