"""Norms, and the joining of a branch to the residual stream, one column at a time."""

import numpy as np
from numba import njit

from chatwright.engine.cpu.jit import INLINE
from chatwright.engine.cpu.math import rms_scale


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
