"""The packed layout of the CPU runner read back in plain NumPy, and a model made of what it reads."""

import copy

import numpy as np
import torch
from torch import Tensor

from chatwright.engine.cpu.emit import LANES
from chatwright.engine.cpu.pack import Packed
from chatwright.engine.cpu.state import DOWN, HEAD, OUTPUT, QKV, UP, Weights
from chatwright.engine.cpu.tiles import GROUP, INT8
from chatwright.model.attention import DenseAttend
from chatwright.model.gpt import GPT


def dequantised(data: np.ndarray, packed: Packed) -> np.ndarray:
    """The matrix [rows, 32 * groups] in float32 that packed bytes stand for."""
    blocks = data[packed.offset : packed.offset + packed.size_bytes].reshape(-1, packed.block_bytes)
    return np.concatenate([_block(block, packed.bits, packed.groups) for block in blocks])


def _block(block: np.ndarray, bits: int, groups: int) -> np.ndarray:
    matrix = np.zeros((LANES, groups * GROUP), np.float32)
    if bits == INT8:
        for g, group in enumerate(block.reshape(groups, -1)):
            levels = group[: GROUP * LANES].view(np.int8).reshape(GROUP // 2, LANES, 2)  # [pair, row, 2]
            step = group[GROUP * LANES :].view(np.float16).astype(np.float32)[:, None]
            matrix[:, g * GROUP : (g + 1) * GROUP] = levels.transpose(1, 0, 2).reshape(LANES, GROUP) * step
        return matrix
    half = GROUP // 2
    for g, group in enumerate(block.reshape(groups, -1)):
        nibbles = group[: half * LANES].reshape(half // 2, LANES, 2)  # [pair, row, 2]
        step, minimum = group[half * LANES :].view(np.float16).astype(np.float32).reshape(2, LANES, 1)
        for first, levels in ((0, nibbles & 15), (half, nibbles >> 4)):
            at = g * GROUP + first
            matrix[:, at : at + half] = levels.transpose(1, 0, 2).reshape(LANES, half) * step + minimum
    return matrix


def _matrix(weights: Weights, layer: int, slot: int) -> np.ndarray:
    bits, offset, rows, groups = (int(value) for value in weights.matrices[layer, slot])
    return dequantised(weights.data, Packed(bits, offset, rows, groups))


@torch.no_grad()
def model_of(weights: Weights, model: GPT) -> GPT:
    """A copy of ``model`` in float32 whose matrices are the packed ones; its embedding table stays as it is."""
    result, config = copy.deepcopy(model).float(), model.config
    for index, layer in enumerate(result.layers):
        attention, mlp = layer.attn, layer.mlp
        qkv = _matrix(weights, index, QKV)
        start = 0
        for projection in (attention.q_proj, attention.k_proj, attention.v_proj):
            _fill(projection.weight, qkv[start:])
            start += projection.weight.shape[0]
        _fill(attention.o_proj.weight, _matrix(weights, index, OUTPUT))
        up = _matrix(weights, index, UP)
        if config.gated:
            pairs = up.reshape(-1, 2, LANES, up.shape[1])
            _fill(mlp.gate_proj.weight, pairs[:, 0].reshape(-1, up.shape[1]))
            _fill(mlp.up_proj.weight, pairs[:, 1].reshape(-1, up.shape[1]))
        else:
            _fill(mlp.up_proj.weight, up)
        _fill(mlp.down_proj.weight, _matrix(weights, index, DOWN))
    if result.head is None:  # a tied head is quantised, but the embedding that it is tied to is not
        result.head = torch.nn.Linear(config.hidden_size, config.vocab_size, bias=False)
    _fill(result.head.weight, _matrix(weights, config.num_layers, HEAD))
    return result.eval()


def _fill(parameter: Tensor, values: np.ndarray) -> None:
    rows, columns = parameter.shape
    parameter.copy_(torch.from_numpy(values[:rows, :columns]))


class RoundedAttend(DenseAttend):
    """Dense attention over keys and values rounded to bfloat16, as the cache holds them."""

    def __init__(self) -> None:
        super().__init__(causal=True)

    def __call__(
        self, layer: int, q_BHTD: Tensor, k_BHTD: Tensor, v_BHTD: Tensor, *, scale: float, window: int | None
    ) -> Tensor:
        rounded = (x.bfloat16().to(q_BHTD.dtype) for x in (k_BHTD, v_BHTD))
        return super().__call__(layer, q_BHTD, *rounded, scale=scale, window=window)
