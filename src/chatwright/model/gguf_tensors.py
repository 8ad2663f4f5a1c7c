"""GGUF tensors ↔ our weights: names, llama's permuted rows, fused matrices, Gemma's shifted norms.

Shape legend: C hidden width, I inner width, E experts.
"""

import re
from collections.abc import Iterable, Mapping

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
QKV = "attn_qkv"  # GPT-2 always, others where the converter was told to
# Stored, but no weights: the factors are read with the configuration, frequencies are computed.
_NOT_WEIGHTS = re.compile(r"rope_freqs\.weight|blk\.\d+\.attn_rot_embd|blk\.\d+\.attn\.(masked_)?bias")
_LAYER = re.compile(r"layers\.(\d+)\.(.+)")


def gguf_tensors(
    name: str, weight: np.ndarray, config: ModelConfig, architecture: str
) -> Iterable[tuple[str, np.ndarray]]:
    """One of our weights as the GGUF tensors that hold it; the inverse of :class:`GGUFWeights`.

    For GPT-2, whose q, k and v are one tensor, the caller hands them over joined as ``attn.qkv_proj``.
    """
    match = _LAYER.fullmatch(name)
    if match is None:
        module, _, leaf = name.rpartition(".")
        yield f"{TOP[module]}.{leaf}", _shifted(name, weight, config.norm_offset)
        return
    block, inside = f"blk.{match[1]}", match[2]
    if inside == "mlp.gate_up_proj":
        gate_EIC, up_EIC = np.split(weight, 2, axis=1)
        yield f"{block}.{GATE_EXPERTS}", gate_EIC
        yield f"{block}.{UP_EXPERTS}", up_EIC
    elif inside == "mlp.down_proj":
        yield f"{block}.{DOWN_EXPERTS}", weight
    else:
        module, _, leaf = inside.rpartition(".")
        theirs = QKV if module == "attn.qkv_proj" else PARTS[module]
        if architecture == "llama" and (heads := _rotary_heads(module, config)):
            weight = _interleave(weight, heads)
        yield f"{block}.{theirs}.{leaf}", _shifted(name, weight, config.norm_offset)


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
        self._check(shapes)

    def _check(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        used = set()
        for name, shape in shapes.items():
            for source, expected in self._sources(name, shape).items():
                used.add(source)
                info = self.file.tensors.get(source)
                if info is None:
                    raise ModelFormatError(f"{self.file.path}: the tensor {source!r} is missing; fetch the file again")
                if info.shape != expected:
                    raise ModelFormatError(
                        f"{self.file.path}: tensor {source!r} has the shape {list(info.shape)}, but the metadata ask "
                        f"for {list(expected)}"
                    )
        for source in self.file.tensors:
            if source not in used and not _NOT_WEIGHTS.match(source):
                raise UnsupportedModelError(
                    f"{self.file.path} holds the tensor {source!r}, which no {self.file.architecture} model that "
                    "Chatwright runs has; its answers would be wrong without it"
                )

    def read(self, name: str) -> np.ndarray:
        """One of our weights, dequantised to float32."""
        match = _LAYER.fullmatch(name)
        if match is None:
            module, _, leaf = name.rpartition(".")
            return _shifted(name, self.file.tensor(f"{TOP[module]}.{leaf}"), -self.config.norm_offset)
        block, inside = f"blk.{match[1]}", match[2]
        module, _, leaf = inside.rpartition(".")
        if inside == "mlp.gate_up_proj":
            if f"{block}.{GATE_UP_EXPERTS}" in self.file.tensors:
                return self.file.tensor(f"{block}.{GATE_UP_EXPERTS}")
            halves = [self.file.tensor(f"{block}.{half}") for half in (GATE_EXPERTS, UP_EXPERTS)]
            return np.concatenate(halves, axis=1)
        if inside == "mlp.down_proj":
            return self.file.tensor(f"{block}.{DOWN_EXPERTS}")
        weight = self._attention_part(block, module, leaf)
        if weight is None:
            weight = self.file.tensor(f"{block}.{PARTS[module]}.{leaf}")
        if self.file.architecture == "llama" and (heads := _rotary_heads(module, self.config)):
            weight = _deinterleave(weight, heads)
        return _shifted(name, weight, -self.config.norm_offset)

    def _attention_part(self, block: str, module: str, leaf: str) -> np.ndarray | None:
        """Rows of q, k or v where the file holds them fused, else None."""
        fused = f"{block}.{QKV}.{leaf}"
        if fused not in self.file.tensors or module not in ("attn.q_proj", "attn.k_proj", "attn.v_proj"):
            return None
        queries, keys = self.config.num_heads * self.config.head_size, self.config.kv_heads * self.config.head_size
        start = {"attn.q_proj": 0, "attn.k_proj": queries, "attn.v_proj": queries + keys}[module]
        return self.file.tensor(fused)[start : start + (queries if module == "attn.q_proj" else keys)]

    def _sources(self, name: str, shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
        """The tensors that hold one of our weights, with the shapes they must have."""
        match = _LAYER.fullmatch(name)
        if match is None:
            module, _, leaf = name.rpartition(".")
            return {f"{TOP[module]}.{leaf}": shape}
        block, inside = f"blk.{match[1]}", match[2]
        module, _, leaf = inside.rpartition(".")
        if inside == "mlp.gate_up_proj":
            if f"{block}.{GATE_UP_EXPERTS}" in self.file.tensors:
                return {f"{block}.{GATE_UP_EXPERTS}": shape}
            half = (shape[0], shape[1] // 2, shape[2])
            return {f"{block}.{GATE_EXPERTS}": half, f"{block}.{UP_EXPERTS}": half}
        if inside == "mlp.down_proj":
            return {f"{block}.{DOWN_EXPERTS}": shape}
        if f"{block}.{QKV}.{leaf}" in self.file.tensors and module in ("attn.q_proj", "attn.k_proj", "attn.v_proj"):
            rows = (self.config.num_heads + 2 * self.config.kv_heads) * self.config.head_size
            return {f"{block}.{QKV}.{leaf}": (rows, *shape[1:])}
        return {f"{block}.{PARTS[module]}.{leaf}": shape}


def _rotary_heads(module: str, config: ModelConfig) -> int:
    return {"attn.q_proj": config.num_heads, "attn.k_proj": config.kv_heads}.get(module, 0)


def _deinterleave(weight: np.ndarray, heads: int) -> np.ndarray:
    """Rows of each head from llama.cpp's order (pairs of rotary features side by side) to halves, as in Llama."""
    rows = weight.reshape(heads, -1, 2, *weight.shape[1:])
    return np.ascontiguousarray(rows.swapaxes(1, 2)).reshape(weight.shape)


def _interleave(weight: np.ndarray, heads: int) -> np.ndarray:
    """The inverse of :func:`_deinterleave`."""
    rows = weight.reshape(heads, 2, -1, *weight.shape[1:])
    return np.ascontiguousarray(rows.swapaxes(1, 2)).reshape(weight.shape)


def _shifted(name: str, weight: np.ndarray, shift: float) -> np.ndarray:
    """Gemma's norms multiply by 1 + weight; GGUF stores that sum."""
    return weight + np.float32(shift) if shift and name.endswith("norm.weight") else weight
