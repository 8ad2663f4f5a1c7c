"""Scalar and short-vector mathematics of the CPU decoder, in loops that LLVM vectorises.

``math.exp`` is a library call that keeps a loop scalar (5 ns a value); the polynomial here runs in SIMD registers.
"""

import math

import numpy as np
from numba import njit

from chatwright.engine.cpu.jit import INLINE
from chatwright.engine.cpu.scalars import bits_of_float, float_of_bits

GELU, GELU_TANH, RELU, SILU = 0, 1, 2, 3
ACTIVATIONS = {"gelu": GELU, "gelu_tanh": GELU_TANH, "relu": RELU, "silu": SILU, "swiglu": SILU, "geglu": GELU_TANH}


_F = np.float32
_LOG2E, _LN2_HIGH, _LN2_LOW = _F(1.44269504), _F(0.693359375), _F(-2.12194440e-4)
_P0, _P1, _P2 = _F(1.9875691500e-4), _F(1.3981999507e-3), _F(8.3334519073e-3)
_P3, _P4 = _F(4.1665795894e-2), _F(1.6666665459e-1)


@njit(**INLINE)
def exp(x):  # type: ignore[no-untyped-def]
    """e**x of a float32, within 4e-7 relative; clamped below -87 and above 88. Cephes' reduction and polynomial."""
    x = min(max(x, _F(-87.0)), _F(88.0))
    n = np.floor(x * _LOG2E + _F(0.5))
    r = x - n * _LN2_HIGH - n * _LN2_LOW
    p = ((((_P0 * r + _P1) * r + _P2) * r + _P3) * r + _P4) * r + _F(0.5)
    y = p * r * r + r + _F(1)
    return y * float_of_bits(np.int32(np.int32(n) + np.int32(127)) << np.int32(23))


@njit(**INLINE)
def activate_all(values, kind):  # type: ignore[no-untyped-def]
    """The feed-forward activation, in place; one loop per kind, so that each vectorises."""
    if kind == SILU:
        for i in range(values.shape[0]):
            values[i] = values[i] / (_F(1) + exp(-values[i]))
    elif kind == GELU_TANH:
        for i in range(values.shape[0]):
            x = values[i]
            inner = _F(1.5957691216) * (x + _F(0.044715) * x * x * x)  # 2 sqrt(2/pi): tanh written as a sigmoid
            values[i] = x / (_F(1) + exp(-inner))
    elif kind == RELU:
        for i in range(values.shape[0]):
            values[i] = max(values[i], _F(0))
    else:
        for i in range(values.shape[0]):
            values[i] = _F(0.5) * values[i] * (_F(1) + _F(math.erf(values[i] * _F(0.70710678))))


@njit(**INLINE)
def bfloat16(x):  # type: ignore[no-untyped-def]
    """Bit pattern of the nearest bfloat16, ties to even, as uint16."""
    bits = bits_of_float(x)
    return np.uint16((bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16))


@njit(**INLINE)
def float_of_bfloat16(bits):  # type: ignore[no-untyped-def]
    """The float32 of a bfloat16's bit pattern."""
    return float_of_bits(np.uint32(bits) << np.uint32(16))


@njit(**INLINE)
def rms_scale(values, width, eps):  # type: ignore[no-untyped-def]
    """1 / root mean square of the first ``width`` values."""
    square = np.float32(0)
    for i in range(width):
        square += values[i] * values[i]
    return np.float32(1) / np.sqrt(square / np.float32(width) + np.float32(eps))
