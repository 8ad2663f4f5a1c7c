"""Tensors of which each process holds a part (DTensors), beside ordinary ones.

Nothing here imports PyTorch's DTensor unless there is one: that takes a second, and most runs have none.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup


def is_sharded(tensor: Tensor) -> bool:
    """Whether a tensor is spread over processes."""
    return hasattr(tensor, "device_mesh")


def is_sharded_model(model: nn.Module) -> bool:
    """Whether a model's weights are; between its passes some of them may lie there whole."""
    return hasattr(model, "unshard")


def local(tensor: Tensor) -> Tensor:
    """This process' part, which shares memory with the tensor; an ordinary tensor itself."""
    part: Tensor = tensor.to_local() if is_sharded(tensor) else tensor  # type: ignore[attr-defined]
    return part


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor; every process has to ask for it. An ordinary tensor itself."""
    full: Tensor = tensor.full_tensor() if is_sharded(tensor) else tensor  # type: ignore[attr-defined]
    return full


def shard_group(tensor: Tensor) -> "ProcessGroup":
    """The processes that a sharded tensor is spread over; under HSDP, those of one copy."""
    mesh = tensor.device_mesh  # type: ignore[attr-defined]
    group: ProcessGroup = mesh.get_group(mesh.ndim - 1)
    return group


def row_counts(rows: int, parts: int) -> list[int]:
    """How many of a tensor's rows each process holds: equally many, but for the last ones, which may have none."""
    most = -(-rows // parts)
    return [max(0, min(most, rows - most * part)) for part in range(parts)]


@torch.no_grad()
def fill(target: Tensor, value: Tensor) -> None:
    """Copy the whole ``value``, which every process has, into ``target``."""
    target.copy_(like(value, target))


def like(value: Tensor, model: Tensor) -> Tensor:
    """The whole ``value`` on the device of ``model``, and spread as it is."""
    value = value.to(model.device)
    if not is_sharded(model):
        return value
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(value, model.device_mesh, model.placements, src_data_rank=None)  # type: ignore[attr-defined]
