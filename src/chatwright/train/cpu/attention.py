"""Causal attention within each document of a packed batch, from projections to heads' outputs.

The batch is cut into blocks of queries; the scores of a block are one batched bfloat16 product with all keys that any
of its queries sees, turned into probabilities in place, each row within its own document. So short documents share a
product, and a batch takes a few dozen calls whatever it is made of. For its own fused attention PyTorch takes five
times as long in the backward pass (on 2 cores with AMX: 220 ms for 48 heads of 512 tokens and 6 layers, here 45).
Nothing quadratic is kept: the backward pass makes the scores again.

Shape legend: N tokens, H query heads, K key/value heads, G = H / K, D head width; a block has Q queries and S keys.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function

from chatwright.train.cpu import kernels
from chatwright.train.cpu.functions import bits

_NO_WEIGHT = torch.zeros(0)
_NO_FACTORS = np.zeros((0, 0), np.float32)
# Documents of up to so many tokens share a block: more would waste products on keys that most queries do not see.
_SHARED = 256
# Queries of a block at most: a longer document is cut, and its later blocks meet its earlier keys again.
_QUERIES = 512


@dataclass(frozen=True, slots=True)
class Block:
    """Queries ``first`` … ``end`` of the batch, and the keys ``keys`` … ``end`` that they may see.

    Attributes:
        begins: where each query's document begins, counted from ``keys``, int64 [Q].
        shares_keys: whether another block sees some of the keys too.
    """

    keys: int
    first: int
    end: int
    begins: np.ndarray
    shares_keys: bool


def blocks_of(lengths: Sequence[int]) -> list[Block]:
    """The blocks of a batch that is made of documents of these lengths."""
    starts = np.cumsum([0, *lengths])
    blocks: list[Block] = []
    document = 0
    while document < len(lengths):
        keys, length = int(starts[document]), lengths[document]
        if length > _QUERIES:
            for first in range(keys, keys + length, _QUERIES):
                end = min(first + _QUERIES, keys + length)
                blocks.append(Block(keys, first, end, np.zeros(end - first, np.int64), shares_keys=True))
            document += 1
            continue
        after = document + 1
        while after < len(lengths) and starts[after + 1] - keys <= _SHARED:
            after += 1
        begins = np.repeat(starts[document:after] - keys, lengths[document:after])
        blocks.append(Block(keys, keys, int(starts[after]), begins, shares_keys=False))
        document = after
    return blocks


@dataclass(frozen=True, slots=True)
class Heads:
    """What one layer does with its projections.

    Attributes:
        num_heads, num_kv_heads, head_dim: H, K, D.
        eps: of the heads' norms, where they have one.
        scale: multiplier of q·k.
        window: how many tokens, itself included, a token sees.
    """

    num_heads: int
    num_kv_heads: int
    head_dim: int
    eps: float
    scale: float
    window: int


class PackedAttention(Function):
    """Norm and rotate queries and keys, attend within documents.

    Args:
        q: bfloat16 [N, H D]; k, v: bfloat16 [N, K D].
        q_weight, k_weight: of the heads' RMSNorm [D], or None without norms.
        cos, sin: float32 [N, D / 2], or [0, 0] without rotation.
        heads, blocks: see there.
    Returns:
        bfloat16 [N, H D].
    """

    @staticmethod
    def forward(
        ctx: Any,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        q_weight: Tensor | None,
        k_weight: Tensor | None,
        cos: Tensor,
        sin: Tensor,
        heads: Heads,
        blocks: list[Block],
    ) -> Tensor:
        rotation, still = (cos.numpy(), sin.numpy()), (cos.numpy()[:0], sin.numpy()[:0])
        q, k, v = q.contiguous(), k.contiguous(), v.contiguous()
        q_HND, q_scale = _split(q, q_weight, heads.num_heads, rotation, heads.scale, heads)
        k_KND, k_scale = _split(k, k_weight, heads.num_kv_heads, rotation, 1.0, heads)
        v_KND, _ = _split(v, None, heads.num_kv_heads, still, 1.0, heads)
        y_HND, inverse_HN = torch.empty_like(q_HND), torch.empty(q_HND.shape[:2])
        log_sums = []
        room = _Room()
        for block in blocks:
            queries, keys, values = _queries(q_HND, block, heads), _keys(k_KND, block), _keys(v_KND, block)
            scores = room.product(queries, keys.transpose(1, 2))
            log_sum, inverse = torch.empty(scores.shape[:2]), torch.empty(scores.shape[:2])
            within = (block.begins, block.first - block.keys, heads.window)
            kernels.causal_softmax(bits(scores), *within, log_sum.numpy(), inverse.numpy())
            _multiply(scores, values, y_HND[:, block.first : block.end])
            inverse_HN[:, block.first : block.end] = inverse.view(heads.num_heads, -1)
            log_sums.append(log_sum)
        y = torch.empty_like(q)
        kernels.join_heads(bits(y_HND), inverse_HN.numpy(), bits(y))
        weights = (None if w is None else w.detach() for w in (q_weight, k_weight))
        ctx.save_for_backward(q, k, *weights, cos, sin, q_HND, k_KND, v_KND, q_scale, k_scale, *log_sums)
        ctx.heads, ctx.blocks = heads, blocks
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        q, k, q_weight, k_weight, cos, sin, q_HND, k_KND, v_KND, q_scale, k_scale, *log_sums = ctx.saved_tensors
        heads, blocks = ctx.heads, ctx.blocks
        rotation, still = (cos.numpy(), sin.numpy()), (cos.numpy()[:0], sin.numpy()[:0])
        y_grad, _ = _split(grad.contiguous(), None, heads.num_heads, still, 1.0, heads)
        several = any(block.shares_keys for block in blocks)
        make = torch.zeros_like if several else torch.empty_like
        q_grad, k_grad, v_grad = torch.empty_like(q_HND), make(k_KND), make(v_KND)
        score_room, grad_room = _Room(), _Room()
        for block, log_sum in zip(blocks, log_sums, strict=True):
            queries, keys, values = _queries(q_HND, block, heads), _keys(k_KND, block), _keys(v_KND, block)
            out_grad = _queries(y_grad, block, heads)
            scores = score_room.product(queries, keys.transpose(1, 2))
            score_grad = grad_room.product(out_grad, values.transpose(1, 2))
            within = (block.begins, block.first - block.keys, heads.window)
            kernels.causal_softmax_backward(bits(scores), bits(score_grad), *within, log_sum.numpy())
            _multiply(scores.transpose(1, 2), out_grad, _keys(v_grad, block), add=block.shares_keys)
            _multiply(score_grad.transpose(1, 2), queries, _keys(k_grad, block), add=block.shares_keys)
            _multiply(score_grad, keys, q_grad[:, block.first : block.end])
        q_out, q_weight_grad = _join(q_grad, q, q_weight, q_scale, rotation, heads.scale)
        k_out, k_weight_grad = _join(k_grad, k, k_weight, k_scale, rotation, 1.0)
        v_out = torch.empty_like(k)
        kernels.join_heads(bits(v_grad), _NO_FACTORS, bits(v_out))
        return q_out, k_out, v_out, q_weight_grad, k_weight_grad, None, None, None, None


_Rotation = tuple[np.ndarray, np.ndarray]


def _split(
    x: Tensor, weight: Tensor | None, count: int, rotation: _Rotation, factor: float, heads: Heads
) -> tuple[Tensor, Tensor]:
    """Projections [N, heads D] head by head [heads, N, D], and the norms' 1 / rms [N, heads]."""
    out = x.new_empty(count, len(x), heads.head_dim)
    scale = torch.empty(len(x), count)
    norm = _NO_WEIGHT if weight is None else weight.detach().float()
    kernels.split_heads(bits(x), norm.numpy(), heads.eps, *rotation, factor, bits(out), scale.numpy())
    return out, scale


def _join(
    grad: Tensor, x: Tensor, weight: Tensor | None, scale: Tensor, rotation: _Rotation, factor: float
) -> tuple[Tensor, Tensor | None]:
    """Gradients of :func:`_split`'s input and weight."""
    out = torch.empty_like(x)
    norm = _NO_WEIGHT if weight is None else weight.float()
    weight_grads = torch.empty(kernels.SHARES, len(norm))
    kernels.split_heads_backward(
        bits(grad), bits(x), norm.numpy(), *rotation, factor, scale.numpy(), bits(out), weight_grads.numpy()
    )
    return out, None if weight is None else weight_grads.sum(0).to(weight.dtype)


def _queries(x_HND: Tensor, block: Block, heads: Heads) -> Tensor:
    """The block's queries [K, G Q, D]; a view where G is 1."""
    rows = x_HND[:, block.first : block.end]
    return rows.unflatten(0, (heads.num_kv_heads, -1)).flatten(1, 2)  # type: ignore[no-untyped-call, no-any-return]


def _keys(x_KND: Tensor, block: Block) -> Tensor:
    """The block's keys [K, S, D]; a view."""
    return x_KND[:, block.keys : block.end]


def _multiply(x: Tensor, y: Tensor, out: Tensor, *, add: bool = False) -> None:
    """Write the batched product of x and y into a part of a tensor, which may count its heads otherwise."""
    if add:
        out.add_(torch.bmm(x, y))
    elif len(out) == len(x):
        torch.bmm(x, y, out=out)
    else:
        out.copy_(torch.bmm(x, y).view(out.shape))


class _Room:
    """Memory for one block's scores after the other: what was just read is still in the cores' caches."""

    def __init__(self) -> None:
        self._memory = torch.empty(0, dtype=torch.bfloat16)

    def product(self, x: Tensor, y: Tensor) -> Tensor:
        """Batched product of x and y; good until the next."""
        shape = (x.shape[0], x.shape[1], y.shape[2])
        size = shape[0] * shape[1] * shape[2]
        if len(self._memory) < size:
            self._memory = torch.empty(size, dtype=torch.bfloat16)
        return torch.bmm(x, y, out=self._memory[:size].view(shape))
