"""Quantises matrices into the layout that the CPU decoder streams (see ``tiles`` for the layout itself).

A matrix becomes int8 with one scale per row and group of 32 columns, unless every one of its groups already lies on 16
evenly spaced values: then it came from a 4-bit file (Q4_1, as the embedded default, or Q4_0), and four bits hold it
*exactly*, in half the memory traffic. The test looks at the numbers, not at where they came from. Weights of an 8-bit
GGUF are kept exactly as well, since its groups are ours. (With one scale per whole row, the output head alone cost the
embedded model 0.0009 nats, as much as bfloat16 costs it in all.)
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from chatwright.engine.cpu.emit import LANES
from chatwright.engine.cpu.tiles import GROUP, INT4, INT8
from chatwright.errors import UnsupportedModelError

ROWS = 2 * LANES  # a tile takes two row blocks
_EXACT = 1e-3  # largest error, in steps, that still counts as exact; a foreign weight is off by up to half a step

Array = npt.NDArray[np.float32]
_Levels = tuple[npt.NDArray[np.float16], npt.NDArray[np.float16], npt.NDArray[np.uint8]]  # steps, minima, levels


@dataclass(frozen=True, slots=True)
class Packed:
    """Where a packed matrix lies and how to read it.

    Attributes:
        bits: INT8 or INT4.
        offset: first byte in the buffer.
        rows: rows including padding, a multiple of 32.
        groups: groups of 32 columns, padding included.
    """

    bits: int
    offset: int
    rows: int
    groups: int

    @property
    def block_bytes(self) -> int:
        """Bytes of one block of 16 rows."""
        return block_bytes(self.bits, self.groups)

    @property
    def size_bytes(self) -> int:
        """Bytes of the whole matrix."""
        return self.rows // LANES * self.block_bytes


def block_bytes(bits: int, groups: int) -> int:
    """Bytes of a block of 16 rows and ``groups`` groups of 32 columns."""
    if bits == INT8:
        return groups * (GROUP * LANES + 2 * LANES)
    return groups * (GROUP * LANES // 2 + 4 * LANES)


def pad(matrix: Array) -> Array:
    """The matrix with zero rows and columns up to multiples of 32."""
    rows, columns = matrix.shape
    extra = (-rows % ROWS, -columns % GROUP)
    return np.pad(matrix, ((0, extra[0]), (0, extra[1]))) if any(extra) else np.ascontiguousarray(matrix)


def pack(matrix: Array) -> tuple[int, npt.NDArray[np.uint8]]:
    """Quantise one padded matrix.

    Args:
        matrix: float32 [rows, columns], both multiples of 32.
    Returns:
        The format (INT4 where that is exact, else INT8) and the bytes, flat.
    Raises:
        UnsupportedModelError: weights that are not finite, or far too large.
    """
    exact = _pack_int4(matrix)
    return (INT4, exact) if exact is not None else (INT8, _pack_int8(matrix))


def _pack_int8(matrix: Array) -> npt.NDArray[np.uint8]:
    rows, columns = matrix.shape
    groups = matrix.reshape(rows, columns // GROUP, GROUP)
    with np.errstate(over="ignore"):
        step = (np.abs(groups).max(axis=-1) / 127).astype(np.float16)
    if not np.isfinite(step).all():
        raise UnsupportedModelError(
            "the model has weights that are not finite or beyond 8 million, which 8 bits cannot express; "
            "use dtype float32, or another model if its answers are nonsense there too"
        )
    spread = step.astype(np.float32)[..., None]
    levels = np.rint(groups / np.where(spread > 0, spread, np.inf)).clip(-127, 127).astype(np.int8)
    blocks, count = rows // LANES, columns // GROUP
    # [block, lane, group, pair, 2] -> [block, group, pair, lane, 2]
    interleaved = levels.reshape(blocks, LANES, count, GROUP // 2, 2).transpose(0, 2, 3, 1, 4)
    packed = np.empty((blocks, count, GROUP * LANES + 2 * LANES), np.uint8)
    packed[:, :, : GROUP * LANES] = np.ascontiguousarray(interleaved).view(np.uint8).reshape(blocks, count, -1)
    packed[:, :, GROUP * LANES :] = _lanes(step, blocks, count)
    return packed.reshape(-1)


def _lanes(values: npt.NDArray[np.float16], blocks: int, count: int) -> npt.NDArray[np.uint8]:
    """One number per row and group as bytes [block, group, 2 * LANES]."""
    lanes = np.ascontiguousarray(values.reshape(blocks, LANES, count).transpose(0, 2, 1))
    return lanes.view(np.uint8).reshape(blocks, count, 2 * LANES)


def _pack_int4(matrix: Array) -> npt.NDArray[np.uint8] | None:
    """Four bits per weight, or None where that would lose anything."""
    rows, columns = matrix.shape
    if not _on_grid(matrix[: min(rows, ROWS)]):  # a look at a few rows spares most matrices the full test
        return None
    groups = matrix.reshape(rows, columns // GROUP, GROUP)
    fitted = _grid(groups)
    if fitted is None:
        return None
    step, minimum, nibbles = fitted
    blocks, count = rows // LANES, columns // GROUP
    # [block, lane, group, half, pair, 2] -> [block, group, pair, lane, 2], the two halves of a group sharing bytes
    split = nibbles.reshape(blocks, LANES, count, 2, GROUP // 4, 2).transpose(0, 2, 3, 4, 1, 5)
    packed = np.empty((blocks, count, GROUP * LANES // 2 + 4 * LANES), np.uint8)
    packed[:, :, : GROUP * LANES // 2] = (split[:, :, 0] | (split[:, :, 1] << 4)).reshape(blocks, count, -1)
    for at, values in ((GROUP * LANES // 2, step), (GROUP * LANES // 2 + 2 * LANES, minimum)):
        packed[:, :, at : at + 2 * LANES] = _lanes(values, blocks, count)
    return packed.reshape(-1)


def _on_grid(matrix: Array) -> bool:
    return _grid(matrix.reshape(matrix.shape[0], -1, GROUP)) is not None


def _grid(groups: Array) -> _Levels | None:
    """Step, minimum and level of every weight where each group lies on at most 16 even levels, else None."""
    low, high = groups.min(axis=-1), groups.max(axis=-1)
    if max(np.abs(low).max(), np.abs(high).max()) > np.finfo(np.float16).max:
        return None
    # Q4_1 uses its lowest and its highest level; Q4_0 has its weight of largest magnitude, of either sign, at level 0
    # of 16 around zero, and may leave the other end unused.
    extreme = np.where(high > -low, high, low)
    spread = _levels(groups, low, (high - low) / 15)
    return spread if spread is not None else _levels(groups, extreme, -extreme / 8)


def _levels(groups: Array, minimum: Array, step: Array) -> _Levels | None:
    """The levels of all weights over ``minimum`` [..., groups] in units of ``step``; None where one is off by much."""
    minimum_16, step_16 = minimum.astype(np.float16), step.astype(np.float16)
    unit = step_16.astype(np.float32)[..., None]
    position = (groups - minimum_16.astype(np.float32)[..., None]) / np.where(unit != 0, unit, 1)
    level = np.rint(position)
    if not (np.abs(position - level).max() <= _EXACT and level.max() <= 15 and level.min() >= 0):
        return None
    return step_16, minimum_16, level.astype(np.uint8)


def interleave_rows(matrices: Sequence[Array]) -> Array:
    """Rows of equally tall matrices alternating in blocks of 16, so that one tile holds a gate and its value."""
    rows, columns = matrices[0].shape
    blocks = [matrix.reshape(rows // LANES, LANES, columns) for matrix in matrices]
    return np.stack(blocks, axis=1).reshape(-1, columns)
