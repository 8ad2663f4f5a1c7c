"""Causal attention within each document of a packed batch, from projections to heads' outputs.

Scores are made by PyTorch's batched bfloat16 products and turned into probabilities in place. For its own fused
attention PyTorch takes five times as long in the backward pass (measured on 2 cores with AMX: 220 ms for 48 heads of
512 tokens and 6 layers, against 45 here). Nothing quadratic is kept: the backward pass makes the scores again.

Shape legend: N tokens, H query heads, K key/value heads, D head width, L tokens of a document, G = documents in a run
of equal length times K, R = rows of scores in each of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function

from chatwright.train.cpu import kernels
from chatwright.train.cpu.functions import bits

_NO_WEIGHT = torch.zeros(0)
_ONES = np.zeros(0, np.float32)  # no factors
# Queries of a block: more would waste products on keys that they do not see, fewer make small products.
_QUERIES = 512
# Scores of a block: what stays in the cores' caches between the products and the loops over it.
_SCORES = 2 << 20


@dataclass(frozen=True, slots=True)
class Layout:
    """Where documents lie in a batch.

    Attributes:
        runs: (length, how many in a row) of neighbours of equal length; they fill the batch.
        starts, lengths: of each token's document, int64 [N].
    """

    runs: list[tuple[int, int]]
    starts: np.ndarray
    lengths: np.ndarray

    @classmethod
    def of(cls, runs: list[tuple[int, int]]) -> "Layout":
        """For documents of these lengths."""
        each = np.repeat([length for length, _ in runs], [count for _, count in runs])
        starts = np.cumsum(each) - each
        return cls(runs, np.repeat(starts, each), np.repeat(each, each))


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
        heads, layout: see there.
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
        layout: Layout,
    ) -> Tensor:
        rotation = (cos.numpy(), sin.numpy())
        still = (cos.numpy()[:0], sin.numpy()[:0])
        q, k, v = q.contiguous(), k.contiguous(), v.contiguous()
        q_flat, q_scale = _split(q, q_weight, heads.num_heads, rotation, heads.scale, heads, layout)
        k_flat, k_scale = _split(k, k_weight, heads.num_kv_heads, rotation, 1.0, heads, layout)
        v_flat, _ = _split(v, None, heads.num_kv_heads, still, 1.0, heads, layout)
        y_flat, inverses = torch.empty_like(q_flat), torch.empty(len(q) * heads.num_heads)
        log_sums = []
        room = _Room()
        for block in _blocks(heads, layout):
            queries, keys, values = block.queries(q_flat), block.keys(k_flat), block.keys(v_flat)
            scores = room.product(queries, keys.transpose(1, 2))
            log_sum, inverse = torch.empty(scores.shape[:2]), torch.empty(scores.shape[:2])
            kernels.causal_softmax(
                bits(scores), block.first, block.count, heads.window, log_sum.numpy(), inverse.numpy()
            )
            block.write_queries(scores, values, y_flat)
            block.put(inverse, inverses)
            log_sums.append(log_sum)
        y = torch.empty_like(q)
        kernels.join_heads(bits(y_flat), inverses.numpy(), layout.starts, layout.lengths, heads.num_heads, bits(y))
        weights = (None if w is None else w.detach() for w in (q_weight, k_weight))
        ctx.save_for_backward(q, k, *weights, cos, sin, q_flat, k_flat, v_flat, q_scale, k_scale, *log_sums)
        ctx.heads, ctx.layout = heads, layout
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        q, k, q_weight, k_weight, cos, sin, q_flat, k_flat, v_flat, q_scale, k_scale, *log_sums = ctx.saved_tensors
        heads, layout = ctx.heads, ctx.layout
        rotation, still = (cos.numpy(), sin.numpy()), (cos.numpy()[:0], sin.numpy()[:0])
        y_grad, _ = _split(grad.contiguous(), None, heads.num_heads, still, 1.0, heads, layout)
        q_grad = torch.empty_like(q_flat)
        k_grad, v_grad = _key_grad(k_flat, layout), _key_grad(v_flat, layout)
        score_room, grad_room = _Room(), _Room()
        for block, log_sum in zip(_blocks(heads, layout), log_sums, strict=True):
            queries, keys, values = block.queries(q_flat), block.keys(k_flat), block.keys(v_flat)
            out_grad = block.queries(y_grad)
            scores = score_room.product(queries, keys.transpose(1, 2))
            score_grad = grad_room.product(out_grad, values.transpose(1, 2))
            kernels.causal_softmax_backward(
                bits(scores), bits(score_grad), block.first, block.count, heads.window, log_sum.numpy()
            )
            block.write_keys(scores.transpose(1, 2), out_grad, v_grad)
            block.write_keys(score_grad.transpose(1, 2), queries, k_grad)
            block.write_queries(score_grad, keys, q_grad)
        q_out, q_weight_grad = _join(q_grad, q, q_weight, q_scale, rotation, heads.scale, layout)
        k_out, k_weight_grad = _join(k_grad, k, k_weight, k_scale, rotation, 1.0, layout)
        v_out = torch.empty_like(k)
        kernels.join_heads(bits(v_grad), _ONES, layout.starts, layout.lengths, heads.num_kv_heads, bits(v_out))
        return q_out, k_out, v_out, q_weight_grad, k_weight_grad, None, None, None, None


_Rotation = tuple[np.ndarray, np.ndarray]


def _split(
    x: Tensor, weight: Tensor | None, count: int, rotation: _Rotation, factor: float, heads: Heads, layout: Layout
) -> tuple[Tensor, Tensor]:
    """Projections [N, heads D] to heads by document (flat), and the norms' 1 / rms [N, heads]."""
    flat = torch.empty(x.numel(), dtype=torch.bfloat16)
    scale = torch.empty(len(x), count)
    norm = _NO_WEIGHT if weight is None else weight.detach().float()
    kernels.split_heads(
        bits(x), norm.numpy(), heads.eps, *rotation, factor, layout.starts, layout.lengths, bits(flat), scale.numpy()
    )
    return flat, scale


def _join(
    grad: Tensor, x: Tensor, weight: Tensor | None, scale: Tensor, rotation: _Rotation, factor: float, layout: Layout
) -> tuple[Tensor, Tensor | None]:
    """Gradients of :func:`_split`'s input and weight."""
    out = torch.empty_like(x)
    norm = _NO_WEIGHT if weight is None else weight.float()
    weight_grads = torch.empty(kernels.SHARES, len(norm))
    places = (layout.starts, layout.lengths)
    kernels.split_heads_backward(
        bits(grad), bits(x), norm.numpy(), *rotation, factor, *places, scale.numpy(), bits(out), weight_grads.numpy()
    )
    return out, None if weight is None else weight_grads.sum(0).to(weight.dtype)


@dataclass(frozen=True, slots=True)
class _Block:
    """Queries ``first`` … ``first + count`` of each document of a run, and the keys that they may see.

    Attributes:
        at: where the run begins in the batch, in tokens.
        length, documents: tokens of a document; how many.
    """

    heads: Heads
    at: int
    length: int
    documents: int
    first: int
    count: int

    @property
    def whole(self) -> bool:
        """Whether it holds all queries of its documents."""
        return self.count == self.length

    def queries(self, flat: Tensor) -> Tensor:
        """[G, R, D]; a view where the block is whole."""
        return self._rows(flat).flatten(1, 2)

    def keys(self, flat: Tensor) -> Tensor:
        """[G, S, D], the keys up to the last query; a view."""
        return self._view(flat, self.heads.num_kv_heads)[:, 0, : self.first + self.count]

    def write_queries(self, x: Tensor, y: Tensor, flat: Tensor) -> None:
        """Write the product of x and y, [G, R, D], where :meth:`queries` reads."""
        if self.whole:
            torch.bmm(x, y, out=self.queries(flat))
        else:
            self.put(torch.bmm(x, y), flat)

    def put(self, x: Tensor, flat: Tensor) -> None:
        """Write [G, R] or [G, R, D] where the queries lie, in ``flat`` of that width."""
        rows = self._rows(flat, x.shape[2] if x.dim() == 3 else 1)
        rows.copy_(x.view(rows.shape))

    def write_keys(self, x: Tensor, y: Tensor, flat: Tensor) -> None:
        """Write the product of x and y, [G, S, D], where :meth:`keys` reads, or add it to that of earlier queries."""
        if self.whole:
            torch.bmm(x, y, out=self.keys(flat))
        else:
            self.keys(flat).add_(torch.bmm(x, y))

    def _rows(self, flat: Tensor, width: int | None = None) -> Tensor:
        """The queries as [documents K, H / K, count, D], a view."""
        return self._view(flat, self.heads.num_heads, width)[:, :, self.first : self.first + self.count]

    def _view(self, flat: Tensor, heads: int, width: int | None = None) -> Tensor:
        """The run's part of ``flat`` as [documents K, heads / K, L, D]."""
        width = width or self.heads.head_dim
        size = heads * width
        part = flat[self.at * size : (self.at + self.documents * self.length) * size]
        kv = self.heads.num_kv_heads
        return part.view(self.documents * kv, heads // kv, self.length, width)


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


def _key_grad(flat: Tensor, layout: Layout) -> Tensor:
    """Room for a gradient of keys: zeros where several blocks of queries add to it."""
    several = any(length > _QUERIES for length, _ in layout.runs)
    return torch.zeros_like(flat) if several else torch.empty_like(flat)


def _blocks(heads: Heads, layout: Layout) -> Iterator[_Block]:
    at = 0
    for length, documents in layout.runs:
        together = max(1, _SCORES // (heads.num_heads * length * min(length, _QUERIES)))
        for begin in range(0, documents, together):
            count = min(together, documents - begin)
            for first in range(0, length, _QUERIES):
                yield _Block(heads, at, length, count, first, min(_QUERIES, length - first))
            at += length * count
