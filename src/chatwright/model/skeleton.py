"""A GPT without weights: all its names and shapes, on the meta device, where nothing is allocated."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from chatwright.model.config import ModelConfig
from chatwright.model.gpt import GPT

_FILLERS = (nn.init.constant_, nn.init.kaiming_uniform_, nn.init.normal_, nn.init.uniform_)


class _Unfilled(TorchFunctionMode):
    """Makes PyTorch's initialisers do nothing, as on the meta device they do anyway, only at the cost of a second.

    Random numbers for tensors without memory go through PyTorch's compiler, whose import takes longer than that of
    the rest of PyTorch.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in _FILLERS:
            tensor: Tensor = args[0] if args else kwargs["tensor"]
            return tensor
        return func(*args, **kwargs)


def skeleton(config: ModelConfig) -> GPT:
    """The model that ``config`` describes, in training mode, its parameters on the meta device."""
    with torch.device("meta"), _Unfilled():
        return GPT(config)
