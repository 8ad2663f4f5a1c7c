"""A model's weights in the form of the CPU decoder, built once and kept in the cache directory.

The cache is a folder of plain ``.npy`` files (never pickled), written under a temporary name and renamed, so that two
processes may build it at the same time and neither sees half of it.
"""

import hashlib
import logging
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from chatwright.engine.cpu.math import ACTIVATIONS
from chatwright.engine.cpu.pack import Array, interleave_rows, pack, pad
from chatwright.engine.cpu.state import (
    ATTN_NORM,
    ATTN_NORM_BIAS,
    ATTN_POST_NORM,
    DOWN,
    DOWN_BIAS,
    FINAL_NORM,
    FINAL_NORM_BIAS,
    HEAD,
    K_NORM,
    MLP_NORM,
    MLP_NORM_BIAS,
    MLP_POST_NORM,
    NUM_VECTORS,
    OUTPUT,
    OUTPUT_BIAS,
    Q_NORM,
    QKV,
    QKV_BIAS,
    UP,
    UP_BIAS,
    Shape,
    Weights,
)
from chatwright.engine.cpu.tiles import GROUP
from chatwright.model.config import ModelConfig

_LOG = logging.getLogger(__name__)
FORMAT = 2  # raise it when the layout changes: older folders are then built anew
_UNLIMITED = 1 << 60
_WIDEST = 1 << 20  # inputs of a matrix: the scratch memory of 64 columns grows with it

Read = Callable[[str], Array]


def supports(config: ModelConfig) -> bool:
    """Whether the CPU decoder can run this model; others take the PyTorch runner."""
    return (
        config.causal
        and config.moe is None
        and (config.norm_placement == "pre" or (config.norm_placement == "sandwich" and config.norm == "rms"))
        and config.final_norm
        and max(config.hidden_size, config.num_heads * config.head_size, config.mlp_size) <= _WIDEST
    )


def shape_of(config: ModelConfig) -> Shape:
    """The numbers that the kernel needs."""
    return Shape(
        num_layers=config.num_layers,
        hidden_size=config.hidden_size,
        num_heads=config.num_heads,
        num_kv_heads=config.kv_heads,
        head_dim=config.head_size,
        mlp_size=config.mlp_size,
        vocab_size=config.vocab_size,
        activation=ACTIVATIONS[config.feed_forward],
        gated=config.gated,
        layer_norm=config.norm == "layer",
        rotary=config.position == "rotary",
        eps=config.norm_eps,
        scale=config.scale,
    )


class _Builder:
    """Collects packed matrices and vectors, and where each lies."""

    def __init__(self, config: ModelConfig, read: Read) -> None:
        layers = config.num_layers
        self.config, self.read = config, read
        self.parts: list[np.ndarray] = []
        self.size = 0
        self.matrices = np.zeros((layers + 1, 4, 4), np.int64)
        self.vectors: list[np.ndarray] = []
        self.vectors_size = 0
        self.vector_at = np.full((layers + 1, NUM_VECTORS), -1, np.int64)

    def matrix(self, layer: int, slot: int, values: Array) -> None:
        values = pad(values)
        bits, packed = pack(values)
        self.matrices[layer, slot] = bits, self.size, values.shape[0], values.shape[1] // GROUP
        self.parts.append(packed)
        self.size += packed.size

    def vector(self, layer: int, slot: int, values: Array) -> None:
        self.vector_at[layer, slot] = self.vectors_size
        self.vectors.append(values.astype(np.float32).reshape(-1))
        self.vectors_size += values.size

    def norm(self, layer: int, slot: int, name: str, bias_slot: int | None = None) -> None:
        self.vector(layer, slot, self.read(f"{name}.weight") + np.float32(self.config.norm_offset))
        if bias_slot is not None and self.config.norm == "layer":
            self.vector(layer, bias_slot, self.read(f"{name}.bias"))

    def layer(self, layer: int) -> None:
        config, at = self.config, f"layers.{layer}"
        qkv = [f"{at}.attn.{name}_proj" for name in ("q", "k", "v")]
        self.norm(layer, ATTN_NORM, f"{at}.attn_norm", ATTN_NORM_BIAS)
        self.matrix(layer, QKV, np.concatenate([self.read(f"{name}.weight") for name in qkv]))
        self.matrix(layer, OUTPUT, self.read(f"{at}.attn.o_proj.weight"))
        self.norm(layer, MLP_NORM, f"{at}.mlp_norm", MLP_NORM_BIAS)
        if config.qkv_bias:
            self.vector(layer, QKV_BIAS, np.concatenate([self.read(f"{name}.bias") for name in qkv]))
        if config.output_bias:
            self.vector(layer, OUTPUT_BIAS, self.read(f"{at}.attn.o_proj.bias"))
        if config.qk_norm:
            self.norm(layer, Q_NORM, f"{at}.attn.q_norm")
            self.norm(layer, K_NORM, f"{at}.attn.k_norm")
        if config.norm_placement == "sandwich":
            self.norm(layer, ATTN_POST_NORM, f"{at}.attn_post_norm")
            self.norm(layer, MLP_POST_NORM, f"{at}.mlp_post_norm")
        self.feed_forward(layer, f"{at}.mlp")

    def feed_forward(self, layer: int, at: str) -> None:
        names = ["gate_proj", "up_proj"] if self.config.gated else ["up_proj"]
        rows = [pad(self.read(f"{at}.{name}.weight")) for name in names]
        self.matrix(layer, UP, interleave_rows(rows) if self.config.gated else rows[0])
        self.matrix(layer, DOWN, self.read(f"{at}.down_proj.weight"))
        if self.config.mlp_bias:
            biases = [pad(self.read(f"{at}.{name}.bias")[:, None])[:, :1] for name in names]
            self.vector(layer, UP_BIAS, interleave_rows(biases) if self.config.gated else biases[0])
            self.vector(layer, DOWN_BIAS, self.read(f"{at}.down_proj.bias"))

    def weights(self) -> Weights:
        config = self.config
        for layer in range(config.num_layers):
            self.layer(layer)
        self.norm(config.num_layers, FINAL_NORM, "norm", FINAL_NORM_BIAS)
        head = "embed.weight" if config.tie_embeddings else "head.weight"
        self.matrix(config.num_layers, HEAD, self.read(head))
        return _assemble(
            config, np.concatenate(self.parts), self.matrices, np.concatenate(self.vectors), self.vector_at
        )


def build_weights(config: ModelConfig, read: Read) -> Weights:
    """Quantise a model.

    Args:
        config: its description; :func:`supports` must hold.
        read: gives a weight by its name in our GPT's state dict, float32.
    """
    return _Builder(config, read).weights()


def cached_weights(config: ModelConfig, read: Read, folder: Path) -> Weights:
    """The weights from ``folder``, or built and put there; a cache that cannot be written is only a warning.

    The matrices are read into anonymous memory rather than mapped: its large pages stream faster.
    """
    kept = _load(folder)
    if kept is not None and kept[1].shape == (config.num_layers + 1, 4, 4):
        return _assemble(config, *kept)
    weights = build_weights(config, read)
    try:
        _store(weights, folder)
    except OSError as error:
        _LOG.warning(
            "the quantised weights could not be cached in %s (%s); the next start will take longer. "
            "Free some space or set CHATWRIGHT_CACHE to another folder",
            folder,
            error.strerror or error,
        )
    return weights


def _assemble(
    config: ModelConfig, data: np.ndarray, matrices: np.ndarray, vectors: np.ndarray, vector_at: np.ndarray
) -> Weights:
    local = [config.layer_rope(layer) != config.rope for layer in range(config.num_layers)]
    return Weights(
        data=data,
        matrices=matrices,
        vectors=vectors,
        vector_at=vector_at,
        window=np.array([config.window(layer) or _UNLIMITED for layer in range(config.num_layers)], np.int64),
        table=np.array(local, np.int64),
    )


_PARTS = ("data", "matrices", "vectors", "vector_at")


def _seal(data: np.ndarray, *tables: np.ndarray) -> np.ndarray:
    """A digest of the tables and of the size of the data.

    Damage there would send the kernel beyond the ends of arrays, which nothing there notices. Damaged matrices only
    change numbers, and reading all of them a second time would double the time of a start.
    """
    digest = hashlib.sha256(f"{data.dtype} {data.shape}".encode())
    for table in tables:
        digest.update(f" {table.dtype} {table.shape} ".encode() + table.tobytes())
    return np.frombuffer(digest.digest(), np.uint8)


def _store(weights: Weights, folder: Path) -> None:
    parts = {part: getattr(weights, part) for part in _PARTS}
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".packing-"))
    try:
        for name, part in {**parts, "seal": _seal(*parts.values())}.items():
            with (temporary / f"{name}.npy").open("wb") as file:
                np.save(file, part, allow_pickle=False)
                file.flush()
                os.fsync(file.fileno())
        shutil.rmtree(folder, ignore_errors=True)
        try:
            os.rename(temporary, folder)
        except OSError:
            if not (folder / "seal.npy").exists():
                raise
            # Another process was faster; its folder is as good.
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _load(folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray] | None:
    """What :func:`_store` wrote, in the order of _PARTS; None where it is absent, cut short or damaged."""
    try:
        data, matrices, vectors, vector_at, seal = (
            np.load(folder / f"{part}.npy", allow_pickle=False) for part in (*_PARTS, "seal")
        )
    except Exception:  # a damaged header alone makes NumPy raise five kinds of errors
        return None
    sealed = np.array_equal(seal, _seal(data, matrices, vectors, vector_at))
    return (data, matrices, vectors, vector_at) if sealed else None
