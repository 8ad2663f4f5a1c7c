"""One decoding step of a whole model as a single compiled function, run by every thread of a team at once.

Why one function: a token of a small model costs about 4 ms, and some 300 separate calls from Python would add a
quarter to that. The threads walk through the layers together and meet at barriers; each phase divides either the
rows of a matrix or the columns (tokens) of the batch among them.

The same function serves one stream, many streams, and short pieces of a prompt: a column is a token at a position of
a sequence, and its arithmetic does not depend on the other columns.

Shape legend: N columns, i.e. tokens run in this step; C hidden width; G groups of 32.
"""

import numpy as np
from numba import njit

from chatwright.engine.cpu.attention import attend_all, merge_splits, place_column
from chatwright.engine.cpu.attention_tiles import HEADS, PAGE
from chatwright.engine.cpu.jit import INLINE, JIT
from chatwright.engine.cpu.math import activate_all
from chatwright.engine.cpu.matmul import project, project_gated, quantise, share
from chatwright.engine.cpu.norms import add_branch, normalise
from chatwright.engine.cpu.state import (
    ATTN_NORM,
    ATTN_NORM_BIAS,
    ATTN_POST_NORM,
    DOWN,
    DOWN_BIAS,
    FINAL_NORM,
    FINAL_NORM_BIAS,
    HEAD,
    MLP_NORM,
    MLP_NORM_BIAS,
    MLP_POST_NORM,
    OUTPUT,
    OUTPUT_BIAS,
    QKV,
    UP,
    UP_BIAS,
    Batch,
)
from chatwright.engine.cpu.team import arrivals_before, barrier, called_again, stay
from chatwright.engine.cpu.tiles import GROUP


@njit(**JIT)
def step(thread, threads, shape, weights, cache, room, scratch):  # type: ignore[no-untyped-def]
    """Run the batch through the model; every thread of the team calls this with its own ``thread``.

    All but the first stay for the batches that follow.

    Args:
        thread, threads: this thread's number; size of the team.
        shape, weights, cache, room, scratch: see ``state``.
    """
    while True:
        stay(scratch.sync, thread)
        arrived = arrivals_before(scratch.sync)
        batch = _present(room)
        for layer in range(shape.num_layers):
            arrived = _attention(layer, thread, threads, arrived, shape, weights, cache, batch, scratch)
            arrived = _feed_forward(layer, thread, threads, arrived, shape, weights, batch, scratch)
        _output(thread, threads, arrived, shape, weights, batch, scratch)
        if not called_again(scratch.sync, thread):
            return


@njit(**JIT)
def head_step(thread, threads, shape, weights, hidden, logits, scratch):  # type: ignore[no-untyped-def]
    """Logits of hidden states that have passed the final norm elsewhere; run by every thread of the team.

    Args:
        hidden: float32 [N, C].
        logits: float32 [N, padded vocabulary], written.
    """
    head = weights.matrices[shape.num_layers, HEAD]
    count = hidden.shape[0]
    q, scale, total = _quantised(scratch, count, head[3])
    row = np.zeros(head[3] * GROUP, np.float32)
    first, last = share(count, thread, threads)
    for c in range(first, last):
        row[: shape.hidden_size] = hidden[c]
        quantise(row, q[c], scale[c], total[c])
    arrived = _meet(scratch.sync, arrivals_before(scratch.sync), threads)
    project(weights.data, head, q, scale, total, count, logits.reshape(-1), head[2], thread, threads)
    _meet(scratch.sync, arrived, threads)


@njit(**INLINE)
def _present(room):  # type: ignore[no-untyped-def]
    """The batch that lies in the room now."""
    columns, wanted, row = room.sizes
    full = room.batch
    rows = full.logits.shape[1]
    logits = full.logits.reshape(-1)[row * rows :]
    return Batch(full.x[:columns], full.positions, full.blocks, full.cos, full.sin, full.wanted[:wanted], logits)


@njit(**INLINE)
def _meet(sync, arrived, threads):  # type: ignore[no-untyped-def]
    """Wait for the whole team; returns the barrier's count afterwards."""
    barrier(sync, arrived + threads)
    return arrived + threads


@njit(**INLINE)
def _quantised(scratch, count, groups):  # type: ignore[no-untyped-def]
    """The memory of quantised activations as int16 [N, 32 G], scales and sums [N, G]."""
    q = scratch.q[: count * groups * GROUP].reshape(count, groups * GROUP)
    scale = scratch.scale[: count * groups].reshape(count, groups)
    total = scratch.total[: count * groups].reshape(count, groups)
    return q, scale, total


@njit(**INLINE)
def _attention(layer, thread, threads, arrived, shape, weights, cache, batch, scratch):  # type: ignore[no-untyped-def]
    """The attention branch of a layer, up to its projection in ``scratch.branch``."""
    count, at, matrices = batch.x.shape[0], weights.vector_at[layer], weights.matrices[layer]
    first, last = share(count, thread, threads)
    rows, groups, heads_groups = matrices[QKV, 2], matrices[QKV, 3], matrices[OUTPUT, 3]
    wide = scratch.wide[: count * rows].reshape(count, rows)
    branch = scratch.branch[: count * matrices[OUTPUT, 2]].reshape(count, matrices[OUTPUT, 2])
    row = np.zeros(max(groups, heads_groups) * GROUP, np.float32)
    room = np.empty(HEADS * (PAGE + 1), np.float32)

    q, scale, total = _quantised(scratch, count, groups)
    norm, norm_bias = at[ATTN_NORM], at[ATTN_NORM_BIAS]
    for c in range(first, last):
        if layer > 0:
            before = weights.vector_at[layer - 1]
            add_branch(batch.x[c], branch[c], weights.vectors, before[DOWN_BIAS], before[MLP_POST_NORM], shape.eps)
        normalise(batch.x[c], weights.vectors, norm, norm_bias, shape.layer_norm, shape.eps, row[: groups * GROUP])
        quantise(row, q[c], scale[c], total[c])
    arrived = _meet(scratch.sync, arrived, threads)
    project(weights.data, matrices[QKV], q, scale, total, count, scratch.wide, rows, thread, threads)
    arrived = _meet(scratch.sync, arrived, threads)
    for c in range(first, last):
        place_column(wide[c], layer, c, shape, weights, cache, batch)
    arrived = _meet(scratch.sync, arrived, threads)
    attend_all(layer, count, shape, weights, cache, batch, scratch.partial, wide, room, thread, threads)
    arrived = _meet(scratch.sync, arrived, threads)
    q, scale, total = _quantised(scratch, count, heads_groups)
    for c in range(first, last):
        merge_splits(c, layer, shape, weights, batch, scratch.partial, row[: heads_groups * GROUP])
        quantise(row, q[c], scale[c], total[c])
    arrived = _meet(scratch.sync, arrived, threads)
    width = matrices[OUTPUT, 2]
    project(weights.data, matrices[OUTPUT], q, scale, total, count, scratch.branch, width, thread, threads)
    return _meet(scratch.sync, arrived, threads)


@njit(**INLINE)
def _feed_forward(layer, thread, threads, arrived, shape, weights, batch, scratch):  # type: ignore[no-untyped-def]
    """Add the attention branch to the stream; then the feed-forward branch, up to its projection."""
    count, at, matrices = batch.x.shape[0], weights.vector_at[layer], weights.matrices[layer]
    first, last = share(count, thread, threads)
    groups, inner_groups, width = matrices[UP, 3], matrices[DOWN, 3], matrices[DOWN, 2]
    inner_width = inner_groups * GROUP
    branch = scratch.branch[: count * width].reshape(count, width)
    inner = scratch.wide[: count * inner_width].reshape(count, inner_width)
    row = np.zeros(groups * GROUP, np.float32)

    q, scale, total = _quantised(scratch, count, groups)
    norm, norm_bias = at[MLP_NORM], at[MLP_NORM_BIAS]
    for c in range(first, last):
        add_branch(batch.x[c], branch[c], weights.vectors, at[OUTPUT_BIAS], at[ATTN_POST_NORM], shape.eps)
        normalise(batch.x[c], weights.vectors, norm, norm_bias, shape.layer_norm, shape.eps, row)
        quantise(row, q[c], scale[c], total[c])
    arrived = _meet(scratch.sync, arrived, threads)
    bias, up = at[UP_BIAS], matrices[UP]
    if shape.gated:
        project_gated(
            weights, up, bias, shape.activation, q, scale, total, count, scratch.wide, inner_width, thread, threads
        )
    else:
        project(weights.data, up, q, scale, total, count, scratch.wide, inner_width, thread, threads)
    arrived = _meet(scratch.sync, arrived, threads)
    q, scale, total = _quantised(scratch, count, inner_groups)
    for c in range(first, last):
        if not shape.gated:
            if bias >= 0:
                for i in range(inner_width):
                    inner[c, i] += weights.vectors[bias + i]
            activate_all(inner[c], shape.activation)
        quantise(inner[c], q[c], scale[c], total[c])
    arrived = _meet(scratch.sync, arrived, threads)
    project(weights.data, matrices[DOWN], q, scale, total, count, scratch.branch, width, thread, threads)
    return _meet(scratch.sync, arrived, threads)


@njit(**INLINE)
def _output(thread, threads, arrived, shape, weights, batch, scratch):  # type: ignore[no-untyped-def]
    """Add the last branch to the stream; final norm and logits of the columns that are wanted."""
    count, wanted, final = batch.x.shape[0], batch.wanted.shape[0], shape.num_layers
    at, end, head = weights.vector_at[final - 1], weights.vector_at[final], weights.matrices[final, HEAD]
    width = weights.matrices[final - 1, DOWN, 2]
    branch = scratch.branch[: count * width].reshape(count, width)
    first, last = share(count, thread, threads)
    for c in range(first, last):
        add_branch(batch.x[c], branch[c], weights.vectors, at[DOWN_BIAS], at[MLP_POST_NORM], shape.eps)
    arrived = _meet(scratch.sync, arrived, threads)
    q, scale, total = _quantised(scratch, wanted, head[3])
    row = np.zeros(head[3] * GROUP, np.float32)
    first, last = share(wanted, thread, threads)
    for i in range(first, last):
        x, norm, norm_bias = batch.x[batch.wanted[i]], end[FINAL_NORM], end[FINAL_NORM_BIAS]
        normalise(x, weights.vectors, norm, norm_bias, shape.layer_norm, shape.eps, row)
        quantise(row, q[i], scale[i], total[i])
    arrived = _meet(scratch.sync, arrived, threads)
    if wanted > 0:
        project(weights.data, head, q, scale, total, wanted, batch.logits, head[2], thread, threads)
    _meet(scratch.sync, arrived, threads)
