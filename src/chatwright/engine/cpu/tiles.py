"""Integer matrix products over packed weights.

Packed matrices (``pack`` writes them): rows in blocks of 16, one SIMD lane per row, so that a dot product
never needs a sum across lanes. Within a block, two neighbouring weights of a row lie together, because the integer
instruction multiplies and adds pairs:

* ``INT8``: for each group of 32 columns 16 pairs × 16 rows × 2 int8, then 16 float16 steps: weight = step * int8.
* ``INT4``: for each group of 32 columns 256 bytes of nibbles (low nibble: pairs 0–7 of the group, high nibble:
  pairs 8–15), then 16 float16 steps and 16 float16 minima: weight = step * nibble + minimum.

Activations are int16 with a float32 scale per group of 32 and the sum of the group in float32; integer sums are
exact, so a column's result does not depend on which other columns share the call.
"""

from collections.abc import Callable
from itertools import chain
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from chatwright.engine.cpu.emit import BYTES, F16, I64, LANES, PAIRS, REAL, SUM, Emitter, constant

GROUP = 32
INT8, INT4 = 8, 4

# How far ahead of its use a weight is requested. The hardware's own prefetcher stops at each 4 KiB page; asking two
# pages ahead raised one thread from 21 to 27 GB/s on the reference machine.
_AHEAD = 8192


def _group_sums(e: Emitter, bits: int, weights: list[Any], w_at: Any, x: list[Any], x_at: Any) -> list[list[Any]]:
    """Integer dot products of one group of 32 columns, for every row block and activation column.

    A loop, and one whose length LLVM cannot see: unrolled, it kept the broadcasts of a whole group at hand and
    spilled them, which cost two thirds of the speed with eight columns.
    """
    b = e.b
    loads = GROUP // 2 if bits == INT8 else GROUP // 4
    length = b.asm(ir.FunctionType(I64, [I64]), "", "=r,0", [constant(loads)], False)
    before, body, done = b.block, b.append_basic_block("pairs"), b.append_basic_block("group.end")
    b.branch(body)
    b.position_at_end(body)
    i = b.phi(I64)
    i.add_incoming(constant(0), before)
    sums: list[list[Any]] = [[b.phi(SUM) for _ in x] for _ in weights]
    firsts = sums

    def accumulate(sums: list[list[Any]], pair: Any, values: list[Any]) -> list[list[Any]]:
        columns = [e.pair(column, b.add(x_at, b.mul(pair, constant(2)))) for column in x]
        return [
            [e.multiply_add_pairs(acc, value, column) for acc, column in zip(row, columns, strict=True)]
            for row, value in zip(sums, values, strict=True)
        ]

    at = b.add(w_at, b.mul(i, constant(2 * LANES)))
    packed = []
    for base in weights:
        e.prefetch(base, b.add(at, constant(_AHEAD)))
        packed.append(e.load(base, at, BYTES, 1))
    if bits == INT8:
        sums = accumulate(sums, i, [b.sext(value, PAIRS) for value in packed])
    else:
        low = [b.and_(value, ir.Constant(BYTES, [15] * 2 * LANES)) for value in packed]
        high = [b.lshr(value, ir.Constant(BYTES, [4] * 2 * LANES)) for value in packed]
        sums = accumulate(sums, i, [b.zext(value, PAIRS) for value in low])
        sums = accumulate(sums, b.add(i, constant(loads)), [b.zext(value, PAIRS) for value in high])
    following = b.add(i, constant(1))
    i.add_incoming(following, body)
    for first, last in zip(chain(*firsts), chain(*sums), strict=True):
        first.add_incoming(ir.Constant(SUM, [0] * LANES), before)
        first.add_incoming(last, body)
    b.cbranch(b.icmp_signed("<", following, length), body, done)
    b.position_at_end(done)
    return sums


def make_tile(bits: int, blocks: int, columns: int) -> Callable[..., None]:
    """The intrinsic ``tile(w, w_at, w_stride, x, scale, total, at, groups, out, out_at, out_stride)``.

    Multiplies ``blocks`` row blocks by ``columns`` activation columns:
    ``out[out_at + column * out_stride + row] = sum over k of weight[row, k] * x[column, k]``.

    Args of the tile:
        w, w_at, w_stride: uint8 array; byte offset of the first row block; bytes from one row block to the next.
        x, scale, total: int16 [columns, 32 * groups], float32 [columns, groups] scales and sums, C-contiguous 2-D.
        at: first column of ``x`` to take.
        groups: groups of 32 weights in a row.
        out, out_at, out_stride: float32 flat array, offset and distance of the columns.
    """

    @intrinsic
    def tile(
        typingctx: Any,
        w: Any,
        w_at: Any,
        w_stride: Any,
        x: Any,
        scale: Any,
        total: Any,
        at: Any,
        groups: Any,
        out: Any,
        out_at: Any,
        out_stride: Any,
    ) -> Any:
        n = types.int64
        sig = types.void(w, n, n, x, scale, total, n, n, out, n, n)

        def codegen(context: Any, b: Any, signature: Any, args: Any) -> Any:
            def data(position: int) -> Any:
                return context.make_array(signature.args[position])(context, b, args[position]).data

            w_at, w_stride, at, groups, out_at, out_stride = (args[i] for i in (1, 2, 6, 7, 9, 10))
            e = Emitter(b)
            width = b.mul(groups, constant(GROUP))
            weights = [b.gep(data(0), [b.add(w_at, b.mul(w_stride, constant(r)))]) for r in range(blocks)]
            starts = [b.add(at, constant(c)) for c in range(columns)]
            xs = [b.gep(data(3), [b.mul(start, width)]) for start in starts]
            scales = [b.gep(data(4), [b.mul(start, groups)]) for start in starts]
            totals = [b.gep(data(5), [b.mul(start, groups)]) for start in starts]
            weight_bytes = GROUP * LANES if bits == INT8 else GROUP * LANES // 2
            group_bytes = weight_bytes + (2 if bits == INT8 else 4) * LANES

            before, body, done = b.block, b.append_basic_block("group"), b.append_basic_block("rows")
            b.branch(body)
            b.position_at_end(body)
            g = b.phi(I64)
            g.add_incoming(constant(0), before)
            acc = [[b.phi(REAL) for _ in range(columns)] for _ in range(blocks)]
            offset = b.mul(g, constant(group_bytes))
            sums = _group_sums(e, bits, weights, offset, xs, b.mul(g, constant(GROUP)))
            results = []
            for r in range(blocks):
                tail, half = b.add(offset, constant(weight_bytes)), ir.VectorType(F16, LANES)
                step = b.fpext(e.load(weights[r], tail, half, 2), REAL)
                if bits == INT4:
                    minimum = b.fpext(e.load(weights[r], b.add(tail, constant(2 * LANES)), half, 2), REAL)
                for c in range(columns):
                    factor = b.fmul(e.splat(b.load(b.gep(scales[c], [g])), REAL), step)
                    value = acc[r][c]
                    if bits == INT4:
                        value = e.fma(minimum, e.splat(b.load(b.gep(totals[c], [g])), REAL), value)
                    value = e.fma(e.real(sums[r][c]), factor, value)
                    results.append((r, c, value))
                    acc[r][c].add_incoming(ir.Constant(REAL, [0.0] * LANES), before)
                    acc[r][c].add_incoming(value, b.block)
            following = b.add(g, constant(1))
            g.add_incoming(following, b.block)
            b.cbranch(b.icmp_signed("<", following, groups), body, done)
            b.position_at_end(done)
            for r, c, value in results:
                e.store(value, data(8), b.add(b.add(out_at, b.mul(out_stride, constant(c))), constant(r * LANES)))
            return context.get_dummy_value()

        return sig, codegen

    return tile  # type: ignore[no-any-return]
