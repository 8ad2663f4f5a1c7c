"""The safetensors file format, read strictly and written lean.

A file is: the header's length (8 bytes, little-endian), a JSON header, then the tensors' bytes. Everything the header
claims is checked against the file before a tensor is made, so a truncated or lying file is a clear error and never a
crash, a huge allocation or wrong weights. Tensors are views of a private memory map: nothing is read before it is used,
and writing to a tensor does not change the file.

Source:
    Format description at https://huggingface.co/docs/safetensors.
"""

import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from chatwright.errors import ModelFormatError, StorageError
from chatwright.model.hf_keys import read_json_object

SINGLE_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
_MAX_HEADER_BYTES = 100_000_000  # the limit of the reference implementation
_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
_DTYPE_NAMES = {dtype: name for name, dtype in _DTYPES.items()}


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """Where a tensor lies.

    Attributes:
        path: the file.
        name: its name there.
        dtype, shape: what it holds.
        start: offset of its first byte in the file.
    """

    path: Path
    name: str
    dtype: torch.dtype
    shape: tuple[int, ...]
    start: int

    @property
    def size_bytes(self) -> int:
        """Bytes it takes in the file."""
        return math.prod(self.shape) * self.dtype.itemsize


class SafetensorsFolder:
    """The tensors of a model folder, one file or several shards with an index.

    Args:
        folder: holds ``model.safetensors``, or ``model.safetensors.index.json`` and the files it names.
        file: another name than ``model.safetensors``.
    Raises:
        ModelFormatError: a file is missing, truncated, contradicts itself or the index; names file and tensor.
    """

    def __init__(self, folder: Path, file: str = SINGLE_FILE) -> None:
        self.tensors: dict[str, StoredTensor] = {}
        self._maps: dict[Path, Tensor] = {}
        if (folder / file).is_file():
            self.tensors = read_header(folder / file)
            return
        index_path = folder / INDEX_FILE
        if not index_path.is_file():
            raise ModelFormatError(f"{folder} holds neither {file} nor {INDEX_FILE}; fetch the model again")
        weight_map = _read_index(index_path)
        for shard in sorted(set(weight_map.values())):
            found = read_header(folder / shard)
            for name, tensor in found.items():
                if weight_map.get(name) != shard:
                    raise ModelFormatError(
                        f"{folder / shard} holds tensor {name!r}, which {index_path} "
                        f"{'places in ' + weight_map[name] if name in weight_map else 'does not list'}; "
                        "fetch the model again"
                    )
                self.tensors[name] = tensor
        for name, shard in weight_map.items():
            if name not in self.tensors:
                raise ModelFormatError(f"{folder / shard} lacks tensor {name!r}, which {index_path} places there")

    def tensor(self, name: str) -> Tensor:
        """A tensor as a view of the memory-mapped file (copied only where it is not aligned to its dtype)."""
        stored = self.tensors[name]
        if stored.size_bytes == 0:
            return torch.empty(stored.shape, dtype=stored.dtype)
        if stored.path not in self._maps:
            size = stored.path.stat().st_size
            self._maps[stored.path] = torch.from_file(str(stored.path), shared=False, size=size, dtype=torch.uint8)
        data = self._maps[stored.path][stored.start : stored.start + stored.size_bytes]
        if stored.start % stored.dtype.itemsize:
            data = data.clone()
        view: Tensor = data.view(stored.dtype).view(stored.shape)
        return view


def read_header(path: Path) -> dict[str, StoredTensor]:
    """Parse and check the header of one file.

    Returns:
        Its tensors by name, in the order of their bytes.
    Raises:
        ModelFormatError: see :class:`SafetensorsFolder`.
    """
    try:
        file_size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if file_size < 8 or length > min(_MAX_HEADER_BYTES, file_size - 8):
                raise _broken(path, f"its header claims {length} bytes, but the file has {file_size}")
            raw = file.read(length)
    except OSError as error:
        raise ModelFormatError(f"{path} cannot be read: {error.strerror or error}") from None
    try:
        header = json.loads(raw.decode("utf-8"), object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError) as error:
        raise _broken(path, f"its header is not valid JSON ({error})") from None
    if not isinstance(header, dict):
        raise _broken(path, "its header is not a JSON object")
    header.pop("__metadata__", None)
    spans: list[tuple[int, int, str]] = []
    tensors: dict[str, StoredTensor] = {}
    for name, entry in header.items():
        dtype, shape, begin, end = _read_entry(path, name, entry)
        spans.append((begin, end, name))
        tensors[name] = StoredTensor(path, name, dtype, shape, 8 + length + begin)
    spans.sort()
    _check_spans(path, spans, file_size - 8 - length)
    return {name: tensors[name] for _, _, name in spans}


def _read_entry(path: Path, name: str, entry: Any) -> tuple[torch.dtype, tuple[int, ...], int, int]:
    """One tensor's dtype, shape and byte range, each checked on its own and against the others."""
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise _broken(path, f"tensor {name!r} must have dtype, shape and data_offsets, and nothing else")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        raise _broken(path, f"tensor {name!r} has the unknown dtype {str(dtype)[:40]!r}")
    if not _are_sizes(shape):
        raise _broken(path, f"tensor {name!r} has the impossible shape {str(shape)[:80]}")
    if not _are_sizes(offsets) or len(offsets) != 2:
        raise _broken(path, f"tensor {name!r} has the impossible data_offsets {str(offsets)[:80]}")
    begin, end = offsets
    wanted = math.prod(shape) * _DTYPES[dtype].itemsize
    if end - begin != wanted:
        raise _broken(
            path, f"tensor {name!r} of shape {shape} and dtype {dtype} takes {wanted} bytes, but has {end - begin}"
        )
    return _DTYPES[dtype], tuple(shape), begin, end


def _check_spans(path: Path, spans: list[tuple[int, int, str]], data_size: int) -> None:
    """The tensors must tile the data exactly: no overlap, no gap, nothing beyond the end."""
    if not spans:
        raise _broken(path, "it holds no tensors")
    if spans[0][0] != 0:
        raise _broken(path, f"its first tensor {spans[0][2]!r} does not start where the data starts")
    for (_, end, name), (begin, _, following) in pairwise(spans):
        if begin != end:
            problem = "overlap" if begin < end else "leave a gap"
            raise _broken(path, f"tensors {name!r} and {following!r} {problem}")
    if (end := spans[-1][1]) != data_size:
        raise _broken(path, f"its tensors take {end} bytes, but the file has {data_size} for them")


def _are_sizes(values: Any) -> bool:
    return isinstance(values, list) and all(
        isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63 for value in values
    )


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in pairs:
        if name in values:
            raise ValueError(f"{name!r} appears more than once")
        values[name] = value
    return values


def _read_index(path: Path) -> dict[str, str]:
    """The index's map from tensor to file; every file must be a plain name beside it."""
    weight_map = read_json_object(path).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise ModelFormatError(f"{path} has no weight_map; fetch the model again")
    for name, file in weight_map.items():
        if not isinstance(file, str) or not file.endswith(".safetensors") or "\0" in file:
            raise ModelFormatError(f"{path}: tensor {name!r} is placed in {file!r}, which is not a .safetensors file")
        if "/" in file or "\\" in file or ":" in file:
            raise ModelFormatError(f"{path}: tensor {name!r} is placed in {file!r}, outside the model's folder")
        if not (path.parent / file).is_file():
            raise ModelFormatError(f"{path} names {file}, which is not there; fetch the model again")
    return weight_map


def _broken(path: Path, problem: str) -> ModelFormatError:
    return ModelFormatError(f"{path} is damaged: {problem}; fetch the model again")


def write_safetensors(
    path: Path, specs: Mapping[str, tuple[torch.dtype, tuple[int, ...]]], tensors: Iterable[Tensor]
) -> None:
    """Write one file and flush it to the disk, holding one tensor at a time in memory.

    Args:
        path: the file; an existing one is overwritten.
        specs: dtype and shape by name, in the order of ``tensors``.
        tensors: their values, made one after the other.
    Raises:
        StorageError: the disk is full or the place cannot be written.
    """
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, (dtype, shape) in specs.items():
        size = math.prod(shape) * dtype.itemsize
        header[name] = {"dtype": _DTYPE_NAMES[dtype], "shape": list(shape), "data_offsets": [offset, offset + size]}
        offset += size
    raw = json.dumps(header, separators=(",", ":")).encode()
    raw += b" " * (-len(raw) % 8)  # keeps the data aligned, so that it can be mapped
    try:
        with path.open("wb") as file:
            file.write(len(raw).to_bytes(8, "little"))
            file.write(raw)
            for tensor, (name, (dtype, shape)) in zip(tensors, specs.items(), strict=True):
                assert tuple(tensor.shape) == shape, name
                data = tensor.detach().to("cpu", dtype).contiguous().reshape(-1)
                file.write(data.view(torch.uint8).numpy().data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise StorageError(
            f"{path} cannot be written: {error.strerror or error}; free some space or choose another place"
        ) from None
