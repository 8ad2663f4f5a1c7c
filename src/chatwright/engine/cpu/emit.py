"""A thin layer over llvmlite's builder: the few vector operations that the CPU decoder is made of.

Numba's own loops promote ``int32 * int32`` to 64 bits and leave the integer dot product far from what the hardware
can do. What is emitted here is vector IR for any processor that LLVM knows: products of pairs become ``vpmaddwd`` on
AVX2 or ``smlal`` on Arm, and on processors with AVX512-VNNI one instruction by name. No compiler is needed at install.
"""

from typing import Any

from llvmlite import binding, ir
from numba.core import cgutils

LANES = 16  # of a vector: one row of a matrix, or one position of a context, in each

I8, I16, I32, I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
F16, F32 = ir.HalfType(), ir.FloatType()
SUM = ir.VectorType(I32, LANES)
REAL = ir.VectorType(F32, LANES)
PAIRS = ir.VectorType(I16, 2 * LANES)
WIDE = ir.VectorType(I32, 2 * LANES)
BYTES = ir.VectorType(I8, 2 * LANES)


def _host_has(feature: str) -> bool:
    try:
        return bool(binding.get_host_cpu_features().get(feature, False))
    except RuntimeError:  # LLVM does not know this processor
        return False


binding.initialize_native_asmparser()
_VNNI = _host_has("avx512vnni")


def constant(value: int) -> ir.Constant:
    """An int64 of the machine code."""
    return ir.Constant(I64, value)


class Emitter:
    """Emits the instructions of one tile; a thin layer over llvmlite's builder."""

    def __init__(self, builder: Any) -> None:
        self.b = builder
        real3 = ir.FunctionType(REAL, [REAL] * 3)
        self._fma = cgutils.get_or_insert_function(builder.module, real3, f"llvm.fma.v{LANES}f32")
        prefetch = ir.FunctionType(ir.VoidType(), [I8.as_pointer(), I32, I32, I32])
        self._prefetch = cgutils.get_or_insert_function(builder.module, prefetch, "llvm.prefetch.p0")

    def load(self, base: Any, offset: Any, kind: ir.Type, align: int) -> Any:
        """A value of type ``kind`` from ``offset`` elements after ``base``, aligned to ``align`` bytes."""
        value = self.b.load(self.b.bitcast(self.b.gep(base, [offset]), kind.as_pointer()))
        value.align = align
        return value

    def store(self, value: Any, base: Any, offset: Any) -> None:
        """Write a vector of four-byte values at ``offset`` elements after ``base``."""
        stored = self.b.store(value, self.b.bitcast(self.b.gep(base, [offset]), value.type.as_pointer()))
        stored.align = 4

    def splat(self, scalar: Any, kind: ir.VectorType) -> Any:
        """A vector that holds ``scalar`` in every lane."""
        empty = ir.Constant(kind, ir.Undefined)
        one = self.b.insert_element(empty, scalar, ir.Constant(I32, 0))
        return self.b.shuffle_vector(one, empty, ir.Constant(SUM, [0] * LANES))

    def fma(self, x: Any, y: Any, z: Any) -> Any:
        """x * y + z, rounded once."""
        return self.b.call(self._fma, [x, y, z])

    def real(self, integers: Any) -> Any:
        """Integers as float32."""
        return self.b.sitofp(integers, REAL)

    def prefetch(self, base: Any, offset: Any) -> None:
        """Ask for the cache line ``offset`` bytes after ``base``."""
        hint = [ir.Constant(I32, value) for value in (0, 3, 1)]  # read, keep in all caches, data
        self.b.call(self._prefetch, [self.b.gep(base, [offset]), *hint])

    def prefetch_row(self, base: Any, offset: Any) -> None:
        """Request the 64 two-byte numbers at ``offset``: two lines of 64 bytes."""
        start = self.b.bitcast(self.b.gep(base, [offset]), I8.as_pointer())
        for line in (0, 64):
            self.prefetch(start, constant(line))

    def multiply_add_pairs(self, acc: Any, weights: Any, x: Any) -> Any:
        """acc[lane] + w[2 lane] x[2 lane] + w[2 lane + 1] x[2 lane + 1], in the shape LLVM knows as one instruction."""
        if _VNNI:  # by name: left to itself, LLVM takes the instruction apart into two for a shorter latency
            kind = ir.FunctionType(SUM, [SUM, PAIRS, PAIRS])
            return self.b.asm(kind, "vpdpwssd $3, $2, $0", "=v,0,v,v", [acc, weights, x], False)
        b, undefined = self.b, ir.Constant(WIDE, ir.Undefined)
        product = b.mul(b.sext(weights, WIDE), b.sext(x, WIDE), flags=["nsw"])
        even = b.shuffle_vector(product, undefined, ir.Constant(SUM, list(range(0, 2 * LANES, 2))))
        odd = b.shuffle_vector(product, undefined, ir.Constant(SUM, list(range(1, 2 * LANES, 2))))
        return b.add(acc, b.add(even, odd, flags=["nsw"]))

    def pair(self, base: Any, index: Any) -> Any:
        """Two neighbouring int16 activations, repeated in every lane."""
        return self.b.bitcast(self.splat(self.load(base, index, I32, 2), SUM), PAIRS)

    def bfloat16(self, base: Any, offset: Any) -> Any:
        """Sixteen bfloat16 values from memory as float32."""
        b = self.b
        bits = b.load(b.bitcast(b.gep(base, [offset]), ir.VectorType(I16, LANES).as_pointer()))
        bits.align = 2
        wide = b.shl(b.zext(bits, SUM), ir.Constant(SUM, [16] * LANES))
        return b.bitcast(wide, REAL)
