"""SIMD building blocks for the CPU decoder, written as LLVM IR that Numba compiles for the machine at hand.

Numba's own loops promote ``int32 * int32`` to 64 bits and leave the integer dot product far from what the hardware
can do. The intrinsics here emit vector IR in the shape that LLVM turns into ``vpmaddwd`` (AVX2) or ``smlal`` (Arm), and
the instruction ``vpdpwssd`` by name where the processor has it (AVX512-VNNI). Nobody needs a compiler at install.

Packed matrices (``cpu_pack.py`` writes them): rows in blocks of 16, one SIMD lane per row, so that a dot product
never needs a sum across lanes. Within a block, two neighbouring weights of a row lie together, because the integer
instruction multiplies and adds pairs:

* ``INT8``: for each group of 32 columns 16 pairs × 16 rows × 2 int8, then 16 float16 steps: weight = step * int8.
* ``INT4``: for each group of 32 columns 256 bytes of nibbles (low nibble: pairs 0–7 of the group, high nibble:
  pairs 8–15), then 16 float16 steps and 16 float16 minima: weight = step * nibble + minimum.

Activations are int16 with a float32 scale per group of 32 and the sum of the group in float32; integer sums are
exact, so a column's result does not depend on which other columns share the call.
"""

import os
import platform
from collections.abc import Callable
from itertools import chain
from typing import Any

from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LANES = 16
GROUP = 32
INT8, INT4 = 8, 4

_I8, _I16, _I32, _I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
_F16, _F32 = ir.HalfType(), ir.FloatType()
_SUM = ir.VectorType(_I32, LANES)
_REAL = ir.VectorType(_F32, LANES)
_PAIRS = ir.VectorType(_I16, 2 * LANES)
_WIDE = ir.VectorType(_I32, 2 * LANES)
_BYTES = ir.VectorType(_I8, 2 * LANES)


def _host_has(feature: str) -> bool:
    try:
        return bool(binding.get_host_cpu_features().get(feature, False))
    except RuntimeError:  # LLVM does not know this processor
        return False


binding.initialize_native_asmparser()
_VNNI = _host_has("avx512vnni")


def _c(value: int) -> ir.Constant:
    return ir.Constant(_I64, value)


class _Emitter:
    """Emits the instructions of one tile; a thin layer over llvmlite's builder."""

    def __init__(self, builder: Any) -> None:
        self.b = builder
        real3 = ir.FunctionType(_REAL, [_REAL] * 3)
        self._fma = cgutils.get_or_insert_function(builder.module, real3, f"llvm.fma.v{LANES}f32")
        prefetch = ir.FunctionType(ir.VoidType(), [_I8.as_pointer(), _I32, _I32, _I32])
        self._prefetch = cgutils.get_or_insert_function(builder.module, prefetch, "llvm.prefetch.p0")

    def load(self, base: Any, offset: Any, kind: ir.Type, align: int) -> Any:
        value = self.b.load(self.b.bitcast(self.b.gep(base, [offset]), kind.as_pointer()))
        value.align = align
        return value

    def store(self, value: Any, base: Any, offset: Any) -> None:
        stored = self.b.store(value, self.b.bitcast(self.b.gep(base, [offset]), value.type.as_pointer()))
        stored.align = 4

    def splat(self, scalar: Any, kind: ir.VectorType) -> Any:
        empty = ir.Constant(kind, ir.Undefined)
        one = self.b.insert_element(empty, scalar, ir.Constant(_I32, 0))
        return self.b.shuffle_vector(one, empty, ir.Constant(_SUM, [0] * LANES))

    def fma(self, x: Any, y: Any, z: Any) -> Any:
        return self.b.call(self._fma, [x, y, z])

    def real(self, integers: Any) -> Any:
        return self.b.sitofp(integers, _REAL)

    def prefetch(self, base: Any, offset: Any) -> None:
        hint = [ir.Constant(_I32, value) for value in (0, 3, 1)]  # read, keep in all caches, data
        self.b.call(self._prefetch, [self.b.gep(base, [offset]), *hint])

    def prefetch_row(self, base: Any, offset: Any) -> None:
        """Request the 64 two-byte numbers at ``offset``: two lines of 64 bytes."""
        start = self.b.bitcast(self.b.gep(base, [offset]), _I8.as_pointer())
        for line in (0, 64):
            self.prefetch(start, _c(line))

    def multiply_add_pairs(self, acc: Any, weights: Any, x: Any) -> Any:
        """acc[lane] + w[2 lane] x[2 lane] + w[2 lane + 1] x[2 lane + 1], in the shape LLVM knows as one instruction."""
        if _VNNI:  # by name: left to itself, LLVM takes the instruction apart into two for a shorter latency
            kind = ir.FunctionType(_SUM, [_SUM, _PAIRS, _PAIRS])
            return self.b.asm(kind, "vpdpwssd $3, $2, $0", "=v,0,v,v", [acc, weights, x], False)
        b, undefined = self.b, ir.Constant(_WIDE, ir.Undefined)
        product = b.mul(b.sext(weights, _WIDE), b.sext(x, _WIDE), flags=["nsw"])
        even = b.shuffle_vector(product, undefined, ir.Constant(_SUM, list(range(0, 2 * LANES, 2))))
        odd = b.shuffle_vector(product, undefined, ir.Constant(_SUM, list(range(1, 2 * LANES, 2))))
        return b.add(acc, b.add(even, odd, flags=["nsw"]))

    def pair(self, base: Any, index: Any) -> Any:
        """Two neighbouring int16 activations, repeated in every lane."""
        return self.b.bitcast(self.splat(self.load(base, index, _I32, 2), _SUM), _PAIRS)


# How far ahead of its use a weight is requested. The hardware's own prefetcher stops at each 4 KiB page; asking two
# pages ahead raised one thread from 21 to 27 GB/s on the reference machine.
_AHEAD = 8192


def _group_sums(e: _Emitter, bits: int, weights: list[Any], w_at: Any, x: list[Any], x_at: Any) -> list[list[Any]]:
    """Integer dot products of one group of 32 columns, for every row block and activation column.

    A loop, and one whose length LLVM cannot see: unrolled, it kept the broadcasts of a whole group at hand and
    spilled them, which cost two thirds of the speed with eight columns.
    """
    b = e.b
    loads = GROUP // 2 if bits == INT8 else GROUP // 4
    length = b.asm(ir.FunctionType(_I64, [_I64]), "", "=r,0", [_c(loads)], False)
    before, body, done = b.block, b.append_basic_block("pairs"), b.append_basic_block("group.end")
    b.branch(body)
    b.position_at_end(body)
    i = b.phi(_I64)
    i.add_incoming(_c(0), before)
    sums: list[list[Any]] = [[b.phi(_SUM) for _ in x] for _ in weights]
    firsts = sums

    def accumulate(sums: list[list[Any]], pair: Any, values: list[Any]) -> list[list[Any]]:
        columns = [e.pair(column, b.add(x_at, b.mul(pair, _c(2)))) for column in x]
        return [
            [e.multiply_add_pairs(acc, value, column) for acc, column in zip(row, columns, strict=True)]
            for row, value in zip(sums, values, strict=True)
        ]

    at = b.add(w_at, b.mul(i, _c(2 * LANES)))
    packed = []
    for base in weights:
        e.prefetch(base, b.add(at, _c(_AHEAD)))
        packed.append(e.load(base, at, _BYTES, 1))
    if bits == INT8:
        sums = accumulate(sums, i, [b.sext(value, _PAIRS) for value in packed])
    else:
        low = [b.and_(value, ir.Constant(_BYTES, [15] * 2 * LANES)) for value in packed]
        high = [b.lshr(value, ir.Constant(_BYTES, [4] * 2 * LANES)) for value in packed]
        sums = accumulate(sums, i, [b.zext(value, _PAIRS) for value in low])
        sums = accumulate(sums, b.add(i, _c(loads)), [b.zext(value, _PAIRS) for value in high])
    following = b.add(i, _c(1))
    i.add_incoming(following, body)
    for first, last in zip(chain(*firsts), chain(*sums), strict=True):
        first.add_incoming(ir.Constant(_SUM, [0] * LANES), before)
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
            e = _Emitter(b)
            width = b.mul(groups, _c(GROUP))
            weights = [b.gep(data(0), [b.add(w_at, b.mul(w_stride, _c(r)))]) for r in range(blocks)]
            starts = [b.add(at, _c(c)) for c in range(columns)]
            xs = [b.gep(data(3), [b.mul(start, width)]) for start in starts]
            scales = [b.gep(data(4), [b.mul(start, groups)]) for start in starts]
            totals = [b.gep(data(5), [b.mul(start, groups)]) for start in starts]
            weight_bytes = GROUP * LANES if bits == INT8 else GROUP * LANES // 2
            group_bytes = weight_bytes + (2 if bits == INT8 else 4) * LANES

            before, body, done = b.block, b.append_basic_block("group"), b.append_basic_block("rows")
            b.branch(body)
            b.position_at_end(body)
            g = b.phi(_I64)
            g.add_incoming(_c(0), before)
            acc = [[b.phi(_REAL) for _ in range(columns)] for _ in range(blocks)]
            offset = b.mul(g, _c(group_bytes))
            sums = _group_sums(e, bits, weights, offset, xs, b.mul(g, _c(GROUP)))
            results = []
            for r in range(blocks):
                tail, half = b.add(offset, _c(weight_bytes)), ir.VectorType(_F16, LANES)
                step = b.fpext(e.load(weights[r], tail, half, 2), _REAL)
                if bits == INT4:
                    minimum = b.fpext(e.load(weights[r], b.add(tail, _c(2 * LANES)), half, 2), _REAL)
                for c in range(columns):
                    factor = b.fmul(e.splat(b.load(b.gep(scales[c], [g])), _REAL), step)
                    value = acc[r][c]
                    if bits == INT4:
                        value = e.fma(minimum, e.splat(b.load(b.gep(totals[c], [g])), _REAL), value)
                    value = e.fma(e.real(sums[r][c]), factor, value)
                    results.append((r, c, value))
                    acc[r][c].add_incoming(ir.Constant(_REAL, [0.0] * LANES), before)
                    acc[r][c].add_incoming(value, b.block)
            following = b.add(g, _c(1))
            g.add_incoming(following, b.block)
            b.cbranch(b.icmp_signed("<", following, groups), body, done)
            b.position_at_end(done)
            for r, c, value in results:
                e.store(value, data(8), b.add(b.add(out_at, b.mul(out_stride, _c(c))), _c(r * LANES)))
            return context.get_dummy_value()

        return sig, codegen

    return tile  # type: ignore[no-any-return]


PAGE = 64  # positions in a block of key/value memory: what one call of the attention tiles looks at
HEADS = 4  # query heads that one call serves at most


def _bfloat16_vector(e: _Emitter, base: Any, offset: Any) -> Any:
    """Sixteen bfloat16 values from memory as float32."""
    b = e.b
    bits = b.load(b.bitcast(b.gep(base, [offset]), ir.VectorType(_I16, LANES).as_pointer()))
    bits.align = 2
    wide = b.shl(b.zext(bits, _SUM), ir.Constant(_SUM, [16] * LANES))
    return b.bitcast(wide, _REAL)


def make_scores(heads: int) -> Callable[..., None]:
    """The intrinsic ``scores(q, q_at, q_stride, width, keys, keys_at, first, last, out, ahead, ahead_at)``.

    ``out[head * PAGE + t] = q[head] · keys[:, t]`` for the PAGE positions of one block, -1e30 outside [first, last);
    ``out[heads * PAGE + head]`` is the largest of a head.

    Args of the tile:
        q, q_at, q_stride: float32 flat array, offset of the first head, distance of heads.
        width: head_dim.
        keys, keys_at: uint16 array (bfloat16 bits), offset of the block's keys [width, PAGE].
        first, last: positions of the block that count.
        out: float32, at least heads * (PAGE + 1).
        ahead, ahead_at: uint16 array and offset of what is read next (the block's values), fetched meanwhile: without
            this a context of 500 tokens cost a millisecond per token in waiting.
    """

    @intrinsic
    def scores(
        typingctx: Any,
        q: Any,
        q_at: Any,
        q_stride: Any,
        width: Any,
        keys: Any,
        keys_at: Any,
        first: Any,
        last: Any,
        out: Any,
        ahead: Any,
        ahead_at: Any,
    ) -> Any:
        n = types.int64
        sig = types.void(q, n, n, n, keys, n, n, n, out, ahead, n)

        def codegen(context: Any, b: Any, signature: Any, args: Any) -> Any:
            def data(position: int) -> Any:
                return context.make_array(signature.args[position])(context, b, args[position]).data

            e, vectors = _Emitter(b), PAGE // LANES
            q_at, q_stride, width, keys_at, first, last = (args[i] for i in (1, 2, 3, 5, 6, 7))
            queries = [b.gep(data(0), [b.add(q_at, b.mul(q_stride, _c(h)))]) for h in range(heads)]
            keys, out = data(4), data(8)
            before, body, done = b.block, b.append_basic_block("feature"), b.append_basic_block("mask")
            b.branch(body)
            b.position_at_end(body)
            i = b.phi(_I64)
            i.add_incoming(_c(0), before)
            acc = [[b.phi(_REAL) for _ in range(vectors)] for _ in range(heads)]
            row = b.add(keys_at, b.mul(i, _c(PAGE)))
            key = [_bfloat16_vector(e, keys, b.add(row, _c(v * LANES))) for v in range(vectors)]
            e.prefetch_row(data(9), b.add(args[10], b.mul(i, _c(PAGE))))
            following = b.add(i, _c(1))
            i.add_incoming(following, body)
            sums = []
            for h in range(heads):
                factor = e.splat(b.load(b.gep(queries[h], [i])), _REAL)
                sums.append([e.fma(factor, key[v], acc[h][v]) for v in range(vectors)])
                for v in range(vectors):
                    acc[h][v].add_incoming(ir.Constant(_REAL, [0.0] * LANES), before)
                    acc[h][v].add_incoming(sums[h][v], body)
            b.cbranch(b.icmp_signed("<", following, width), body, done)
            b.position_at_end(done)
            low, high = (e.splat(b.trunc(bound, _I32), _SUM) for bound in (first, last))
            largest_of = cgutils.get_or_insert_function(
                b.module, ir.FunctionType(_F32, [_REAL]), f"llvm.vector.reduce.fmax.v{LANES}f32"
            )
            nothing = ir.Constant(_REAL, [-1e30] * LANES)
            for h in range(heads):
                largest = nothing
                for v in range(vectors):
                    lane = ir.Constant(_SUM, list(range(v * LANES, (v + 1) * LANES)))
                    counts = b.and_(b.icmp_signed(">=", lane, low), b.icmp_signed("<", lane, high))
                    masked = b.select(counts, sums[h][v], nothing)
                    e.store(masked, out, _c(h * PAGE + v * LANES))
                    largest = b.select(b.fcmp_ordered(">", masked, largest), masked, largest)
                peak = b.call(largest_of, [largest], fastmath=("nnan", "nsz"))
                b.store(peak, b.gep(out, [_c(heads * PAGE + h)]))
            return context.get_dummy_value()

        return sig, codegen

    return scores  # type: ignore[no-any-return]


def make_values(heads: int, vectors: int) -> Callable[..., None]:
    """The intrinsic ``values(p, first, last, values, values_at, width, out, out_at, out_stride, shrink, ahead, …_at)``.

    ``out[head] = out[head] * shrink[head] + sum over t of p[head * PAGE + t] * values[t]`` for 16 * ``vectors``
    neighbouring features and t in [first, last).

    Args of the tile:
        p: float32, weights of the positions.
        values, values_at, width: uint16 array (bfloat16 bits), offset of the first feature of the block's first
            position, distance of positions.
        out, out_at, out_stride: float32 flat array, offset and distance of heads.
        shrink: float32 [heads].
        ahead, ahead_at: as for the scores: the keys of the next block.
    """

    @intrinsic
    def values(
        typingctx: Any,
        p: Any,
        first: Any,
        last: Any,
        values: Any,
        values_at: Any,
        width: Any,
        out: Any,
        out_at: Any,
        out_stride: Any,
        shrink: Any,
        ahead: Any,
        ahead_at: Any,
    ) -> Any:
        n = types.int64
        sig = types.void(p, n, n, values, n, n, out, n, n, shrink, ahead, n)

        def codegen(context: Any, b: Any, signature: Any, args: Any) -> Any:
            def data(position: int) -> Any:
                return context.make_array(signature.args[position])(context, b, args[position]).data

            e = _Emitter(b)
            first, last, values_at, width, out_at, out_stride = (args[i] for i in (1, 2, 4, 5, 7, 8))
            weights, values, out, shrink = data(0), data(3), data(6), data(9)
            at = [
                [b.add(b.add(out_at, b.mul(out_stride, _c(h))), _c(v * LANES)) for v in range(vectors)]
                for h in range(heads)
            ]
            start = []
            for h in range(heads):
                factor = e.splat(b.load(b.gep(shrink, [_c(h)])), _REAL)
                start.append([b.fmul(e.load(out, at[h][v], _REAL, 4), factor) for v in range(vectors)])
            before, body, done = b.block, b.append_basic_block("position"), b.append_basic_block("store")
            b.branch(body)
            b.position_at_end(body)
            t = b.phi(_I64)
            t.add_incoming(first, before)
            acc = [[b.phi(_REAL) for _ in range(vectors)] for _ in range(heads)]
            row = b.add(values_at, b.mul(t, width))
            value = [_bfloat16_vector(e, values, b.add(row, _c(v * LANES))) for v in range(vectors)]
            e.prefetch_row(data(10), b.add(args[11], b.mul(t, _c(PAGE))))
            following = b.add(t, _c(1))
            t.add_incoming(following, body)
            sums = []
            for h in range(heads):
                factor = e.splat(b.load(b.gep(weights, [b.add(t, _c(h * PAGE))])), _REAL)
                sums.append([e.fma(factor, value[v], acc[h][v]) for v in range(vectors)])
                for v in range(vectors):
                    acc[h][v].add_incoming(start[h][v], before)
                    acc[h][v].add_incoming(sums[h][v], body)
            b.cbranch(b.icmp_signed("<", following, last), body, done)
            b.position_at_end(done)
            for h in range(heads):
                for v in range(vectors):
                    e.store(sums[h][v], out, at[h][v])
            return context.get_dummy_value()

        return sig, codegen

    return values  # type: ignore[no-any-return]


@intrinsic
def int_of_float(typingctx: Any, value: Any) -> Any:
    """A float32 cut to int32; Numba's own conversion goes through 64 bits."""

    def codegen(context: Any, b: Any, signature: Any, args: Any) -> Any:
        return b.fptosi(args[0], _I32)

    return types.int32(types.float32), codegen


@intrinsic
def float_of_bits(typingctx: Any, bits: Any) -> Any:
    """The float32 whose bit pattern is the given int32/uint32."""

    def codegen(context: Any, b: Any, signature: Any, args: Any) -> Any:
        return b.bitcast(b.trunc(args[0], _I32) if args[0].type.width > 32 else args[0], _F32)

    return types.float32(bits), codegen


@intrinsic
def bits_of_float(typingctx: Any, value: Any) -> Any:
    """The bit pattern of a float32 as uint32."""

    def codegen(context: Any, b: Any, signature: Any, args: Any) -> Any:
        return b.bitcast(args[0], _I32)

    return types.uint32(types.float32), codegen


@intrinsic
def atomic_add(typingctx: Any, array: Any, index: Any, value: Any) -> Any:
    """array[index] += value, visible to all threads; returns the value before. ``array`` is int64."""

    def codegen(context: Any, b: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, b, args[0]).data
        return b.atomic_rmw("add", b.gep(data, [args[1]]), args[2], "acq_rel")

    return types.int64(array, types.int64, types.int64), codegen


@intrinsic
def atomic_load(typingctx: Any, array: Any, index: Any) -> Any:
    """array[index] of an int64 array as other threads last wrote it."""

    def codegen(context: Any, b: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, b, args[0]).data
        return b.load_atomic(b.gep(data, [args[1]]), "acquire", 8)

    return types.int64(array, types.int64), codegen


@intrinsic
def relax(typingctx: Any) -> Any:
    """Tell the processor that this is a spinning loop, which leaves its sibling hyperthread the execution units."""

    def codegen(context: Any, b: Any, signature: Any, args: Any) -> Any:
        if platform.machine().lower() in ("x86_64", "amd64"):
            nothing = ir.FunctionType(ir.VoidType(), [])
            b.call(cgutils.get_or_insert_function(b.module, nothing, "llvm.x86.sse2.pause"), [])
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def yield_thread(typingctx: Any) -> Any:
    """Let the operating system run something else: more threads may be ready than there are processors."""

    def codegen(context: Any, b: Any, signature: Any, args: Any) -> Any:
        if hasattr(os, "sched_yield"):
            b.call(cgutils.get_or_insert_function(b.module, ir.FunctionType(_I32, []), "sched_yield"), [])
        return context.get_dummy_value()

    return types.void(), codegen
