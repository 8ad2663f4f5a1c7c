"""A model folder → one GGUF file that llama.cpp runs: F32, F16, BF16 or Q8_0, with tokenizer and chat template."""

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from chatwright.errors import InvalidParameterError, StorageError
from chatwright.model.gguf_header import Value
from chatwright.model.gguf_metadata import gguf_metadata
from chatwright.model.gguf_rope import llama3_factors
from chatwright.model.gguf_tensors import QKV, QKV_PARTS, places, to_gguf
from chatwright.model.gguf_tokenizer_out import tokenizer_metadata
from chatwright.model.gpt import GPT
from chatwright.model.load import load_folder

if TYPE_CHECKING:
    from gguf import GGMLQuantizationType, GGUFWriter

GGUFDtype = Literal["f32", "f16", "bf16", "q8_0"]
Progress = Callable[[int, int], None]

# llama.cpp's general.file_type, which it only shows.
_FILE_TYPES: dict[str, int] = {"f32": 0, "f16": 1, "q8_0": 7, "bf16": 32}
_CHUNK_VALUES = 1 << 18
_LARGEST_F16 = 65_504.0


@dataclass(frozen=True, slots=True)
class _Planned:
    """A tensor to write: its shape and type, and which of our weights it is made of."""

    name: str
    shape: tuple[int, ...]
    kind: "GGMLQuantizationType"
    sources: tuple[str, ...]
    size_bytes: int


def write_gguf(
    folder: str | Path,
    out: str | Path,
    *,
    dtype: GGUFDtype = "bf16",
    name: str | None = None,
    progress: Progress | None = None,
) -> None:
    """Write the model in ``folder`` as one GGUF file.

    Norms, biases, positions and the router of experts stay in float32, as llama.cpp wants them. Rows that Q8_0's
    blocks of 32 do not divide are kept in F16. The file appears under its name only when it is complete.

    Args:
        folder: a Hugging Face model folder with a ``tokenizer.json``.
        out: the file; an existing one is replaced.
        dtype: how matrices are stored.
        name: what llama.cpp shows as the model's name; None takes the folder's.
        progress: called with (bytes written, bytes in all) after each tensor.
    Raises:
        UnsupportedModelError: llama.cpp has no architecture or no tokenizer for it.
        InvalidParameterError: an unknown dtype, or values that float16 cannot hold.
        StorageError: the file cannot be written.
    """
    folder, out = Path(folder), Path(out)
    if dtype not in _FILE_TYPES:
        raise InvalidParameterError("dtype", f"dtype is {dtype!r}; a GGUF can be written as {', '.join(_FILE_TYPES)}")
    model = load_folder(folder)
    architecture, metadata = gguf_metadata(model.config)
    metadata |= {"general.name": name or folder.resolve().name, "general.file_type": _FILE_TYPES[dtype]}
    if dtype == "q8_0":
        metadata["general.quantization_version"] = 2
    metadata |= tokenizer_metadata(folder, model.config.vocab_size)
    plan = _plan(model, architecture, dtype)
    partial = out.with_name(f".{out.name}.{os.getpid()}.new")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        _write(partial, model, architecture, metadata, plan, progress)
        os.replace(partial, out)
    except OSError as error:
        reason = error.strerror or "the disk took only a part of it"  # numpy's own error counts items
        raise StorageError(f"{out} cannot be written: {reason}; free some space or choose another place") from None
    finally:
        with contextlib.suppress(OSError):  # moved away, or never made
            partial.unlink()


def gguf_bytes(folder: str | Path, dtype: GGUFDtype) -> int:
    """About how large the file for the model in ``folder`` will be: never less than it is."""
    model = load_folder(folder)
    size = sum(tensor.size_bytes for tensor in _plan(model, gguf_metadata(model.config)[0], dtype))
    return size + (Path(folder) / "tokenizer.json").stat().st_size + (1 << 20)


def _plan(model: GPT, architecture: str, dtype: GGUFDtype) -> list[_Planned]:
    weights = model.state_dict()
    fused = {name.replace("layers.", "blk.").replace("attn.q_proj", QKV) for name in weights if ".q_proj." in name}
    stored = fused if architecture == "gpt2" else set()
    sources: dict[str, list[str]] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    for name, tensor in weights.items():
        for place in places(name, tuple(tensor.shape), model.config, stored):
            sources.setdefault(place.tensor, []).append(name)
            shapes[place.tensor] = place.shape
    if model.config.position == "rotary" and model.config.rope.scaling == "llama3":
        shapes["rope_freqs.weight"], sources["rope_freqs.weight"] = (model.config.head_size // 2,), []
    return [_planned(name, shape, dtype, tuple(sources[name])) for name, shape in shapes.items()]


def _planned(name: str, shape: tuple[int, ...], dtype: GGUFDtype, sources: tuple[str, ...]) -> _Planned:
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

    kind = GGMLQuantizationType[dtype.upper()]
    if len(shape) == 1 or name.startswith("position_embd") or ".ffn_gate_inp." in name:
        kind = GGMLQuantizationType.F32
    elif shape[-1] % GGML_QUANT_SIZES[kind][0]:
        kind = GGMLQuantizationType.F16
    block, block_bytes = GGML_QUANT_SIZES[kind]
    return _Planned(name, shape, kind, sources, int(np.prod(shape)) // block * block_bytes)


def _write(
    path: Path,
    model: GPT,
    architecture: str,
    metadata: dict[str, Value],
    plan: list[_Planned],
    progress: Progress | None,
) -> None:
    from gguf import GGUFWriter

    writer = GGUFWriter(path, architecture)
    try:
        for key, value in metadata.items():
            _add(writer, key, value)
        for tensor in plan:
            row = tensor.size_bytes // int(np.prod(tensor.shape[:-1]))  # the writer wants rows in bytes
            shape = (*tensor.shape[:-1], row)
            writer.add_tensor_info(tensor.name, shape, np.dtype(np.uint8), tensor.size_bytes, raw_dtype=tensor.kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        done, total = 0, sum(tensor.size_bytes for tensor in plan)
        for tensor in plan:
            writer.write_tensor_data(_encoded(model, architecture, tensor))
            done += tensor.size_bytes
            if progress is not None:
                progress(done, total)
        writer.flush()
        for stream in writer.fout or []:
            os.fsync(stream.fileno())
    finally:
        writer.close()


def _add(writer: "GGUFWriter", key: str, value: Value) -> None:
    if isinstance(value, list):
        writer.add_array(key, value)
    elif isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, int):
        writer.add_uint32(key, value)
    elif isinstance(value, float):
        writer.add_float32(key, value)
    else:
        writer.add_string(key, value)


def _encoded(model: GPT, architecture: str, tensor: _Planned) -> np.ndarray:
    """The tensor's bytes."""
    from gguf import GGMLQuantizationType
    from gguf.quants import quantize

    values = np.ascontiguousarray(_values(model, architecture, tensor)).reshape(-1)
    if tensor.kind is GGMLQuantizationType.F16 and np.abs(values).max() > _LARGEST_F16:
        raise InvalidParameterError(
            "dtype", f"tensor {tensor.name!r} holds values beyond the range of float16; export as bf16 or f32"
        )
    # Rows of our own choice: gguf's 16 at a time are slow, and quantisation knows only blocks.
    chunks = (values[start : start + _CHUNK_VALUES] for start in range(0, len(values), _CHUNK_VALUES))
    return np.concatenate([quantize(chunk.reshape(1, -1), tensor.kind).reshape(-1).view(np.uint8) for chunk in chunks])


def _values(model: GPT, architecture: str, tensor: _Planned) -> np.ndarray:
    """The tensor in float32, with rows and values as GGUF keeps them."""
    if not tensor.sources:
        return llama3_factors(model.config.rope, model.config.head_size)
    parts = list(_sources(model, architecture, tensor.sources))
    if len(parts) > 1:  # q, k, v
        return np.concatenate(parts)
    if parts[0].shape == tensor.shape:
        return parts[0]
    half = parts[0].shape[1] // 2
    return parts[0][:, half:] if "ffn_up" in tensor.name else parts[0][:, :half]


def _sources(model: GPT, architecture: str, names: tuple[str, ...]) -> Iterator[np.ndarray]:
    weights = model.state_dict()
    for name in sorted(names, key=lambda name: [part in name for part in reversed(QKV_PARTS)]):
        yield to_gguf(name, weights[name].to(torch.float32).numpy(), model.config, architecture)
