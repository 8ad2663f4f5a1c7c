"""Muon for matrices whole and in parts, and for stacks of experts.

``torch.optim.Muon`` takes matrices in parts too, but exchanges them in each of its fifteen products, and every process
computes what all others do. Here a matrix comes together once, in one process, which hands the rows of its update out
again; meanwhile the others do so with other matrices. What goes between processes is bfloat16, which is all that the
update is made of. Experts are spread over the processes one by one, so each lies whole in one of them and stays there.

Source:
    Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/; Liu et al. 2025, arXiv 2502.16982, section 2.3.
"""

import math
from collections.abc import Mapping, Sequence

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.optim import Optimizer

from chatwright.train.dtensors import is_sharded, local, row_counts, shard_group

_A, _B, _C = 3.4445, -4.7750, 2.0315  # of the quintic that brings singular values towards 1
_ITERATIONS = 5
_TINY = 1e-7


class Muon(Optimizer):
    """Makes the updates of :class:`torch.optim.Muon`, to the bit; its state has the same name, and the weight's shape.

    Args:
        weights: name → float32 matrix [A, B], or a stack of experts, each a matrix of its own (two in
            ``gate_up_proj``, one above the other); either ordinary ones, or spread over the same processes by their
            first dimension. The same in each process, *in the same order*: one that takes another matrix first waits
            for the others forever.
        lr, weight_decay, momentum: as there.
    """

    def __init__(self, weights: Mapping[str, nn.Parameter], *, lr: float, weight_decay: float, momentum: float) -> None:
        super().__init__(list(weights.items()), {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update every weight that has a gradient; every process has to call this."""
        for options in self.param_groups:
            rates = {key: options[key] for key in self.defaults}
            in_parts = []
            for name, weight in zip(options["param_names"], options["params"], strict=True):
                if weight.grad is None:
                    continue
                if weight.ndim == 2 and is_sharded(weight):
                    in_parts.append(weight)
                else:
                    self._alone(weight, _matrix_shape(name, weight), **rates)
            in_parts.sort(key=Tensor.numel)  # those of one round are of a size, and no process waits for another
            size = shard_group(in_parts[0]).size() if in_parts else 1
            for start in range(0, len(in_parts), size):
                self._round(in_parts[start : start + size], **rates)

    def _alone(
        self, weight: nn.Parameter, shape: tuple[int, int], *, lr: float, weight_decay: float, momentum: float
    ) -> None:
        """The matrices of a weight that lie whole in this process: all of them, or its experts'."""
        values, gradients, buffers = (tensor.view(-1, *shape) for tensor in self._parts(weight))
        for value, gradient, buffer in zip(values, gradients, buffers, strict=True):
            update = orthogonal(_direction(gradient, buffer, momentum))
            _move(value, update, shape, lr=lr, weight_decay=weight_decay)

    def _round(self, matrices: Sequence[nn.Parameter], *, lr: float, weight_decay: float, momentum: float) -> None:
        """At most one matrix in parts for each process to work on."""
        parts = [self._parts(matrix) for matrix in matrices]
        shapes = [matrix.shape for matrix in matrices]
        directions = [_direction(gradient, buffer, momentum) for _, gradient, buffer in parts]
        updates = orthogonal_parts(directions, shapes, shard_group(matrices[0]))
        for (value, _, _), update, shape in zip(parts, updates, shapes, strict=True):
            _move(value, update, shape, lr=lr, weight_decay=weight_decay)

    def _parts(self, weight: nn.Parameter) -> tuple[Tensor, Tensor, Tensor]:
        """What this process has of a weight, of its gradient and of the gradients' running mean."""
        assert weight.grad is not None
        state = self.state[weight]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(weight)
        return local(weight.detach()), local(weight.grad), local(state["momentum_buffer"])


def _matrix_shape(name: str, weight: Tensor) -> tuple[int, int]:
    """[A, B] of a matrix, or of each one in a stack of experts; gate and up lie above each other."""
    rows = weight.shape[-2] // 2 if weight.ndim == 3 and name.endswith("gate_up_proj") else weight.shape[-2]
    return rows, weight.shape[-1]


def _direction(gradient: Tensor, buffer: Tensor, momentum: float) -> Tensor:
    """Nesterov's momentum, in bfloat16; ``buffer`` is brought up to date."""
    buffer.lerp_(gradient, 1 - momentum)
    return gradient.lerp(buffer, momentum).bfloat16()


def _move(value: Tensor, update: Tensor, shape: Sequence[int], *, lr: float, weight_decay: float) -> None:
    """Change a matrix, or rows of it, in place; ``shape`` is that of the whole."""
    value.mul_(1 - lr * weight_decay).add_(update, alpha=-lr * math.sqrt(max(1.0, shape[0] / shape[1])))


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
