"""The compiled loops as differentiable functions.

Shape legend: N tokens, C hidden width, I feed-forward width, H query heads, K key/value heads, D head width.
"""

from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd import Function

from chatwright.train.cpu import kernels

_NONE = np.zeros((0, 0), np.float32)
_NO_BITS = np.zeros((0, 0), np.uint16)


def bits(tensor: Tensor) -> np.ndarray:
    """The memory of a contiguous bfloat16 tensor as uint16."""
    array: np.ndarray = tensor.detach().view(torch.int16).numpy().view(np.uint16)
    return array


def use_threads_of_torch() -> None:
    """Let the loops run in as many threads as PyTorch's matrix products."""
    wanted = min(torch.get_num_threads(), numba.config.NUMBA_NUM_THREADS)
    if numba.get_num_threads() != wanted:
        numba.set_num_threads(wanted)


class AddNorm(Function):
    """(x + branch, rmsnorm(x + branch)): a branch joins the stream, and the next one reads its norm.

    Args:
        x: float32 [N, C].
        branch: bfloat16 [N, C]; None adds nothing, and ``x`` itself is the first result.
        weight: of the norm [C].
        eps: of the norm.
    Returns:
        The stream, float32 [N, C], and its norm, bfloat16 [N, C].
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, branch: Tensor | None, weight: Tensor, eps: float) -> tuple[Tensor, Tensor]:
        out = x if branch is None else torch.empty_like(x)
        normed = torch.empty(x.shape, dtype=torch.bfloat16)
        scale = torch.empty(len(x))
        weight32 = weight.detach().float()
        added = _NO_BITS if branch is None else bits(branch)
        kernels.add_norm(x.numpy(), added, weight32.numpy(), eps, out.numpy(), bits(normed), scale.numpy())
        ctx.save_for_backward(out, weight32, scale)
        ctx.adds, ctx.weight_dtype = branch is not None, weight.dtype
        ctx.set_materialize_grads(False)
        return (x.view_as(x) if branch is None else out), normed

    @staticmethod
    def backward(
        ctx: Any, stream_grad: Tensor | None, normed_grad: Tensor | None
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        out, weight, scale = ctx.saved_tensors
        if normed_grad is None:
            branch = stream_grad.to(torch.bfloat16) if ctx.adds and stream_grad is not None else None
            return stream_grad, branch, None, None
        # The next layer's gradient is read by nobody else and may be overwritten: six megabytes less to fetch.
        x_grad = torch.empty_like(out) if stream_grad is None else stream_grad.contiguous()
        branch_grad = torch.empty(out.shape, dtype=torch.bfloat16) if ctx.adds else None
        weight_grads = torch.empty(kernels.SHARES, out.shape[1])
        kernels.add_norm_backward(
            _NONE if stream_grad is None else x_grad.numpy(),
            bits(normed_grad.contiguous()),
            out.numpy(),
            weight.numpy(),
            scale.numpy(),
            x_grad.numpy(),
            _NO_BITS if branch_grad is None else bits(branch_grad),
            weight_grads.numpy(),
        )
        return x_grad, branch_grad, weight_grads.sum(0).to(ctx.weight_dtype), None


class SwiGLU(Function):
    """silu(gate) * up, bfloat16 [N, I]."""

    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor) -> Tensor:
        gate, up = gate.contiguous(), up.contiguous()
        out = torch.empty_like(gate)
        kernels.swiglu(bits(gate), bits(up), bits(out))
        ctx.save_for_backward(gate, up)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        gate, up = ctx.saved_tensors
        gate_grad, up_grad = torch.empty_like(gate), torch.empty_like(up)
        kernels.swiglu_backward(bits(grad.contiguous()), bits(gate), bits(up), bits(gate_grad), bits(up_grad))
        return gate_grad, up_grad


class Projections(Function):
    """Several matrix products of one input: in the backward pass its gradients add up inside the products.

    Args:
        x: bfloat16 [N, C].
        weights: bfloat16 [., C] each.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, *weights: Tensor) -> tuple[Tensor, ...]:
        ctx.save_for_backward(x, *weights)
        return tuple(x @ weight.T for weight in weights)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, *weights = ctx.saved_tensors
        x_grad: Tensor | None = None
        if ctx.needs_input_grad[0]:
            x_grad = grads[0] @ weights[0]
            for grad, weight in zip(grads[1:], weights[1:], strict=True):
                x_grad.addmm_(grad, weight)
        wanted = zip(ctx.needs_input_grad[1:], grads, strict=True)
        return x_grad, *(grad.T @ x if needed else None for needed, grad in wanted)


def project(x: Tensor, *modules: nn.Module) -> tuple[Tensor, ...]:
    """What each of the modules makes of ``x``."""
    if all(map(_is_plain, modules)):
        outputs: tuple[Tensor, ...] = Projections.apply(x, *(module.weight for module in modules))  # type: ignore[no-untyped-call]
        return outputs
    return tuple(module(x) for module in modules)


def _is_plain(module: nn.Module) -> bool:
    """Whether it is a matrix and nothing else: no bias, no adapter, nobody listening."""
    bias: Tensor | None = getattr(module, "bias", None)
    return type(module) is nn.Linear and bias is None and not module._forward_hooks
