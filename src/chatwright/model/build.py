"""Fresh models: random weights, or none at all where they would not fit into memory."""

import os

import torch

from chatwright.model.config import ModelConfig
from chatwright.model.gpt import GPT
from chatwright.model.presets import count_parameters
from chatwright.model.skeleton import skeleton


def build_model(
    config: ModelConfig,
    *,
    device: str | torch.device = "auto",
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
) -> GPT:
    """A new model with random weights (see :meth:`GPT.init_weights`), in training mode.

    Args:
        config: its shape.
        device: where the weights go; "meta" for shapes without weights; "auto": the CPU if the weights fit into its
            memory, else meta (so that any size can be described, counted and sharded).
        dtype: of the weights.
        seed: of the weights.
    """
    if device == "auto":
        size_bytes = count_parameters(config) * dtype.itemsize
        device = "cpu" if size_bytes <= _memory_bytes() else "meta"
    device = torch.device(device)
    model = skeleton(config).to(dtype)  # otherwise PyTorch would fill every matrix once before we do
    if device.type != "meta":
        model = model.to_empty(device=device)
        model.init_weights(seed)
    return model


def _memory_bytes() -> int:
    """Memory of this machine that is free or can be freed; its total where the system does not tell."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
