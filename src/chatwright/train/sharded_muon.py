"""Muon for matrices of which each process holds some rows.

``torch.optim.Muon`` takes them too, but exchanges parts in each of its fifteen products, and every process computes
what all others do. Here a matrix comes together once, in one process, which hands the rows of its update out again;
meanwhile the others do so with other matrices. What goes between processes is bfloat16, which is all that the update
is made of.

Source:
    Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/; Liu et al. 2025, arXiv 2502.16982, section 2.3.
"""

import math
from collections.abc import Iterable, Sequence

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.optim import Optimizer

from chatwright.train.dtensors import local, row_counts, shard_group

_A, _B, _C = 3.4445, -4.7750, 2.0315  # of the quintic that brings singular values towards 1
_ITERATIONS = 5
_TINY = 1e-7


class ShardedMuon(Optimizer):
    """Makes the updates of :class:`torch.optim.Muon`, to the bit; its state has the same name and shape.

    Args:
        matrices: float32 [A, B], spread by rows over the same processes; the same in each process, *in the same
            order*: one that takes another matrix first waits for the others forever.
        lr, weight_decay, momentum: as there.
    """

    def __init__(self, matrices: Iterable[nn.Parameter], *, lr: float, weight_decay: float, momentum: float) -> None:
        super().__init__(matrices, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update every matrix that has a gradient; every process has to call this."""
        for options in self.param_groups:
            matrices = [matrix for matrix in options["params"] if matrix.grad is not None]
            matrices.sort(key=Tensor.numel)  # those of one round are of a size, and no process waits for another
            size = shard_group(matrices[0]).size() if matrices else 1
            for start in range(0, len(matrices), size):
                self._round(matrices[start : start + size], **{key: options[key] for key in self.defaults})

    def _round(self, matrices: Sequence[nn.Parameter], *, lr: float, weight_decay: float, momentum: float) -> None:
        """At most one matrix for each process to work on."""
        directions = [self._direction(matrix, momentum) for matrix in matrices]
        shapes = [matrix.shape for matrix in matrices]
        updates = orthogonal_parts(directions, shapes, shard_group(matrices[0]))
        for matrix, update in zip(matrices, updates, strict=True):
            rate = lr * math.sqrt(max(1.0, matrix.shape[0] / matrix.shape[1]))
            local(matrix.detach()).mul_(1 - lr * weight_decay).add_(update, alpha=-rate)

    def _direction(self, matrix: nn.Parameter, momentum: float) -> Tensor:
        """Nesterov's momentum, this process' rows in bfloat16."""
        assert matrix.grad is not None
        state = self.state[matrix]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(matrix)
        gradient, buffer = local(matrix.grad), local(state["momentum_buffer"])
        buffer.lerp_(gradient, 1 - momentum)
        return gradient.lerp(buffer, momentum).bfloat16()


def orthogonal_parts(parts: Sequence[Tensor], shapes: Sequence[torch.Size], group: dist.ProcessGroup) -> list[Tensor]:
    """:func:`orthogonal` of matrices that are spread over processes: the first process works on the first, and so on.

    Args:
        parts: of each matrix this process' rows, bfloat16; not more matrices than processes.
        shapes: [A, B] of the whole matrices.
        group: the processes, in the order of their rows; all of them have to call this.
    Returns:
        This process' rows of each result.
    """
    rank, size = group.rank(), group.size()
    sent = [part.numel() for part in parts] + [0] * (size - len(parts))
    own = shapes[rank] if rank < len(shapes) else torch.Size([0, 0])
    received = [rows * own[1] for rows in row_counts(own[0], size)]
    matrix = parts[0].new_empty(own)
    flat = torch.cat([part.reshape(-1) for part in parts])
    dist.all_to_all_single(matrix.view(-1), flat, received, sent, group)
    if rank < len(shapes):
        matrix = orthogonal(matrix)
    dist.all_to_all_single(flat, matrix.view(-1), sent, received, group)
    return [piece.view_as(part) for piece, part in zip(torch.split(flat, sent[: len(parts)]), parts, strict=True)]


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
