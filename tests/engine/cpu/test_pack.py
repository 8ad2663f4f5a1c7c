"""Packed weights against a plain reading of the layout."""

import gguf
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatwright.engine.cpu.emit import LANES
from chatwright.engine.cpu.pack import Packed, interleave_rows, pack, pad
from chatwright.engine.cpu.tiles import GROUP, INT4, INT8
from chatwright.errors import UnsupportedModelError
from tests.engine.cpu.dequantise import dequantised


def random(rows: int, columns: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, columns)).astype(np.float32)


def on_grid(rows: int, columns: int, seed: int = 0) -> np.ndarray:
    """What a 4-bit file of blocks with a step and a minimum holds: both float16, and 0 and 15 among the levels."""
    generator = np.random.default_rng(seed)
    levels = generator.integers(0, 16, (rows, columns // GROUP, GROUP))
    levels[..., 3], levels[..., 20] = 0, 15
    shape = (rows, columns // GROUP, 1)
    step = generator.uniform(1e-3, 0.1, shape).astype(np.float16).astype(np.float32)
    minimum = generator.normal(size=shape).astype(np.float16).astype(np.float32)
    return (levels.astype(np.float32) * step + minimum).reshape(rows, columns)


def read_back(matrix: np.ndarray) -> tuple[int, np.ndarray]:
    bits, data = pack(matrix)
    packed = Packed(bits, 0, matrix.shape[0], matrix.shape[1] // GROUP)
    assert data.size == packed.size_bytes
    return bits, dequantised(data, packed)


@settings(max_examples=20, deadline=None)
@given(
    blocks=st.integers(1, 3), groups=st.integers(1, 4), seed=st.integers(0, 999), size=st.sampled_from([1e-3, 1, 1e5])
)
def test_eight_bits_are_within_half_a_step(blocks: int, groups: int, seed: int, size: float) -> None:
    matrix = random(blocks * 32, groups * GROUP, seed) * np.float32(size)
    bits, back = read_back(matrix)
    assert bits == INT8
    grouped = matrix.reshape(matrix.shape[0], -1, GROUP)
    half = np.abs(grouped).max(axis=-1, keepdims=True) / 127 / 2
    # The step is a float16: the largest weight of a group may be off by its rounding, 127 times.
    assert (np.abs(back.reshape(grouped.shape) - grouped) <= half * 1.001 + 2 * half * 127 / 2048).all()


def test_weights_of_an_eight_bit_file_are_kept_exactly() -> None:
    """Q8_0 has a float16 step per group of 32 and its largest weight at 127 steps."""
    generator = np.random.default_rng(0)
    levels = generator.integers(-127, 128, (32, 4, GROUP))
    levels[..., 7] = 127
    step = generator.uniform(1e-4, 1e-2, (32, 4, 1)).astype(np.float16).astype(np.float32)
    matrix = (levels * step).astype(np.float32).reshape(32, -1)
    bits, back = read_back(matrix)
    assert bits == INT8
    assert np.array_equal(back, matrix)


def test_weights_too_small_for_the_step_are_off_by_less_than_anybody_could_notice() -> None:
    matrix = random(32, 64) * np.float32(1e-6)
    assert np.abs(read_back(matrix)[1] - matrix).max() < 4e-6


@settings(max_examples=20, deadline=None)
@given(blocks=st.integers(1, 3), groups=st.integers(1, 4), seed=st.integers(0, 999))
def test_weights_of_a_four_bit_file_are_kept_exactly(blocks: int, groups: int, seed: int) -> None:
    matrix = on_grid(blocks * 32, groups * GROUP, seed)
    bits, back = read_back(matrix)
    assert bits == INT4
    assert np.abs(back - matrix).max() < 1e-6  # of one multiplication and one addition in float32


@pytest.mark.parametrize("row", [0, 31, 32, 63])
def test_one_weight_beside_the_grid_takes_the_whole_matrix_to_eight_bits(row: int) -> None:
    matrix = on_grid(64, 64)
    matrix[row, 40] += 0.3 * (matrix[row, 35] - matrix[row, 52]) / 15  # 35 and 52 are levels 0 and 15 of that group
    assert read_back(matrix)[0] == INT8


def test_seventeen_levels_are_no_four_bits() -> None:
    matrix = np.tile(np.arange(32, dtype=np.float32) % 17, (32, 1))
    assert read_back(matrix)[0] == INT8


def test_zeros_constants_and_extremes() -> None:
    assert read_back(np.zeros((32, 64), np.float32))[1].max() == 0
    constant = np.full((32, 32), 0.5, np.float32)
    assert np.array_equal(read_back(constant)[1], constant)
    beyond_float16 = np.where(on_grid(32, 32) > 0, np.float32(1e6), np.float32(0))
    bits, back = read_back(beyond_float16)
    assert bits == INT8
    assert np.allclose(back, beyond_float16, rtol=5e-4)
    mixed = random(32, 32)
    mixed[5] = 0  # a row without a scale beside rows that have one
    assert np.array_equal(read_back(mixed)[1][5], mixed[5])


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e8])
def test_weights_that_no_step_can_express_are_refused(value: float) -> None:
    matrix = random(32, 32)
    matrix[3, 5] = value
    with pytest.raises(UnsupportedModelError, match="float32"):
        pack(matrix)


@pytest.mark.parametrize("shape", [(1, 1), (31, 33), (32, 32), (50, 70), (96, 24)])
def test_padding_is_zeros_to_the_right_and_below(shape: tuple[int, int]) -> None:
    matrix = random(*shape)
    padded = pad(matrix)
    assert padded.shape == (-(-shape[0] // 32) * 32, -(-shape[1] // 32) * 32)
    assert padded.flags.c_contiguous
    assert np.array_equal(padded[: shape[0], : shape[1]], matrix)
    assert np.abs(padded).sum() == pytest.approx(np.abs(matrix).sum(), rel=1e-5)
    back = read_back(padded)[1]
    assert not back[shape[0] :].any()
    assert not back[:, shape[1] :].any()


def test_a_tile_of_interleaved_matrices_holds_a_gate_and_its_value() -> None:
    gate, up = random(64, 32, 1), random(64, 32, 2)
    tiles = interleave_rows([gate, up]).reshape(4, 2, LANES, 32)
    assert np.array_equal(tiles[:, 0].reshape(64, 32), gate)
    assert np.array_equal(tiles[:, 1].reshape(64, 32), up)


@pytest.mark.parametrize("name", ["Q4_0", "Q4_1"])
def test_four_bit_files_are_recognised_by_their_numbers(name: str) -> None:
    """Q4_1 is the embedded model's format; in Q4_0 the steps are negative as often as positive."""
    kind = gguf.GGMLQuantizationType[name]
    matrix = gguf.quants.dequantize(gguf.quants.quantize(random(64, 96), kind), kind)
    bits, back = read_back(np.ascontiguousarray(matrix, np.float32))
    assert bits == INT4
    assert np.abs(back - matrix).max() < 1e-6


def test_a_group_of_zeros_and_a_single_weight_stay_four_bits() -> None:
    kind = gguf.GGMLQuantizationType.Q4_0
    matrix = random(32, 96)
    matrix[:, :32] = 0
    matrix[3, 5] = -2
    matrix = gguf.quants.dequantize(gguf.quants.quantize(matrix, kind), kind)
    bits, back = read_back(np.ascontiguousarray(matrix, np.float32))
    assert bits == INT4
    assert np.abs(back - matrix).max() < 1e-6
