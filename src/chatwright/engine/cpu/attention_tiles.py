"""Attention over one page of the key/value cache: scores of queries, and the values they weigh.

Keys lie transposed, a register holding 16 neighbouring positions, and values as they are, a register holding 16
features: neither needs a sum across lanes. What is read next is fetched meanwhile; without that, a context of 500
tokens cost a millisecond per token in waiting.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from chatwright.engine.cpu.emit import F32, I32, I64, LANES, REAL, SUM, Emitter, constant

PAGE = 64  # positions in a block of key/value memory: what one call of the attention tiles looks at
HEADS = 4  # query heads that one call serves at most


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

            e, vectors = Emitter(b), PAGE // LANES
            q_at, q_stride, width, keys_at, first, last = (args[i] for i in (1, 2, 3, 5, 6, 7))
            queries = [b.gep(data(0), [b.add(q_at, b.mul(q_stride, constant(h)))]) for h in range(heads)]
            keys, out = data(4), data(8)
            before, body, done = b.block, b.append_basic_block("feature"), b.append_basic_block("mask")
            b.branch(body)
            b.position_at_end(body)
            i = b.phi(I64)
            i.add_incoming(constant(0), before)
            acc = [[b.phi(REAL) for _ in range(vectors)] for _ in range(heads)]
            row = b.add(keys_at, b.mul(i, constant(PAGE)))
            key = [e.bfloat16(keys, b.add(row, constant(v * LANES))) for v in range(vectors)]
            e.prefetch_row(data(9), b.add(args[10], b.mul(i, constant(PAGE))))
            following = b.add(i, constant(1))
            i.add_incoming(following, body)
            sums = []
            for h in range(heads):
                factor = e.splat(b.load(b.gep(queries[h], [i])), REAL)
                sums.append([e.fma(factor, key[v], acc[h][v]) for v in range(vectors)])
                for v in range(vectors):
                    acc[h][v].add_incoming(ir.Constant(REAL, [0.0] * LANES), before)
                    acc[h][v].add_incoming(sums[h][v], body)
            b.cbranch(b.icmp_signed("<", following, width), body, done)
            b.position_at_end(done)
            low, high = (e.splat(b.trunc(bound, I32), SUM) for bound in (first, last))
            largest_of = cgutils.get_or_insert_function(
                b.module, ir.FunctionType(F32, [REAL]), f"llvm.vector.reduce.fmax.v{LANES}f32"
            )
            nothing = ir.Constant(REAL, [-1e30] * LANES)
            for h in range(heads):
                largest = nothing
                for v in range(vectors):
                    lane = ir.Constant(SUM, list(range(v * LANES, (v + 1) * LANES)))
                    counts = b.and_(b.icmp_signed(">=", lane, low), b.icmp_signed("<", lane, high))
                    masked = b.select(counts, sums[h][v], nothing)
                    e.store(masked, out, constant(h * PAGE + v * LANES))
                    largest = b.select(b.fcmp_ordered(">", masked, largest), masked, largest)
                peak = b.call(largest_of, [largest], fastmath=("nnan", "nsz"))
                b.store(peak, b.gep(out, [constant(heads * PAGE + h)]))
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

            e = Emitter(b)
            first, last, values_at, width, out_at, out_stride = (args[i] for i in (1, 2, 4, 5, 7, 8))
            weights, values, out, shrink = data(0), data(3), data(6), data(9)
            at = [
                [b.add(b.add(out_at, b.mul(out_stride, constant(h))), constant(v * LANES)) for v in range(vectors)]
                for h in range(heads)
            ]
            start = []
            for h in range(heads):
                factor = e.splat(b.load(b.gep(shrink, [constant(h)])), REAL)
                start.append([b.fmul(e.load(out, at[h][v], REAL, 4), factor) for v in range(vectors)])
            before, body, done = b.block, b.append_basic_block("position"), b.append_basic_block("store")
            b.branch(body)
            b.position_at_end(body)
            t = b.phi(I64)
            t.add_incoming(first, before)
            acc = [[b.phi(REAL) for _ in range(vectors)] for _ in range(heads)]
            row = b.add(values_at, b.mul(t, width))
            value = [e.bfloat16(values, b.add(row, constant(v * LANES))) for v in range(vectors)]
            e.prefetch_row(data(10), b.add(args[11], b.mul(t, constant(PAGE))))
            following = b.add(t, constant(1))
            t.add_incoming(following, body)
            sums = []
            for h in range(heads):
                factor = e.splat(b.load(b.gep(weights, [b.add(t, constant(h * PAGE))])), REAL)
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
