"""Every source of random numbers that training draws from, put away and brought back."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor


def seed_all(seed: int) -> None:
    """Start Python's, NumPy's and PyTorch's global generators, on every device, from ``seed``."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def step_seed(seed: int, step: int, rank: int) -> int:
    """A seed for one step of one process; others get others."""
    return int(np.random.SeedSequence([seed, step, rank]).generate_state(1, np.uint64)[0] >> 1)


def rng_tensors() -> dict[str, Tensor]:
    """States of PyTorch's generators: ``torch``, and ``cuda.N`` for each device that is in use."""
    states = {"torch": torch.get_rng_state()}
    if torch.cuda.is_available() and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        states |= {f"cuda.{index}": state for index, state in enumerate(torch.cuda.get_rng_state_all())}
    return states


def rng_values() -> dict[str, Any]:
    """States of Python's and NumPy's generators, as JSON can say them."""
    version, numbers, gauss = random.getstate()
    kind, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    return {
        "python": [version, list(numbers), gauss],
        "numpy": [kind, np.asarray(keys).tolist(), position, has_gauss, cached],
    }


def restore_rng(tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
    """Go on from :func:`rng_tensors` and :func:`rng_values`; a device that is not here is left out."""
    version, numbers, gauss = values["python"]
    random.setstate((version, tuple(numbers), gauss))
    kind, keys, position, has_gauss, cached = values["numpy"]
    np.random.set_state((kind, np.array(keys, dtype=np.uint32), position, has_gauss, cached))
    torch.set_rng_state(tensors["torch"])
    for name, state in tensors.items():
        if name.startswith("cuda.") and int(name[5:]) < torch.cuda.device_count():
            torch.cuda.set_rng_state(state, int(name[5:]))


@contextmanager
def undisturbed() -> Iterator[None]:
    """What is drawn within the block is not missing afterwards."""
    tensors, values = rng_tensors(), rng_values()
    try:
        yield
    finally:
        restore_rng(tensors, values)
