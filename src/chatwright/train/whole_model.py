"""A whole model for a while, where each process keeps a part of one: an engine that answers needs plain weights."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from chatwright.model import GPT
from chatwright.train.dtensors import is_sharded_model, whole


class WholeModel:
    """Gathers the weights of a sharded model.

    Args:
        model: not sharded yet, its adapters in place; its modules are remembered, and none of its weights.
        dtype: of computation.
    """

    def __init__(self, model: GPT, dtype: torch.dtype) -> None:
        self._dtype = dtype
        without = {id(weight): nn.Parameter(weight.to("meta"), False) for weight in model.parameters()}
        self._empty = copy.deepcopy(model, without)

    @contextmanager
    def of(self, model: GPT) -> Iterator[GPT]:
        """Within the block, the model that computes what ``model`` does; every process has to call this.

        Args:
            model: in training: itself where it is whole; where it is sharded, a copy that the block alone holds.
        """
        yield self._gathered(model) if is_sharded_model(model) else model

    @torch.no_grad()
    def _gathered(self, model: GPT) -> GPT:
        gathered = copy.deepcopy(self._empty)
        weights = {name: whole(self._lowered(tensor)) for name, tensor in model.state_dict().items()}
        gathered.load_state_dict(weights, assign=True)
        return gathered

    def _lowered(self, tensor: Tensor) -> Tensor:
        """Cast before it is gathered: half as much goes between processes."""
        return tensor.to(self._dtype) if tensor.is_floating_point() else tensor
