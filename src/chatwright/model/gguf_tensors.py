"""GGUF tensors ↔ our weights: names, llama's permuted rows, fused matrices, Gemma's shifted norms.

Shape legend: C hidden width, I inner width, E experts.
"""

import re
from collections.abc import Container, Mapping
from dataclasses import dataclass

import numpy as np

from chatwright.errors import ModelFormatError, UnsupportedModelError
from chatwright.model.config import ModelConfig
from chatwright.model.gguf_file import GGUFFile

# Our module → theirs. Weights and biases keep their last part.
TOP = {"embed": "token_embd", "position_embed": "position_embd", "norm": "output_norm", "head": "output"}
PARTS = {
    "attn_norm": "attn_norm",
    "attn.q_proj": "attn_q",
    "attn.k_proj": "attn_k",
    "attn.v_proj": "attn_v",
    "attn.o_proj": "attn_output",
    "attn.q_norm": "attn_q_norm",
    "attn.k_norm": "attn_k_norm",
    "attn_post_norm": "post_attention_norm",
    "mlp_norm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "mlp_post_norm": "post_ffw_norm",
    "mlp.router": "ffn_gate_inp",
}
GATE_EXPERTS, UP_EXPERTS, DOWN_EXPERTS = "ffn_gate_exps.weight", "ffn_up_exps.weight", "ffn_down_exps.weight"
GATE_UP_EXPERTS = "ffn_gate_up_exps.weight"  # newer converters may fuse them
QKV_PARTS = ("attn.q_proj", "attn.k_proj", "attn.v_proj")
QKV = "attn_qkv"  # GPT-2 always, others where the converter was told to
# Stored, but no weights: the factors are read with the configuration, frequencies are computed.
_NOT_WEIGHTS = re.compile(r"rope_freqs\.weight|blk\.\d+\.attn_rot_embd|blk\.\d+\.attn\.(masked_)?bias")
_LAYER = re.compile(r"layers\.(\d+)\.(.+)")


@dataclass(frozen=True, slots=True)
class Place:
    """A GGUF tensor that holds one of our weights, or a part of it.

    Attributes:
        tensor: its name.
        shape: its shape.
        first_row: where our weight begins in it; not 0 for k and v in a fused tensor.
    """

    tensor: str
    shape: tuple[int, ...]
    first_row: int = 0


def places(name: str, shape: tuple[int, ...], config: ModelConfig, stored: Container[str]) -> list[Place]:
    """Where a GGUF keeps one of our weights; two places hold its halves along axis 1 (gate and up of experts).

    Args:
        name, shape: of our weight.
        config: the model.
        stored: names of the file's tensors; of these only the fused ones matter, which are used where they exist.
    """
    match = _LAYER.fullmatch(name)
    if match is None:
        module, _, leaf = name.rpartition(".")
        return [Place(f"{TOP[module]}.{leaf}", shape)]
    block, inside = f"blk.{match[1]}", match[2]
    if inside == "mlp.gate_up_proj":
        if f"{block}.{GATE_UP_EXPERTS}" in stored:
            return [Place(f"{block}.{GATE_UP_EXPERTS}", shape)]
        half = (shape[0], shape[1] // 2, shape[2])
        return [Place(f"{block}.{GATE_EXPERTS}", half), Place(f"{block}.{UP_EXPERTS}", half)]
    if inside == "mlp.down_proj":
        return [Place(f"{block}.{DOWN_EXPERTS}", shape)]
    module, _, leaf = inside.rpartition(".")
    fused = f"{block}.{QKV}.{leaf}"
    if fused in stored and module in QKV_PARTS:
        queries, keys = config.num_heads * config.head_size, config.kv_heads * config.head_size
        first_row = dict(zip(QKV_PARTS, (0, queries, queries + keys), strict=True))[module]
        return [Place(fused, (queries + 2 * keys, *shape[1:]), first_row)]
    return [Place(f"{block}.{PARTS[module]}.{leaf}", shape)]


class GGUFWeights:
    """Our weights, read from an open GGUF.

    Args:
        file: the open file.
        config: what ``gguf_config`` made of it.
        shapes: our names → shapes, which the file must fit.
    Raises:
        ModelFormatError: a tensor is missing or of another shape than the metadata say; names it.
        UnsupportedModelError: the file holds a weight for which we have no place.
    """

    def __init__(self, file: GGUFFile, config: ModelConfig, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self.file = file
        self.config = config
        self.shapes = shapes
        used = {place.tensor for name in shapes for place in self._checked_places(name)}
        for name in file.tensors:
            if name not in used and not _NOT_WEIGHTS.match(name):
                raise UnsupportedModelError(
                    f"{file.path} holds the tensor {name!r}, which no {file.architecture} model that Chatwright runs "
                    "has; its answers would be wrong without it"
                )

    def read(self, name: str) -> np.ndarray:
        """One of our weights, dequantised to float32."""
        found = places(name, self.shapes[name], self.config, self.file.tensors)
        parts = [self.file.tensor(place.tensor) for place in found]
        weight = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
        if len(weight) != self.shapes[name][0]:
            weight = weight[found[0].first_row : found[0].first_row + self.shapes[name][0]]
        if heads := _permuted_heads(name, self.config, self.file.architecture):
            rows = weight.reshape(heads, -1, 2, *weight.shape[1:])
            weight = np.ascontiguousarray(rows.swapaxes(1, 2)).reshape(weight.shape)
        return _shifted(name, weight, -self.config.norm_offset)

    def _checked_places(self, name: str) -> list[Place]:
        found = places(name, self.shapes[name], self.config, self.file.tensors)
        for place in found:
            info = self.file.tensors.get(place.tensor)
            if info is None:
                raise ModelFormatError(f"{self.file.path}: tensor {place.tensor!r} is missing; fetch the file again")
            if info.shape != place.shape:
                raise ModelFormatError(
                    f"{self.file.path}: tensor {place.tensor!r} has the shape {list(info.shape)}, but the metadata ask "
                    f"for {list(place.shape)}"
                )
        return found


def to_gguf(name: str, weight: np.ndarray, config: ModelConfig, architecture: str) -> np.ndarray:
    """One of our weights with the rows and values that GGUF wants; the inverse of what reading does to them."""
    if heads := _permuted_heads(name, config, architecture):
        rows = weight.reshape(heads, 2, -1, *weight.shape[1:])
        weight = np.ascontiguousarray(rows.swapaxes(1, 2)).reshape(weight.shape)
    return _shifted(name, weight, config.norm_offset)


def _permuted_heads(name: str, config: ModelConfig, architecture: str) -> int:
    """Heads whose rows llama.cpp keeps with each pair of rotary features side by side, not in halves; 0 for none."""
    if architecture != "llama":
        return 0
    return config.num_heads if ".q_proj." in name else config.kv_heads if ".k_proj." in name else 0


def _shifted(name: str, weight: np.ndarray, shift: float) -> np.ndarray:
    """Gemma's norms multiply by 1 + weight; GGUF stores that sum."""
    return weight + np.float32(shift) if shift and name.endswith("norm.weight") else weight
