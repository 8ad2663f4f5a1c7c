"""Matrix times a few columns, and the quantisation of the columns.

Shape legend: N columns; G groups of 32.
"""

import numpy as np
from numba import njit

from chatwright.engine.cpu.emit import LANES
from chatwright.engine.cpu.jit import INLINE, JIT
from chatwright.engine.cpu.math import activate_all
from chatwright.engine.cpu.scalars import bits_of_float, float_of_bits, int_of_float
from chatwright.engine.cpu.tiles import GROUP, INT4, INT8, make_tile

COLUMNS = 8  # columns that one pass over a row block serves at most

_tile8_1, _tile8_2, _tile8_4, _tile8_8 = (make_tile(INT8, 2, columns) for columns in (1, 2, 4, 8))
_tile4_1, _tile4_2, _tile4_4, _tile4_8 = (make_tile(INT4, 2, columns) for columns in (1, 2, 4, 8))


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
    """Bytes of a block of 16 rows; ``pack.block_bytes`` compiled."""
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
def project_gated(weights, matrix, bias_at, activation, q, scale, total, count, out, out_stride, thread, threads):  # type: ignore[no-untyped-def]
    """This thread's rows of the interleaved gate and up matrices: activation(gate) * up, for all columns."""
    bits, offset, rows = matrix[0], matrix[1], matrix[2]
    stride = block_stride(bits, matrix[3])
    low, high = share(rows // (2 * LANES), thread, threads)
    pair = np.empty(COLUMNS * 2 * LANES, np.float32)
    for tile in range(low, high):
        at = offset + tile * 2 * stride
        for first in range(0, count, COLUMNS):
            some = min(COLUMNS, count - first)
            multiply(weights.data, bits, at, stride, q, scale, total, first, some, pair, 0, 2 * LANES)
            for c in range(some):
                gate, up = pair[2 * c * LANES : (2 * c + 1) * LANES], pair[(2 * c + 1) * LANES : (2 * c + 2) * LANES]
                if bias_at >= 0:
                    bias = bias_at + tile * 2 * LANES
                    for i in range(LANES):
                        gate[i] += weights.vectors[bias + i]
                        up[i] += weights.vectors[bias + LANES + i]
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
