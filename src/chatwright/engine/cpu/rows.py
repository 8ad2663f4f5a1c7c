"""The loops between the matrix products of a prompt, one pass over the rows each, in bfloat16 at their borders.

They run in the calling thread alone: PyTorch's own threads spin for a while after each matrix product, and a team
beside them would share their processors.

Shape legend: T tokens, C hidden width, M feed-forward width, H heads, D head width. Arrays of ``bits`` are uint16 bit
patterns of bfloat16.
"""

import numpy as np
from numba import njit

from chatwright.engine.cpu.attention import place_column
from chatwright.engine.cpu.jit import INLINE, JIT
from chatwright.engine.cpu.math import activate_all, bfloat16, float_of_bfloat16
from chatwright.engine.cpu.norms import add_branch, normalise
from chatwright.engine.cpu.state import (
    ATTN_NORM,
    ATTN_NORM_BIAS,
    ATTN_POST_NORM,
    DOWN_BIAS,
    FINAL_NORM,
    FINAL_NORM_BIAS,
    MLP_NORM,
    MLP_NORM_BIAS,
    MLP_POST_NORM,
    OUTPUT_BIAS,
    UP_BIAS,
)


@njit(**INLINE)
def _join(branch_bits, x, vectors, bias, post_norm, eps, branch):  # type: ignore[no-untyped-def]
    """Add one row of a branch to its row of the stream; ``branch`` is room for it."""
    for i in range(x.shape[0]):
        branch[i] = float_of_bfloat16(branch_bits[i])
    add_branch(x, branch, vectors, bias, post_norm, eps)


@njit(**INLINE)
def _store(row, bits):  # type: ignore[no-untyped-def]
    """A row of float32 as bfloat16."""
    for i in range(row.shape[0]):
        bits[i] = bfloat16(row[i])


@njit(**JIT)
def enter_attention(branch_bits, hidden_bits, layer, shape, weights, x):  # type: ignore[no-untyped-def]
    """Add the last layer's feed-forward branch [T, C] to the stream, and write its norm for the attention."""
    at, vectors = weights.vector_at[layer], weights.vectors
    row, room = np.empty(x.shape[1], np.float32), np.empty(x.shape[1], np.float32)
    for t in range(x.shape[0]):
        if layer > 0:
            before = weights.vector_at[layer - 1]
            _join(branch_bits[t], x[t], vectors, before[DOWN_BIAS], before[MLP_POST_NORM], shape.eps, room)
        normalise(x[t], vectors, at[ATTN_NORM], at[ATTN_NORM_BIAS], shape.layer_norm, shape.eps, row)
        _store(row, hidden_bits[t])


@njit(**JIT)
def enter_mlp(branch_bits, hidden_bits, layer, shape, weights, x):  # type: ignore[no-untyped-def]
    """Add the attention branch [T, C] to the stream, and write its norm for the feed-forward layer."""
    at, vectors = weights.vector_at[layer], weights.vectors
    row, room = np.empty(x.shape[1], np.float32), np.empty(x.shape[1], np.float32)
    for t in range(x.shape[0]):
        _join(branch_bits[t], x[t], vectors, at[OUTPUT_BIAS], at[ATTN_POST_NORM], shape.eps, room)
        normalise(x[t], vectors, at[MLP_NORM], at[MLP_NORM_BIAS], shape.layer_norm, shape.eps, row)
        _store(row, hidden_bits[t])


@njit(**JIT)
def place(qkv_bits, q_bits, k_bits, v_bits, layer, shape, weights, cache, batch):  # type: ignore[no-untyped-def]
    """Bias, norm and rotate queries and keys; write keys and values to the cache, and all three head by head.

    Args:
        qkv_bits: [T or more, (H + 2 KV) D].
        q_bits, k_bits, v_bits: written, [heads, T or more, D]; queries come out scaled.
    """
    heads, kv_heads, size = shape.num_heads, shape.num_kv_heads, shape.head_dim
    row = np.empty(qkv_bits.shape[1], np.float32)
    for t in range(batch.x.shape[0]):
        for i in range(row.shape[0]):
            row[i] = float_of_bfloat16(qkv_bits[t, i])
        place_column(row, layer, t, shape, weights, cache, batch)
        for h in range(heads):
            for i in range(size):
                q_bits[h, t, i] = bfloat16(row[h * size + i])
        for h in range(kv_heads):
            for i in range(size):
                k_bits[h, t, i] = bfloat16(row[(heads + h) * size + i])
                v_bits[h, t, i] = bfloat16(row[(heads + kv_heads + h) * size + i])


@njit(**JIT)
def activate(up_bits, inner_bits, count, layer, shape, weights):  # type: ignore[no-untyped-def]
    """The feed-forward activation: [T, 2 M] gate and up, or [T, M] up alone, to [T, M], for ``count`` rows."""
    width, bias = inner_bits.shape[1], weights.vector_at[layer, UP_BIAS]
    row = np.empty(width, np.float32)
    for t in range(count):
        for i in range(width):
            row[i] = float_of_bfloat16(up_bits[t, i])
        if bias >= 0:
            for i in range(width):
                row[i] += weights.vectors[bias + i]
        activate_all(row, shape.activation)
        if shape.gated:
            for i in range(width):
                row[i] *= float_of_bfloat16(up_bits[t, width + i])
        for i in range(width):
            inner_bits[t, i] = bfloat16(row[i])


@njit(**JIT)
def leave(branch_bits, out, shape, weights, x):  # type: ignore[no-untyped-def]
    """Add the last feed-forward branch and write the final norm of every row, float32 [T, C]."""
    at, end = weights.vector_at[shape.num_layers - 1], weights.vector_at[shape.num_layers]
    vectors, room = weights.vectors, np.empty(x.shape[1], np.float32)
    for t in range(x.shape[0]):
        _join(branch_bits[t], x[t], vectors, at[DOWN_BIAS], at[MLP_POST_NORM], shape.eps, room)
        normalise(x[t], vectors, end[FINAL_NORM], end[FINAL_NORM_BIAS], shape.layer_norm, shape.eps, out[t])
