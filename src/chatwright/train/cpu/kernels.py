"""The loops between the matrix products of a training step: one pass over memory each, forward and backward.

Eager PyTorch takes several passes for each of these and half of a step's time; its compiler needs a C++ compiler on
the user's machine and is still behind (benchmarks/training.py). Numbers are bfloat16 at the matrix products' borders
and float32 in registers and in the residual stream.

Rows are dealt out in a fixed number of shares, so sums over rows do not depend on how many threads there are.

Shape legend: N tokens, C hidden width, I feed-forward width, H heads, D head width, V vocabulary, R rows. Arrays of
``bits`` are uint16 bit patterns of bfloat16. Every file of kernels stands alone but for ``chatwright.engine.cpu``,
whose digest names the folder in which Numba keeps the machine code.
"""

import numpy as np
from numba import njit, prange

from chatwright.engine.cpu.jit import INLINE, JIT
from chatwright.engine.cpu.math import bfloat16, exp, float_of_bfloat16
from chatwright.engine.cpu.scalars import bits_of_float, float_of_bits

PARALLEL = {**JIT, "parallel": True}
SHARES = 32

_F = np.float32


@njit(**PARALLEL)
def add_norm(x, branch_bits, weight, eps, out, normed_bits, scale):  # type: ignore[no-untyped-def]
    """out = x + branch; normed = out / rms(out) * weight; scale = 1 / rms(out).

    Args:
        x, out: residual stream, float32 [N, C].
        branch_bits: [N, C], or [0, C] where nothing is added (``out`` is then not written).
        weight: float32 [C].
        normed_bits: written, [N, C].
        scale: written, float32 [N].
    """
    rows, width = x.shape
    adds = branch_bits.shape[0] > 0
    for share in prange(SHARES):
        row = np.empty(width, np.float32)
        for t in range(share * rows // SHARES, (share + 1) * rows // SHARES):
            square = _F(0)
            if adds:
                for i in range(width):
                    value = x[t, i] + float_of_bfloat16(branch_bits[t, i])
                    row[i] = value
                    out[t, i] = value
                    square += value * value
            else:
                for i in range(width):
                    value = x[t, i]
                    row[i] = value
                    square += value * value
            factor = _F(1) / np.sqrt(square / _F(width) + _F(eps))
            scale[t] = factor
            for i in range(width):
                normed_bits[t, i] = bfloat16(row[i] * factor * weight[i])


@njit(**PARALLEL)
def add_norm_backward(stream_grad, normed_grad_bits, x, weight, scale, x_grad, branch_grad_bits, weight_grads):  # type: ignore[no-untyped-def]
    """Gradients of :func:`add_norm`.

    Args:
        stream_grad: of ``out`` from later layers, float32 [N, C], or [0, C] where there is none.
        normed_grad_bits: of ``normed``, [N, C].
        x: ``out`` of the forward pass, float32 [N, C].
        x_grad: written, float32 [N, C].
        branch_grad_bits: written, the same as bfloat16, [N, C], or [0, C] where nothing was added.
        weight_grads: written, float32 [SHARES, C], to be summed.
    """
    rows, width = x.shape
    streams, adds = stream_grad.shape[0] > 0, branch_grad_bits.shape[0] > 0
    for share in prange(SHARES):
        row = np.empty(width, np.float32)
        for i in range(width):
            weight_grads[share, i] = 0
        for t in range(share * rows // SHARES, (share + 1) * rows // SHARES):
            factor, dot = scale[t], _F(0)
            for i in range(width):
                grad = float_of_bfloat16(normed_grad_bits[t, i])
                weight_grads[share, i] += grad * x[t, i] * factor
                grad *= weight[i]
                row[i] = grad
                dot += grad * x[t, i]
            dot *= factor * factor / _F(width)
            for i in range(width):
                row[i] = (row[i] - x[t, i] * dot) * factor
            if streams:
                for i in range(width):
                    row[i] += stream_grad[t, i]
            for i in range(width):
                x_grad[t, i] = row[i]
            if adds:
                for i in range(width):
                    branch_grad_bits[t, i] = bfloat16(row[i])


@njit(**PARALLEL)
def split_heads(bits, weight, eps, cos, sin, factor, out_bits, scale):  # type: ignore[no-untyped-def]
    """Norm and rotate heads, and lay them out head by head.

    Args:
        bits: [N, H D], a projection's output.
        weight: of the heads' RMSNorm, float32 [D]; [0]: no norm.
        cos, sin: float32 [N, D / 2]; [0, 0]: no rotation.
        factor: multiplies the result (queries take the attention's scale).
        out_bits: written, [H, N, D].
        scale: written, float32 [N, H]: 1 / rms.
    """
    heads, rows, width = out_bits.shape
    half = width // 2
    norms, rotates = weight.shape[0] > 0, cos.shape[0] > 0
    for share in prange(SHARES):
        row = np.empty(width, np.float32)
        for t in range(share * rows // SHARES, (share + 1) * rows // SHARES):
            for h in range(heads):
                head = bits[t, h * width : (h + 1) * width]
                for i in range(width):
                    row[i] = float_of_bfloat16(head[i])
                if norms:
                    square = _F(0)
                    for i in range(width):
                        square += row[i] * row[i]
                    inverse = _F(1) / np.sqrt(square / _F(width) + _F(eps))
                    scale[t, h] = inverse
                    for i in range(width):
                        row[i] *= inverse * weight[i]
                low, high = out_bits[h, t, :half], out_bits[h, t, half:]
                if rotates:
                    for i in range(half):
                        a, b = row[i], row[half + i]
                        low[i] = bfloat16((a * cos[t, i] - b * sin[t, i]) * factor)
                        high[i] = bfloat16((b * cos[t, i] + a * sin[t, i]) * factor)
                else:
                    for i in range(half):
                        low[i] = bfloat16(row[i] * factor)
                        high[i] = bfloat16(row[half + i] * factor)


@njit(**PARALLEL)
def split_heads_backward(grad_bits, bits, weight, cos, sin, factor, scale, out_bits, weight_grads):  # type: ignore[no-untyped-def]
    """Gradients of :func:`split_heads`.

    Args:
        grad_bits: of ``out_bits``, [H, N, D].
        bits: the forward pass' input [N, H D].
        out_bits: written, gradient of ``bits``.
        weight_grads: written, float32 [SHARES, D or 0].
    """
    heads, rows, width = grad_bits.shape
    half = width // 2
    norms, rotates = weight.shape[0] > 0, cos.shape[0] > 0
    for share in prange(SHARES):
        row = np.empty(width, np.float32)
        if norms:
            for i in range(width):
                weight_grads[share, i] = 0
        for t in range(share * rows // SHARES, (share + 1) * rows // SHARES):
            for h in range(heads):
                head, out = bits[t, h * width : (h + 1) * width], out_bits[t, h * width : (h + 1) * width]
                low, high = grad_bits[h, t, :half], grad_bits[h, t, half:]
                if rotates:
                    for i in range(half):
                        a, b = float_of_bfloat16(low[i]) * factor, float_of_bfloat16(high[i]) * factor
                        row[i] = a * cos[t, i] + b * sin[t, i]
                        row[half + i] = b * cos[t, i] - a * sin[t, i]
                else:
                    for i in range(half):
                        row[i] = float_of_bfloat16(low[i]) * factor
                        row[half + i] = float_of_bfloat16(high[i]) * factor
                if norms:
                    inverse, dot = scale[t, h], _F(0)
                    for i in range(width):
                        value = float_of_bfloat16(head[i])
                        weight_grads[share, i] += row[i] * value * inverse
                        row[i] *= weight[i]
                        dot += row[i] * value
                    dot *= inverse * inverse / _F(width)
                    for i in range(width):
                        row[i] = (row[i] - float_of_bfloat16(head[i]) * dot) * inverse
                for i in range(width):
                    out[i] = bfloat16(row[i])


@njit(**PARALLEL)
def join_heads(bits, factors, out_bits):  # type: ignore[no-untyped-def]
    """From [H, N, D] to [N, H D].

    Args:
        factors: multiply the rows of ``bits``, float32 [H, N]; [0, 0]: none do.
    """
    heads, rows, width = bits.shape
    scales = factors.shape[0] > 0
    for share in prange(SHARES):
        for t in range(share * rows // SHARES, (share + 1) * rows // SHARES):
            for h in range(heads):
                head, out = bits[h, t], out_bits[t, h * width : (h + 1) * width]
                if scales:
                    factor = factors[h, t]
                    for i in range(width):
                        out[i] = bfloat16(float_of_bfloat16(head[i]) * factor)
                else:
                    for i in range(width):
                        out[i] = head[i]


# 2**f for f in [0, 1) within 1e-4, a twentieth of bfloat16's own rounding (least squares in the relative error).
_Q1, _Q2, _Q3 = _F(0.69565028), _F(0.22494270), _F(0.07944138)


@njit(**INLINE)
def _exp(x):  # type: ignore[no-untyped-def]
    """e**x of a number that is at most about 0 and will be rounded to bfloat16; 0 below -87."""
    y = max(x * _F(1.44269504), _F(-126))
    n = np.floor(y)
    f = y - n
    power = ((_Q3 * f + _Q2) * f + _Q1) * f + _F(1)
    return float_of_bits(bits_of_float(power) + (np.uint32(np.int32(n)) << np.uint32(23)))


@njit(**INLINE)
def _highest(row):  # type: ignore[no-untyped-def]
    """The largest of a row of bfloat16 patterns, as float32."""
    # Over integers that order as the numbers do: LLVM keeps a maximum of floats scalar, for NaN's sake.
    top = np.int32(-0x8000)
    for j in range(row.shape[0]):
        pattern = np.int32(np.int16(row[j]))
        top = max(top, pattern ^ ((pattern >> np.int32(15)) & np.int32(0x7FFF)))
    return float_of_bfloat16(np.uint16(top ^ ((top >> np.int32(15)) & np.int32(0x7FFF))))


@njit(**INLINE)
def _exponentials(row, highest):  # type: ignore[no-untyped-def]
    """A row becomes its exponentials over that of ``highest``; returns their sum."""
    total = _F(0)
    for j in range(row.shape[0]):
        value = _exp(float_of_bfloat16(row[j]) - highest)
        row[j] = bfloat16(value)
        total += value
    return total


@njit(**PARALLEL)
def causal_softmax(score_bits, begins, first, window, log_sum, inverse):  # type: ignore[no-untyped-def]
    """Scores to exponentials, in place; what a query may not see becomes 0.

    Args:
        score_bits: [K, G Q, S]: for each key/value head K, the Q queries of each of its G query heads.
        begins: the first key of each query's document, int64 [Q].
        first: the key that the first query is; a query sees keys up to itself.
        window: how many keys, itself included, a query sees at most.
        log_sum: written, float32 [K, G Q]: log of the sum of the scores' exponentials.
        inverse: written, float32 [K, G Q]: what makes probabilities of a row's exponentials.
    """
    groups, rows = score_bits.shape[:2]
    queries = begins.shape[0]
    for share in prange(groups * rows):
        g, r = share // rows, share % rows
        last = first + r % queries + 1
        begin = max(begins[r % queries], last - window)
        seen = score_bits[g, r, begin:last]
        highest = _highest(seen)
        total = _exponentials(seen, highest)
        log_sum[g, r] = highest + np.log(total)
        inverse[g, r] = _F(1) / total
        score_bits[g, r, :begin] = 0
        score_bits[g, r, last:] = 0


@njit(**PARALLEL)
def causal_softmax_backward(score_bits, grad_bits, begins, first, window, log_sum):  # type: ignore[no-untyped-def]
    """Scores to probabilities again, and their gradient to that of the scores, both in place.

    Args:
        score_bits, begins, first, window: as for :func:`causal_softmax`, the scores made anew.
        grad_bits: gradient of the probabilities [K, G Q, S].
        log_sum: as :func:`causal_softmax` wrote it.
    """
    groups, rows = score_bits.shape[:2]
    queries = begins.shape[0]
    for share in prange(groups * rows):
        g, r = share // rows, share % rows
        norm = log_sum[g, r]
        last = first + r % queries + 1
        begin = max(begins[r % queries], last - window)
        seen, grad = score_bits[g, r, begin:last], grad_bits[g, r, begin:last]
        dot = _F(0)
        for j in range(seen.shape[0]):
            p = _exp(float_of_bfloat16(seen[j]) - norm)
            seen[j] = bfloat16(p)
            dot += p * float_of_bfloat16(grad[j])
        for j in range(seen.shape[0]):
            grad[j] = bfloat16(float_of_bfloat16(seen[j]) * (float_of_bfloat16(grad[j]) - dot))
        score_bits[g, r, :begin] = 0
        score_bits[g, r, last:] = 0
        grad_bits[g, r, :begin] = 0
        grad_bits[g, r, last:] = 0


@njit(**PARALLEL)
def swiglu(gate_bits, up_bits, out_bits):  # type: ignore[no-untyped-def]
    """out = silu(gate) * up, all [N, I]."""
    rows, width = gate_bits.shape
    for t in prange(rows):
        for i in range(width):
            gate = float_of_bfloat16(gate_bits[t, i])
            out_bits[t, i] = bfloat16(gate / (_F(1) + exp(-gate)) * float_of_bfloat16(up_bits[t, i]))


@njit(**PARALLEL)
def swiglu_backward(grad_bits, gate_bits, up_bits, gate_grad_bits, up_grad_bits):  # type: ignore[no-untyped-def]
    """Gradients of :func:`swiglu`, all [N, I]."""
    rows, width = gate_bits.shape
    for t in prange(rows):
        for i in range(width):
            gate, grad = float_of_bfloat16(gate_bits[t, i]), float_of_bfloat16(grad_bits[t, i])
            sigmoid = _F(1) / (_F(1) + exp(-gate))
            up_grad_bits[t, i] = bfloat16(grad * gate * sigmoid)
            slope = sigmoid * (_F(1) + gate * (_F(1) - sigmoid))
            gate_grad_bits[t, i] = bfloat16(grad * float_of_bfloat16(up_bits[t, i]) * slope)


@njit(**PARALLEL)
def cross_entropy(logit_bits, labels, z_loss, losses):  # type: ignore[no-untyped-def]
    """Logits to the gradient of the summed loss, in place.

    Args:
        logit_bits: [R, V].
        labels: int64 [R].
        z_loss: coefficient of log(Z)².
        losses: written, float32 [R].
    """
    rows = logit_bits.shape[0]
    for r in prange(rows):
        row, label = logit_bits[r], labels[r]
        highest, mine = _highest(row), float_of_bfloat16(row[label])
        total = _exponentials(row, highest)
        norm = highest + np.log(total)
        losses[r] = norm - mine + _F(z_loss) * norm * norm
        stretch = _F(1) + _F(2) * _F(z_loss) * norm
        factor = stretch / total
        for j in range(row.shape[0]):
            row[j] = bfloat16(float_of_bfloat16(row[j]) * factor)
        row[label] = bfloat16(_exp(mine - norm) * stretch - _F(1))


@njit(**PARALLEL)
def log_probs(logit_bits, labels, inverse_temperature, values, log_sum):  # type: ignore[no-untyped-def]
    """Log-probability of each row's label.

    Args:
        logit_bits: [R, V]; destroyed.
        labels: int64 [R].
        inverse_temperature: multiplies the logits.
        values: written, float32 [R].
        log_sum: written, float32 [R].
    """
    rows = logit_bits.shape[0]
    for r in prange(rows):
        row = logit_bits[r]
        factor = _F(inverse_temperature)
        highest, mine = _highest(row) * factor, float_of_bfloat16(row[labels[r]]) * factor
        total = _F(0)
        for j in range(row.shape[0]):
            total += _exp(float_of_bfloat16(row[j]) * factor - highest)
        log_sum[r] = highest + np.log(total)
        values[r] = mine - log_sum[r]


@njit(**PARALLEL)
def log_probs_backward(logit_bits, labels, inverse_temperature, log_sum, grads):  # type: ignore[no-untyped-def]
    """Logits, made anew, to their gradient, in place; ``grads`` are those of the log-probabilities, float32 [R]."""
    rows = logit_bits.shape[0]
    for r in prange(rows):
        row, label = logit_bits[r], labels[r]
        factor, grad = _F(inverse_temperature), grads[r] * _F(inverse_temperature)
        mine = _exp(float_of_bfloat16(row[label]) * factor - log_sum[r])
        for j in range(row.shape[0]):
            row[j] = bfloat16(-grad * _exp(float_of_bfloat16(row[j]) * factor - log_sum[r]))
        row[label] = bfloat16(grad * (_F(1) - mine))
