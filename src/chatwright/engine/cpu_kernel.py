"""One decoding step of a whole model as a single compiled function, run by every thread of a team at once.

Why one function: a token of a small model costs about 4 ms, and some 300 separate calls from Python would add a
quarter to that. The threads walk through the layers together and meet at barriers; each phase divides either the
rows of a matrix or the columns (tokens) of the batch among them.

Shape legend: N columns, i.e. tokens run in this step; C hidden width; Q rows of the fused q/k/v matrix; M
feed-forward width; S splits of a long context; G groups of 32.

The same function serves one stream, many streams, and short pieces of a prompt: a column is a token at a position of
a sequence, and its arithmetic does not depend on the other columns.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from chatwright.engine.cpu_jit import INLINE, JIT
from chatwright.engine.cpu_math import activate_all, bfloat16, exp, rms_scale
from chatwright.engine.cpu_simd import (
    GROUP,
    HEADS,
    INT4,
    INT8,
    bits_of_float,
    float_of_bits,
    int_of_float,
    make_scores,
    make_tile,
    make_values,
)
from chatwright.engine.cpu_simd import LANES as LANES
from chatwright.engine.cpu_simd import PAGE as PAGE
from chatwright.engine.cpu_team import announce, barrier

COLUMNS = 8  # columns that one pass over a row block serves at most
SPLIT = 128  # positions of context that one attention task takes at least
MAX_SPLITS = 16

# Slots of the two index tables.
QKV, OUTPUT, UP, DOWN = 0, 1, 2, 3
HEAD = 0  # of the row after the last layer
(
    ATTN_NORM,
    ATTN_NORM_BIAS,
    QKV_BIAS,
    Q_NORM,
    K_NORM,
    OUTPUT_BIAS,
    ATTN_POST_NORM,
    MLP_NORM,
    MLP_NORM_BIAS,
    UP_BIAS,
    DOWN_BIAS,
    MLP_POST_NORM,
) = range(12)
NUM_VECTORS = 12
FINAL_NORM, FINAL_NORM_BIAS = ATTN_NORM, ATTN_NORM_BIAS  # of the row after the last layer


class Shape(NamedTuple):
    """The model's numbers; see ``ModelConfig`` for their meaning."""

    num_layers: int
    hidden_size: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    mlp_size: int
    vocab_size: int
    activation: int
    gated: bool
    layer_norm: bool
    rotary: bool
    eps: float
    scale: float


class Weights(NamedTuple):
    """Everything learned.

    Attributes:
        data: uint8, packed matrices.
        matrices: int64 [layers + 1, 4, 4]: bits, byte offset, rows, groups of each matrix.
        vectors: float32, norms and biases.
        vector_at: int64 [layers + 1, NUM_VECTORS]: offset in ``vectors``, or -1 where the model has none.
        window: int64 [layers]: tokens a layer looks back, itself included; a huge number for all.
        table: int64 [layers]: which rotary table the layer uses.
    """

    data: Any
    matrices: Any
    vectors: Any
    vector_at: Any
    window: Any
    table: Any


class Cache(NamedTuple):
    """Paged keys and values as bfloat16 bit patterns (uint16).

    Keys lie transposed, [layers, blocks, kv_heads, head_dim, block_size]: the scores of 16 neighbouring positions are
    then one SIMD register and need no sum across lanes. Values are [layers, blocks, kv_heads, block_size, head_dim].
    ``block_size`` is PAGE, and ``head_dim`` is padded to a multiple of 16.
    """

    keys: Any
    values: Any


class Batch(NamedTuple):
    """The columns of one step.

    Attributes:
        x: float32 [N, C], embeddings in, residual stream afterwards.
        positions: int64 [N].
        blocks: int32 [N, most blocks of any], block table of each column's sequence.
        cos, sin: float32 [tables, N, head_dim / 2].
        wanted: int64 [logit rows], the columns whose logits are asked for.
        logits: float32 [logit rows, padded vocabulary].
    """

    x: Any
    positions: Any
    blocks: Any
    cos: Any
    sin: Any
    wanted: Any
    logits: Any


class Scratch(NamedTuple):
    """Room for what flows between phases; allocated once for the largest batch.

    Attributes:
        q: int16, scale, total: float32: quantised activations, flat; viewed as [N, 32 G] and [N, G].
        wide, wide2: float32, flat: results of a matrix, [N, rows]; those that are added to the stream are in wide2.
        partial: float32 [N, heads, MAX_SPLITS, padded head_dim + 2]: weighted values, maximum and sum of each split.
        sync: int64: slot 0 counts arrivals at barriers.
    """

    q: Any
    scale: Any
    total: Any
    wide: Any
    wide2: Any
    partial: Any
    sync: Any


_tile8_1, _tile8_2, _tile8_4, _tile8_8 = (make_tile(INT8, 2, columns) for columns in (1, 2, 4, 8))
_tile4_1, _tile4_2, _tile4_4, _tile4_8 = (make_tile(INT4, 2, columns) for columns in (1, 2, 4, 8))
_scores_1, _scores_2, _scores_3, _scores_4 = (make_scores(heads) for heads in (1, 2, 3, 4))
_values_1_4, _values_2_4, _values_3_4, _values_4_4 = (make_values(heads, 4) for heads in (1, 2, 3, 4))
_values_1_1 = make_values(1, 1)


@njit(**JIT)
def share(items: int, thread: int, threads: int) -> tuple[int, int]:
    """The part [low, high) of ``items`` that falls to ``thread``."""
    return items * thread // threads, items * (thread + 1) // threads


@njit(**JIT)
def multiply(data, bits, at, stride, q, scale, total, first, count, out, out_at, out_stride):  # type: ignore[no-untyped-def]
    """Two row blocks times ``count`` columns from column ``first``; ``out_at`` is where column ``first`` goes."""
    groups = scale.shape[1]
    done = 0
    while done < count:
        left, column, to = count - done, first + done, out_at + done * out_stride
        if bits == INT8:
            if left >= 8:
                _tile8_8(data, at, stride, q, scale, total, column, groups, out, to, out_stride)
            elif left >= 4:
                _tile8_4(data, at, stride, q, scale, total, column, groups, out, to, out_stride)
            elif left >= 2:
                _tile8_2(data, at, stride, q, scale, total, column, groups, out, to, out_stride)
            else:
                _tile8_1(data, at, stride, q, scale, total, column, groups, out, to, out_stride)
        elif left >= 8:
            _tile4_8(data, at, stride, q, scale, total, column, groups, out, to, out_stride)
        elif left >= 4:
            _tile4_4(data, at, stride, q, scale, total, column, groups, out, to, out_stride)
        elif left >= 2:
            _tile4_2(data, at, stride, q, scale, total, column, groups, out, to, out_stride)
        else:
            _tile4_1(data, at, stride, q, scale, total, column, groups, out, to, out_stride)
        done += 8 if left >= 8 else 4 if left >= 4 else 2 if left >= 2 else 1


@njit(**JIT)
def block_stride(bits, groups):  # type: ignore[no-untyped-def]
    """Bytes of a block of 16 rows; ``cpu_pack.block_bytes`` compiled."""
    if bits == INT8:
        return groups * (GROUP * LANES + 2 * LANES)
    return groups * (GROUP * LANES // 2 + 4 * LANES)


@njit(**JIT)
def project(data, matrix, q, scale, total, count, out, out_stride, thread, threads):  # type: ignore[no-untyped-def]
    """This thread's rows of a matrix, for all columns."""
    bits, offset, rows = matrix[0], matrix[1], matrix[2]
    stride = block_stride(bits, matrix[3])
    low, high = share(rows // (2 * LANES), thread, threads)
    for tile in range(low, high):
        row = tile * 2 * LANES
        multiply(data, bits, offset + tile * 2 * stride, stride, q, scale, total, 0, count, out, row, out_stride)


@njit(**INLINE)
def project_gated(data, matrix, vectors, bias_at, activation, q, scale, total, count, out, out_stride, thread, threads):  # type: ignore[no-untyped-def]
    """This thread's rows of the interleaved gate and up matrices: activation(gate) * up, for all columns."""
    bits, offset, rows = matrix[0], matrix[1], matrix[2]
    stride = block_stride(bits, matrix[3])
    low, high = share(rows // (2 * LANES), thread, threads)
    pair = np.empty(COLUMNS * 2 * LANES, np.float32)
    for tile in range(low, high):
        at = offset + tile * 2 * stride
        for first in range(0, count, COLUMNS):
            some = min(COLUMNS, count - first)
            multiply(data, bits, at, stride, q, scale, total, first, some, pair, 0, 2 * LANES)
            for c in range(some):
                gate, up = pair[2 * c * LANES : (2 * c + 1) * LANES], pair[(2 * c + 1) * LANES : (2 * c + 2) * LANES]
                if bias_at >= 0:
                    bias = bias_at + tile * 2 * LANES
                    for i in range(LANES):
                        gate[i] += vectors[bias + i]
                        up[i] += vectors[bias + LANES + i]
                activate_all(gate, activation)
                target = out[(first + c) * out_stride + tile * LANES :]
                for i in range(LANES):
                    target[i] = gate[i] * up[i]


@njit(**INLINE)
def quantise(values, q, scale, total):  # type: ignore[no-untyped-def]
    """Values [32 G] to int16 with a scale and a sum per group of 32."""
    for g in range(scale.shape[0]):
        base = g * GROUP
        bits = np.uint32(0)  # the order of absolute values is that of their bits, and integers vectorise
        for i in range(GROUP):
            bits = np.uint32(max(bits, bits_of_float(values[base + i]) & np.uint32(0x7FFFFFFF)))
        largest = float_of_bits(bits)
        inverse = np.float32(32767) / largest if largest > np.float32(1e-30) else np.float32(0)
        sum_ = np.float32(0)
        for i in range(GROUP):
            scaled = values[base + i] * inverse
            rounded = int_of_float(scaled + (np.float32(0.5) if scaled >= np.float32(0) else np.float32(-0.5)))
            q[base + i] = np.int16(rounded)
            sum_ += np.float32(rounded)
        step = largest / np.float32(32767)
        scale[g] = step
        total[g] = sum_ * step


@njit(**INLINE)
def normalise(x, vectors, weight_at, bias_at, layer_norm, eps, out):  # type: ignore[no-untyped-def]
    """RMSNorm or LayerNorm of one column into ``out``, whose tail beyond the width is zeroed."""
    width = x.shape[0]
    mean = np.float32(0)
    if layer_norm:
        for i in range(width):
            mean += x[i]
        mean /= np.float32(width)
    square = np.float32(0)
    for i in range(width):
        square += (x[i] - mean) * (x[i] - mean)
    factor = np.float32(1) / np.sqrt(square / np.float32(width) + np.float32(eps))
    for i in range(width):
        out[i] = (x[i] - mean) * factor * vectors[weight_at + i]
    if bias_at >= 0:
        for i in range(width):
            out[i] += vectors[bias_at + i]
    out[width:] = 0


@njit(**INLINE)
def add_branch(x, branch, vectors, bias_at, norm_at, eps):  # type: ignore[no-untyped-def]
    """x += branch, after the branch's bias and, for sandwich norms, its own RMSNorm."""
    width = x.shape[0]
    if bias_at >= 0:
        for i in range(width):
            branch[i] += vectors[bias_at + i]
    if norm_at >= 0:
        factor = rms_scale(branch, width, eps)
        for i in range(width):
            x[i] += branch[i] * factor * vectors[norm_at + i]
    else:
        for i in range(width):
            x[i] += branch[i]


@njit(**INLINE)
def place_head(head, cos, sin, vectors, norm_at, eps, rotary, factor):  # type: ignore[no-untyped-def]
    """QK-norm, rotation and scaling of one head, in place."""
    size = head.shape[0]
    if norm_at >= 0:
        scale = rms_scale(head, size, eps)
        for i in range(size):
            head[i] = head[i] * scale * vectors[norm_at + i]
    if rotary:
        half = size // 2
        for i in range(half):
            a, b = head[i], head[half + i]
            head[i] = a * cos[i] - b * sin[i]
            head[half + i] = b * cos[i] + a * sin[i]
    if factor != np.float32(1):
        for i in range(size):
            head[i] *= factor


@njit(**INLINE)
def place_column(row, layer, column, shape, weights, cache, batch):  # type: ignore[no-untyped-def]
    """Finish a column's queries and keys, and write its key and value into the cache."""
    at, size = weights.vector_at[layer], shape.head_dim
    if at[QKV_BIAS] >= 0:
        for i in range((shape.num_heads + 2 * shape.num_kv_heads) * size):
            row[i] += weights.vectors[at[QKV_BIAS] + i]
    table = weights.table[layer]
    cos, sin = batch.cos[table, column], batch.sin[table, column]
    eps = shape.eps
    for h in range(shape.num_heads):
        head = row[h * size : (h + 1) * size]
        place_head(head, cos, sin, weights.vectors, at[Q_NORM], eps, shape.rotary, np.float32(shape.scale))
    position = batch.positions[column]
    block, slot = batch.blocks[column, position // PAGE], position % PAGE
    for h in range(shape.num_kv_heads):
        start = (shape.num_heads + h) * size
        key = row[start : start + size]
        place_head(key, cos, sin, weights.vectors, at[K_NORM], eps, shape.rotary, np.float32(1))
        value = row[start + shape.num_kv_heads * size : start + (shape.num_kv_heads + 1) * size]
        keys, values = cache.keys[layer, block, h], cache.values[layer, block, h, slot]
        for i in range(size):
            keys[i, slot] = bfloat16(key[i])
            values[i] = bfloat16(value[i])


@njit(**INLINE)
def splits_of(visible: int) -> int:
    """Into how many parts the visible context of a column is divided: by its length alone, never by its neighbours."""
    return max(1, min(MAX_SPLITS, visible // SPLIT))


@njit(**JIT)
def page_scores(heads, q, q_at, width, keys, at, first, last, out, ahead, ahead_at):  # type: ignore[no-untyped-def]
    """Scores of 1 to 4 query heads against one page; see ``make_scores``."""
    if heads == 1:
        _scores_1(q, q_at, width, width, keys, at, first, last, out, ahead, ahead_at)
    elif heads == 2:
        _scores_2(q, q_at, width, width, keys, at, first, last, out, ahead, ahead_at)
    elif heads == 3:
        _scores_3(q, q_at, width, width, keys, at, first, last, out, ahead, ahead_at)
    else:
        _scores_4(q, q_at, width, width, keys, at, first, last, out, ahead, ahead_at)


@njit(**JIT)
def page_values(heads, p, first, last, values, at, width, out, out_at, stride, shrink, ahead, ahead_at):  # type: ignore[no-untyped-def]
    """Weighted values of one page for 1 to 4 query heads; see ``make_values``."""
    for feature in range(0, width - width % PAGE, PAGE):
        v, o = at + feature, out_at + feature
        if heads == 1:
            _values_1_4(p, first, last, values, v, width, out, o, stride, shrink, ahead, ahead_at)
        elif heads == 2:
            _values_2_4(p, first, last, values, v, width, out, o, stride, shrink, ahead, ahead_at)
        elif heads == 3:
            _values_3_4(p, first, last, values, v, width, out, o, stride, shrink, ahead, ahead_at)
        else:
            _values_4_4(p, first, last, values, v, width, out, o, stride, shrink, ahead, ahead_at)
    for feature in range(width - width % PAGE, width, LANES):
        v, o = at + feature, out_at + feature
        for head in range(heads):
            one, factor = p[head * PAGE : (head + 1) * PAGE], shrink[head : head + 1]
            _values_1_1(one, first, last, values, v, width, out, o + head * stride, stride, factor, ahead, ahead_at)


@njit(**INLINE)
def page_offset(layer, block, kv_head, cache):  # type: ignore[no-untyped-def]
    """Where the keys (and, of equal size, the values) of a block begin in the flat cache."""
    _, blocks, kv_heads, padded, page = cache.keys.shape
    return ((layer * blocks + np.int64(block)) * kv_heads + kv_head) * padded * page


@njit(**INLINE)
def attend(row, layer, column, kv_head, low, high, split, shape, cache, batch, room, partial):  # type: ignore[no-untyped-def]
    """Attention of the query heads of one key/value head over positions [low, high), as one split's partial result.

    Args:
        row: float32, the column's queries, head after head, scaled.
        split: where in ``partial`` the result goes.
        room: float32 [HEADS * (PAGE + 1)], overwritten.
        partial: see ``Scratch``.
    """
    size, padded = shape.head_dim, cache.values.shape[4]
    group = shape.num_heads // shape.num_kv_heads
    keys, values, flat = cache.keys.reshape(-1), cache.values.reshape(-1), partial.reshape(-1)
    shrink, stride = np.empty(HEADS, np.float32), partial.shape[2] * partial.shape[3]
    for some in range(0, group, HEADS):
        heads, head = min(HEADS, group - some), kv_head * group + some
        start = ((column * shape.num_heads + head) * partial.shape[2] + split) * partial.shape[3]
        for h in range(heads):
            result = flat[start + h * stride : start + h * stride + padded + 2]
            result[:padded] = 0
            result[padded] = np.float32(-1e30)
            result[padded + 1] = 0
        final = (high - 1) // PAGE
        following = page_offset(layer, batch.blocks[column, low // PAGE], kv_head, cache)
        for page in range(low // PAGE, final + 1):
            first, last = max(low - page * PAGE, 0), min(high - page * PAGE, PAGE)
            at = following
            following = page_offset(layer, batch.blocks[column, min(page + 1, final)], kv_head, cache)
            page_scores(heads, row, head * size, size, keys, at, first, last, room, values, at)
            for h in range(heads):
                summary = flat[start + h * stride + padded : start + h * stride + padded + 2]
                largest = max(summary[0], room[heads * PAGE + h])
                shrink[h] = exp(summary[0] - largest)
                weights = room[h * PAGE : (h + 1) * PAGE]
                sum_ = np.float32(0)
                for t in range(PAGE):
                    weights[t] = exp(weights[t] - largest)
                    sum_ += weights[t]
                summary[0] = largest
                summary[1] = summary[1] * shrink[h] + sum_
            page_values(heads, room, first, last, values, at, padded, flat, start, stride, shrink, keys, following)


@njit(**INLINE)
def attend_all(layer, count, shape, weights, cache, batch, scratch, wide, scores, thread, threads):  # type: ignore[no-untyped-def]
    """This thread's share of all attention of a layer: tasks are column × key/value head × split."""
    task = 0
    for column in range(count):
        high = batch.positions[column] + 1
        low = max(0, high - weights.window[layer])
        parts = splits_of(high - low)
        for kv_head in range(shape.num_kv_heads):
            for part in range(parts):
                if task % threads == thread:
                    begin, end = low + (high - low) * part // parts, low + (high - low) * (part + 1) // parts
                    row, partial = wide[column], scratch.partial
                    attend(row, layer, column, kv_head, begin, end, part, shape, cache, batch, scores, partial)
                task += 1


@njit(**INLINE)
def merge_splits(column, layer, shape, weights, batch, partial, out):  # type: ignore[no-untyped-def]
    """Join the splits of one column's attention into ``out`` [heads * head_dim], tail zeroed."""
    size, padded = shape.head_dim, partial.shape[3] - 2
    high = batch.positions[column] + 1
    parts = splits_of(high - max(0, high - weights.window[layer]))
    for head in range(shape.num_heads):
        largest = np.float32(-1e30)
        for part in range(parts):
            largest = max(largest, partial[column, head, part, padded])
        target = out[head * size : (head + 1) * size]
        target[:] = 0
        sum_ = np.float32(0)
        for part in range(parts):
            weight = exp(partial[column, head, part, padded] - largest)
            sum_ += weight * partial[column, head, part, padded + 1]
            for i in range(size):
                target[i] += weight * partial[column, head, part, i]
        factor = np.float32(1) / sum_
        for i in range(size):
            target[i] *= factor
    out[shape.num_heads * size :] = 0


@njit(**JIT)
def step(thread, threads, arrivals, shape, weights, cache, batch, scratch):  # type: ignore[no-untyped-def]
    """Run the batch through the model; every thread of the team calls this with its own ``thread``.

    Args:
        thread, threads: this thread's number; size of the team.
        arrivals: the barrier's count before the step.
        shape, weights, cache, batch, scratch: see the classes above; ``batch.x``, ``batch.logits``, the cache and the
            scratch memory are written.
    """
    announce(scratch.sync, thread)
    count = batch.x.shape[0]
    sync, data, vectors, eps = scratch.sync, weights.data, weights.vectors, shape.eps
    first, last = share(count, thread, threads)
    rows = weights.matrices[0, QKV, 2]
    heads_width = weights.matrices[0, OUTPUT, 3] * GROUP
    hidden_groups = weights.matrices[0, QKV, 3]
    mlp_groups = weights.matrices[0, DOWN, 3]
    branch_rows = weights.matrices[0, OUTPUT, 2]
    up_rows = mlp_groups * GROUP if shape.gated else weights.matrices[0, UP, 2]
    # The same memory under the names and shapes that each phase wants.
    q_hidden = scratch.q[: count * hidden_groups * GROUP].reshape(count, hidden_groups * GROUP)
    s_hidden = scratch.scale[: count * hidden_groups].reshape(count, hidden_groups)
    t_hidden = scratch.total[: count * hidden_groups].reshape(count, hidden_groups)
    q_heads = scratch.q[: count * heads_width].reshape(count, heads_width)
    s_heads = scratch.scale[: count * heads_width // GROUP].reshape(count, heads_width // GROUP)
    t_heads = scratch.total[: count * heads_width // GROUP].reshape(count, heads_width // GROUP)
    q_mlp = scratch.q[: count * mlp_groups * GROUP].reshape(count, mlp_groups * GROUP)
    s_mlp = scratch.scale[: count * mlp_groups].reshape(count, mlp_groups)
    t_mlp = scratch.total[: count * mlp_groups].reshape(count, mlp_groups)
    wide = scratch.wide[: count * rows].reshape(count, rows)
    branch = scratch.wide2[: count * branch_rows].reshape(count, branch_rows)
    up = scratch.wide[: count * up_rows].reshape(count, up_rows)
    row = np.zeros(max(hidden_groups, mlp_groups, heads_width // GROUP) * GROUP, np.float32)
    normed = row[: hidden_groups * GROUP]
    scores = np.empty(HEADS * (PAGE + 1), np.float32)
    arrived = arrivals

    for layer in range(shape.num_layers):
        at, matrices = weights.vector_at[layer], weights.matrices[layer]
        for c in range(first, last):
            if layer > 0:
                before = weights.vector_at[layer - 1]
                add_branch(batch.x[c], branch[c], vectors, before[DOWN_BIAS], before[MLP_POST_NORM], eps)
            normalise(batch.x[c], vectors, at[ATTN_NORM], at[ATTN_NORM_BIAS], shape.layer_norm, eps, normed)
            quantise(normed, q_hidden[c], s_hidden[c], t_hidden[c])
        arrived += threads
        barrier(sync, arrived)
        project(data, matrices[QKV], q_hidden, s_hidden, t_hidden, count, scratch.wide, rows, thread, threads)
        arrived += threads
        barrier(sync, arrived)
        for c in range(first, last):
            place_column(wide[c], layer, c, shape, weights, cache, batch)
        arrived += threads
        barrier(sync, arrived)
        attend_all(layer, count, shape, weights, cache, batch, scratch, wide, scores, thread, threads)
        arrived += threads
        barrier(sync, arrived)
        for c in range(first, last):
            merge_splits(c, layer, shape, weights, batch, scratch.partial, row[:heads_width])
            quantise(row, q_heads[c], s_heads[c], t_heads[c])
        arrived += threads
        barrier(sync, arrived)
        project(data, matrices[OUTPUT], q_heads, s_heads, t_heads, count, scratch.wide2, branch_rows, thread, threads)
        arrived += threads
        barrier(sync, arrived)
        for c in range(first, last):
            add_branch(batch.x[c], branch[c], vectors, at[OUTPUT_BIAS], at[ATTN_POST_NORM], eps)
            normalise(batch.x[c], vectors, at[MLP_NORM], at[MLP_NORM_BIAS], shape.layer_norm, eps, normed)
            quantise(normed, q_hidden[c], s_hidden[c], t_hidden[c])
        arrived += threads
        barrier(sync, arrived)
        if shape.gated:
            project_gated(
                data,
                matrices[UP],
                vectors,
                at[UP_BIAS],
                shape.activation,
                q_hidden,
                s_hidden,
                t_hidden,
                count,
                scratch.wide,
                up_rows,
                thread,
                threads,
            )
        else:
            project(data, matrices[UP], q_hidden, s_hidden, t_hidden, count, scratch.wide, up_rows, thread, threads)
        arrived += threads
        barrier(sync, arrived)
        for c in range(first, last):
            if not shape.gated:
                if at[UP_BIAS] >= 0:
                    for i in range(up_rows):
                        up[c, i] += vectors[at[UP_BIAS] + i]
                activate_all(up[c], shape.activation)
            quantise(up[c], q_mlp[c], s_mlp[c], t_mlp[c])
        arrived += threads
        barrier(sync, arrived)
        project(data, matrices[DOWN], q_mlp, s_mlp, t_mlp, count, scratch.wide2, branch_rows, thread, threads)
        arrived += threads
        barrier(sync, arrived)

    end, last_layer = weights.vector_at[shape.num_layers], weights.vector_at[shape.num_layers - 1]
    for c in range(first, last):
        add_branch(batch.x[c], branch[c], vectors, last_layer[DOWN_BIAS], last_layer[MLP_POST_NORM], eps)
    arrived += threads
    barrier(sync, arrived)
    wanted = batch.wanted.shape[0]
    low, high = share(wanted, thread, threads)
    for i in range(low, high):
        x = batch.x[batch.wanted[i]]
        normalise(x, vectors, end[FINAL_NORM], end[FINAL_NORM_BIAS], shape.layer_norm, eps, normed)
        quantise(normed, q_hidden[i], s_hidden[i], t_hidden[i])
    arrived += threads
    barrier(sync, arrived)
    if wanted > 0:
        head = weights.matrices[shape.num_layers, HEAD]
        logits = batch.logits.reshape(-1)
        project(data, head, q_hidden, s_hidden, t_hidden, wanted, logits, head[2], thread, threads)
    arrived += threads
    barrier(sync, arrived)


@njit(**JIT)
def head_step(thread, threads, arrivals, shape, weights, hidden, logits, scratch):  # type: ignore[no-untyped-def]
    """Logits of hidden states that have passed the final norm elsewhere; run by every thread of the team.

    Args:
        thread, threads, arrivals, shape, weights, scratch: as for :func:`step`.
        hidden: float32 [N, C].
        logits: float32 [N, padded vocabulary], written.
    """
    announce(scratch.sync, thread)
    head = weights.matrices[shape.num_layers, HEAD]
    count, groups = hidden.shape[0], head[3]
    q = scratch.q[: count * groups * GROUP].reshape(count, groups * GROUP)
    scale = scratch.scale[: count * groups].reshape(count, groups)
    total = scratch.total[: count * groups].reshape(count, groups)
    row = np.zeros(groups * GROUP, np.float32)
    first, last = share(count, thread, threads)
    for c in range(first, last):
        row[: shape.hidden_size] = hidden[c]
        quantise(row, q[c], scale[c], total[c])
    barrier(scratch.sync, arrivals + threads)
    project(weights.data, head, q, scale, total, count, logits.reshape(-1), head[2], thread, threads)
    barrier(scratch.sync, arrivals + 2 * threads)
