"""Muon for matrices of which each process holds a part.

``torch.optim.Muon`` takes such matrices too, but exchanges parts in each of its fifteen products; two processes of
gloo were seen to wait for each other forever. Here a matrix comes together once, one process makes its update, and
hands it out; meanwhile the others make those of other matrices.

Source:
    Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/; Liu et al. 2025, arXiv 2502.16982, section 2.3.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.optim import Optimizer

from chatwright.train.dtensors import like, local, whole

_A, _B, _C = 3.4445, -4.7750, 2.0315  # of the quintic that brings singular values towards 1
_ITERATIONS = 5
_TINY = 1e-7


class ShardedMuon(Optimizer):
    """Makes the updates of :class:`torch.optim.Muon`; its state has the same name and shape.

    Args:
        parameters: sharded matrices [A, B], the same on every process, in the same order.
        lr, weight_decay, momentum: as there.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], *, lr: float, weight_decay: float, momentum: float) -> None:
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update every matrix that has a gradient."""
        for group in self.param_groups:
            matrices = [matrix for matrix in group["params"] if matrix.grad is not None]
            for some in _chunks(matrices, dist.get_world_size()):
                self._update(some, group)

    def _update(self, matrices: Sequence[nn.Parameter], group: dict[str, Any]) -> None:
        """At most one matrix for each process to work on."""
        own: Tensor | None = None
        for owner, matrix in enumerate(matrices):
            direction = whole(self._direction(matrix, group["momentum"]))
            if owner == dist.get_rank():
                own = orthogonal(direction)
        for owner, matrix in enumerate(matrices):
            is_own = owner == dist.get_rank() and own is not None
            update = own if is_own else torch.empty(matrix.shape, dtype=torch.bfloat16, device=matrix.device)
            assert update is not None
            dist.broadcast(update, owner)
            rate = group["lr"] * math.sqrt(max(1.0, matrix.shape[0] / matrix.shape[1]))
            weights = local(matrix.detach())
            weights.mul_(1 - group["lr"] * group["weight_decay"])
            weights.add_(local(like(update, matrix)), alpha=-rate)

    def _direction(self, matrix: nn.Parameter, momentum: float) -> Tensor:
        """Nesterov's momentum, spread like the matrix."""
        assert matrix.grad is not None
        state = self.state[matrix]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(matrix)
        buffer: Tensor = state["momentum_buffer"]
        buffer.lerp_(matrix.grad, 1 - momentum)
        return matrix.grad.lerp(buffer, momentum)


def orthogonal(matrix: Tensor) -> Tensor:
    """The matrix with all its singular values near 1, bfloat16 [A, B], contiguous.

    Newton and Schulz's iteration, in the order of operations of ``torch.optim.Muon``.
    """
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.bfloat16()
    x = x.T if tall else x
    x = x / x.norm().clamp(min=_TINY)
    for _ in range(_ITERATIONS):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=_B, alpha=_C), x, beta=_A)
    return (x.T if tall else x).contiguous()


def _chunks(matrices: Sequence[nn.Parameter], size: int) -> Iterator[Sequence[nn.Parameter]]:
    for start in range(0, len(matrices), size):
        yield matrices[start : start + size]
