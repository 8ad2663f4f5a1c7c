"""Single values and shared counters: what Numba lacks, in one instruction each."""

import os
import platform
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from chatwright.engine.cpu.emit import F32, I32


@intrinsic
def int_of_float(typingctx: Any, value: Any) -> Any:
    """A float32 cut to int32; Numba's own conversion goes through 64 bits."""

    def codegen(context: Any, b: Any, signature: Any, args: Any) -> Any:
        return b.fptosi(args[0], I32)

    return types.int32(types.float32), codegen


@intrinsic
def float_of_bits(typingctx: Any, bits: Any) -> Any:
    """The float32 whose bit pattern is the given int32/uint32."""

    def codegen(context: Any, b: Any, signature: Any, args: Any) -> Any:
        return b.bitcast(b.trunc(args[0], I32) if args[0].type.width > 32 else args[0], F32)

    return types.float32(bits), codegen


@intrinsic
def bits_of_float(typingctx: Any, value: Any) -> Any:
    """The bit pattern of a float32 as uint32."""

    def codegen(context: Any, b: Any, signature: Any, args: Any) -> Any:
        return b.bitcast(args[0], I32)

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
def atomic_store(typingctx: Any, array: Any, index: Any, value: Any) -> Any:
    """array[index] = value of an int64 array, visible to all threads with what was written before."""

    def codegen(context: Any, b: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, b, args[0]).data
        b.store_atomic(args[2], b.gep(data, [args[1]]), "release", 8)
        return context.get_dummy_value()

    return types.void(array, types.int64, types.int64), codegen


@intrinsic
def atomic_exchange_if(typingctx: Any, array: Any, index: Any, old: Any, new: Any) -> Any:
    """Set array[index] of an int64 array to ``new`` if it is ``old``; whether it was."""

    def codegen(context: Any, b: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, b, args[0]).data
        found = b.cmpxchg(b.gep(data, [args[1]]), args[2], args[3], "acq_rel", "acquire")
        return b.extract_value(found, 1)

    return types.boolean(array, types.int64, types.int64, types.int64), codegen


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
            b.call(cgutils.get_or_insert_function(b.module, ir.FunctionType(I32, []), "sched_yield"), [])
        return context.get_dummy_value()

    return types.void(), codegen
