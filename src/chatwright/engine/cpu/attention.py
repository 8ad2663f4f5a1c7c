"""Attention of single tokens over the paged cache, divided into tasks that any thread may take.

A task is a column, a key/value head and a part of the context; parts are joined by their maxima and sums afterwards.

Shape legend: N columns; D head width.
"""

import numpy as np
from numba import njit

from chatwright.engine.cpu.attention_tiles import HEADS, PAGE, make_scores, make_values
from chatwright.engine.cpu.emit import LANES
from chatwright.engine.cpu.jit import INLINE, JIT
from chatwright.engine.cpu.math import bfloat16, exp, rms_scale
from chatwright.engine.cpu.state import K_NORM, MAX_SPLITS, Q_NORM, QKV_BIAS

SPLIT = 128  # positions of context that one attention task takes at least

_scores_1, _scores_2, _scores_3, _scores_4 = (make_scores(heads) for heads in (1, 2, 3, 4))
_values_1_4, _values_2_4, _values_3_4, _values_4_4 = (make_values(heads, 4) for heads in (1, 2, 3, 4))
_values_1_1 = make_values(1, 1)


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
def attend_all(layer, count, shape, weights, cache, batch, partial, wide, room, thread, threads):  # type: ignore[no-untyped-def]
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
                    attend(wide[column], layer, column, kv_head, begin, end, part, shape, cache, batch, room, partial)
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
