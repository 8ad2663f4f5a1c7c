"""The parts of the compiled step, each against a few lines of NumPy in float64."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from chatwright.engine.cpu.attention import attend_all, merge_splits
from chatwright.engine.cpu.attention_tiles import HEADS, PAGE
from chatwright.engine.cpu.emit import LANES
from chatwright.engine.cpu.math import ACTIVATIONS, activate_all, bfloat16, exp
from chatwright.engine.cpu.matmul import multiply, quantise
from chatwright.engine.cpu.pack import Packed, pack
from chatwright.engine.cpu.state import MAX_SPLITS, NUM_VECTORS, Batch, Cache, Shape, Weights
from chatwright.engine.cpu.tiles import GROUP, INT4, INT8
from tests.engine.cpu.dequantise import dequantised

UNLIMITED = 1 << 60


def quantised(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Columns as the kernel wants them: int16 [N, K], scales and sums [N, groups]."""
    count, width = values.shape
    q = np.empty((count, width), np.int16)
    scale, total = (np.empty((count, width // GROUP), np.float32) for _ in range(2))
    for c in range(count):
        quantise(values[c], q[c], scale[c], total[c])
    return q, scale, total


def matrix(rows: int, columns: int, bits: int) -> tuple[np.ndarray, Packed]:
    generator = np.random.default_rng(rows + columns)
    if bits == INT8:
        values = generator.normal(size=(rows, columns))
    else:
        levels = generator.integers(0, 16, (rows, columns // GROUP, GROUP))
        levels[..., 0], levels[..., 1] = 0, 15
        values = (levels / 16 - 0.5).reshape(rows, columns)
    found, data = pack(values.astype(np.float32))
    assert found == bits
    return data, Packed(bits, 0, rows, columns // GROUP)


def test_quantised_columns_keep_their_values() -> None:
    values = np.random.default_rng(0).normal(size=(1, 128)).astype(np.float32)
    values[0, 32:64] *= 1e-6
    values[0, 64:96] = 0
    q, scale, total = quantised(values)
    back = q.reshape(4, GROUP) * scale[0][:, None]
    largest = np.abs(values).reshape(4, GROUP).max(axis=1, keepdims=True)
    assert (np.abs(back - values.reshape(4, GROUP)) <= largest / 65_000).all()
    assert np.allclose(total[0], back.sum(axis=1), atol=1e-6)
    assert np.abs(q).max() == 32767


@pytest.mark.parametrize("bits", [INT8, INT4])
@pytest.mark.parametrize("count", range(1, 10))
def test_tiles_multiply_any_number_of_columns(bits: int, count: int) -> None:
    data, packed = matrix(64, 160, bits)
    values = np.random.default_rng(count).normal(size=(count, 160)).astype(np.float32)
    q, scale, total = quantised(values)
    out = np.full((count, 70), np.nan, np.float32)
    for tile in range(2):
        at, to = tile * 2 * packed.block_bytes, tile * 2 * LANES
        multiply(data, bits, at, packed.block_bytes, q, scale, total, 0, count, out.reshape(-1), to, 70)
    activations = q.reshape(count, -1, GROUP).astype(np.float64) * scale[..., None]
    expected = activations.reshape(count, -1) @ dequantised(data, packed).astype(np.float64).T
    assert np.abs(out[:, :64] - expected).max() < 1e-5 * np.abs(expected).max()
    assert np.isnan(out[:, 64:]).all()  # nothing is written beside the rows


@pytest.mark.parametrize("bits", [INT8, INT4])
def test_a_column_multiplied_alone_is_the_same_to_the_last_bit(bits: int) -> None:
    data, packed = matrix(32, 96, bits)
    q, scale, total = quantised(np.random.default_rng(1).normal(size=(9, 96)).astype(np.float32))
    together, alone = (np.empty((9, 32), np.float32) for _ in range(2))
    arguments = (data, bits, 0, packed.block_bytes, q, scale, total)
    multiply(*arguments, 0, 9, together.reshape(-1), 0, 32)
    for c in range(9):
        multiply(*arguments, c, 1, alone.reshape(-1), c * 32, 32)
    assert np.array_equal(together, alone)


@pytest.mark.parametrize("bits", [INT8, INT4])
def test_integer_sums_do_not_overflow_at_their_largest(bits: int) -> None:
    """Every weight and every activation at the end of its range, all of one sign."""
    weights = np.where(np.arange(4096) % 2, 0.875, -1)[None].repeat(32, axis=0).astype(np.float32)
    if bits == INT8:
        weights[:, 0] = 0.3  # off the grid of 16 levels
    found, data = pack(weights)
    assert found == bits
    packed = Packed(bits, 0, 32, 4096 // GROUP)
    q, scale, total = quantised(np.sign(weights[:1]) * np.float32(1000))
    out = np.empty(32, np.float32)
    multiply(data, bits, 0, packed.block_bytes, q, scale, total, 0, 1, out, 0, 32)
    assert out == pytest.approx(np.full(32, 1000.0 * np.abs(weights[0]).sum()), rel=1e-3)


def attend(
    q_HD: np.ndarray,
    keys_SGD: np.ndarray,
    values_SGD: np.ndarray,
    *,
    window: int = UNLIMITED,
) -> np.ndarray:
    """What the kernel makes of one query at the last position; keys and values lie in pages in any order."""
    length, kv_heads, size = keys_SGD.shape
    heads, padded = len(q_HD), -(-size // LANES) * LANES
    pages = -(-length // PAGE)
    table = np.random.default_rng(length).permutation(pages + 2)[:pages].astype(np.int32)
    nan = 0x7FC0  # in bfloat16: what another sequence may have left behind
    cache = Cache(
        keys=np.full((1, pages + 2, kv_heads, padded, PAGE), nan, np.uint16),
        values=np.full((1, pages + 2, kv_heads, PAGE, padded), nan, np.uint16),
    )
    for position in range(length):
        block, slot = table[position // PAGE], position % PAGE
        cache.keys[0, block, :, :size, slot] = bits_of(keys_SGD[position])
        cache.values[0, block, :, slot, :size] = bits_of(values_SGD[position])
        cache.values[0, block, :, slot, size:] = 0
    shape = Shape(1, 1, heads, kv_heads, size, 1, 1, 0, False, False, False, 1e-5, 1.0)
    weights = Weights(
        data=np.zeros(1, np.uint8),
        matrices=np.zeros((2, 4, 4), np.int64),
        vectors=np.zeros(1, np.float32),
        vector_at=np.zeros((2, NUM_VECTORS), np.int64),
        window=np.array([window]),
        table=np.zeros(1, np.int64),
    )
    batch = Batch(
        x=np.zeros((1, 1), np.float32),
        positions=np.array([length - 1]),
        blocks=table[None],
        cos=np.zeros((1, 1, 0), np.float32),
        sin=np.zeros((1, 1, 0), np.float32),
        wanted=np.zeros(0, np.int64),
        logits=np.zeros((0, 32), np.float32),
    )
    partial = np.full((1, heads, MAX_SPLITS, padded + 2), np.nan, np.float32)
    out = np.full(-(-heads * size // GROUP) * GROUP, np.nan, np.float32)
    scores = np.empty(HEADS * (PAGE + 1), np.float32)
    row = np.ascontiguousarray(q_HD, np.float32).reshape(1, -1)
    for thread in range(2):
        attend_all(0, 1, shape, weights, cache, batch, partial, row, scores, thread, 2)
    merge_splits(0, 0, shape, weights, batch, partial, out)
    assert not out[heads * size :].any()
    return out[: heads * size].reshape(heads, size)


def bits_of(values: np.ndarray) -> np.ndarray:
    return (values.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)


def softmax_attention(q_HD: np.ndarray, keys: np.ndarray, values: np.ndarray, window: int) -> np.ndarray:
    group = len(q_HD) // keys.shape[1]
    keys, values = (x[-window:].repeat(group, axis=1).astype(np.float64) for x in (keys, values))
    scores = np.einsum("hd,shd->hs", q_HD, keys)
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.einsum("hs,shd->hd", weights / weights.sum(axis=1, keepdims=True), values)


def check_attention(length: int, kv_heads: int, group: int, size: int, window: int = UNLIMITED) -> None:
    generator = np.random.default_rng(length * size + group)
    q_HD = generator.normal(size=(kv_heads * group, size)).astype(np.float32)
    keys, values = (
        (bits_of(generator.normal(size=(length, kv_heads, size))).astype(np.uint32) << 16).view(np.float32)
        for _ in range(2)
    )
    result = attend(q_HD, keys, values, window=window)
    expected = softmax_attention(q_HD, keys, values, min(window, length))
    assert np.abs(result - expected).max() < 2e-5


@pytest.mark.parametrize("size", [7, 8, 16, 24, 64, 80, 96, 128, 200])
@pytest.mark.parametrize("group", [1, 2, 3, 4, 5, 8])
def test_attention_is_softmax_for_every_width_and_grouping(size: int, group: int) -> None:
    check_attention(100, 2, group, size)


@pytest.mark.parametrize("length", [1, 2, 63, 64, 65, 127, 128, 129, 255, 256, 257, 400, 2200])
@pytest.mark.parametrize("window", [UNLIMITED, 1, 64, 100, 300])
def test_attention_over_pages_splits_and_windows(length: int, window: int) -> None:
    """From 256 visible positions on, the context is divided; beyond 16 * 128 the parts grow."""
    check_attention(length, 1, 3, 24, window)


def test_a_large_score_does_not_overflow() -> None:
    keys, values = np.ones((70, 1, 8), np.float32), np.ones((70, 1, 8), np.float32)
    keys[66] = 64
    values[66] = 3
    assert attend(np.full((1, 8), 64, np.float32), keys, values) == pytest.approx(np.full((1, 8), 3.0))


def test_exp_over_its_range() -> None:
    x = np.concatenate([np.linspace(-87, 88, 5001), np.linspace(-1, 1, 501)]).astype(np.float32)
    result = np.array([exp(value) for value in x])
    assert np.abs(result / np.exp(x.astype(np.float64)) - 1).max() < 4e-7
    assert exp(np.float32(-1e30)) < 1e-37
    assert np.isfinite(exp(np.float32(1e30)))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_are_pytorchs(name: str) -> None:
    functions: dict[str, Any] = {
        "gelu": F.gelu,
        "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
        "relu": F.relu,
        "silu": F.silu,
        "swiglu": F.silu,
        "geglu": lambda x: F.gelu(x, approximate="tanh"),
    }
    x = np.concatenate([np.linspace(-12, 12, 1001), [-1e4, 1e4, 0]]).astype(np.float32)
    expected = functions[name](torch.from_numpy(x).double()).numpy()
    activate_all(x, ACTIVATIONS[name])
    assert np.allclose(x, expected, rtol=1e-6, atol=4e-6)


def test_bfloat16_rounds_as_pytorch_does() -> None:
    x = np.random.default_rng(0).normal(size=500).astype(np.float32)
    x[:4] = [1 + 2**-8, 1 + 3 * 2**-8, 3.3895e38, 0]  # ties, overflow, zero
    expected = torch.from_numpy(x).bfloat16().view(torch.int16).numpy().view(np.uint16)
    assert [bfloat16(value) for value in x] == expected.tolist()
