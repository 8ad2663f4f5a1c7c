"""The header of a GGUF file, parsed strictly.

A GGUF comes from strangers, and its header is nothing but counts, lengths and offsets. Every one of them is checked
against the bytes that exist before anything is allocated or read, so a lying file costs an error message and neither
memory nor time.

Source: GGUF specification, https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import math
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np

from chatwright.errors import ModelFormatError, UnsupportedModelError

MAGIC = b"GGUF"
SUPPORTED_VERSIONS = (2, 3)  # version 1 had 32-bit lengths and was current for two weeks of August 2023
DEFAULT_ALIGNMENT = 32
# The largest headers known (a vocabulary of 260k tokens with merges) take 15 MB.
MAX_HEADER_BYTES = 128 * 1024 * 1024
MAX_NAME_BYTES = 65_535  # of a key or a tensor's name
MAX_DIMENSIONS = 4

Scalar = int | float | bool | str
Value = Scalar | list[Scalar]

_SCALARS: dict[int, struct.Struct] = {
    0: struct.Struct("<B"),
    1: struct.Struct("<b"),
    2: struct.Struct("<H"),
    3: struct.Struct("<h"),
    4: struct.Struct("<I"),
    5: struct.Struct("<i"),
    6: struct.Struct("<f"),
    7: struct.Struct("<?"),
    10: struct.Struct("<Q"),
    11: struct.Struct("<q"),
    12: struct.Struct("<d"),
}
_BOOL, _STRING, _ARRAY = 7, 8, 9
_U32, _U64 = _SCALARS[4], _SCALARS[10]
# The fewest bytes that one entry can take; they bound the counts a header may claim.
_MIN_ENTRY_BYTES = 8 + 1 + 4 + 1  # key length, key, type, value
_MIN_TENSOR_BYTES = 8 + 1 + 4 + 8 + 4 + 8  # name length, name, dimensions, one dimension, type, offset


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """Where one tensor lies and how it is stored.

    Attributes:
        name: the GGUF name, e.g. ``blk.0.attn_q.weight``.
        shape: row-major, as PyTorch writes it (GGUF stores it reversed).
        type_name: quantisation as ggml names it, e.g. ``Q4_1``.
        offset: first byte in the file.
        size_bytes: stored bytes.
    """

    name: str
    shape: tuple[int, ...]
    type_name: str
    offset: int
    size_bytes: int


class _Header:
    """A cursor over the header that never reads past the file's end or the limit for headers."""

    def __init__(self, path: Path, stream: BinaryIO) -> None:
        self.path = path
        self.file_bytes = os.fstat(stream.fileno()).st_size
        self.position = 0
        self.what = "the file's start"  # what is being read, for messages
        self._stream = stream
        self._end = min(self.file_bytes, MAX_HEADER_BYTES)

    @property
    def remaining(self) -> int:
        return self._end - self.position

    def take(self, size: int) -> bytes:
        if size > self.remaining:
            if self._end < self.file_bytes:
                raise self.error(f"takes more than {MAX_HEADER_BYTES >> 20} MiB of header")
            raise self.error(f"wants {size} bytes, but only {self.remaining} are left")
        data = self._stream.read(size)
        if len(data) != size:
            raise self.error("ended while it was read")
        self.position += size
        return data

    def number(self, layout: struct.Struct) -> int | float | bool:
        value: int | float | bool = layout.unpack(self.take(layout.size))[0]
        return value

    def unsigned(self, layout: struct.Struct) -> int:
        return int(self.number(layout))

    def count(self, least_bytes: int) -> int:
        """How many entries follow, believed only as far as the bytes that are left can hold them."""
        count = self.unsigned(_U64)
        if count * least_bytes > self.remaining:
            raise self.error(f"claims {count} entries, more than the {self.remaining} bytes left can hold")
        return count

    def text(self, limit: int = MAX_HEADER_BYTES) -> str:
        size = self.unsigned(_U64)
        if size > limit:
            raise self.error(f"claims a string of {size} bytes; at most {limit} are allowed")
        try:
            return self.take(size).decode("utf-8")
        except UnicodeDecodeError:
            raise self.error("is not valid UTF-8") from None

    def error(self, problem: str) -> ModelFormatError:
        return ModelFormatError(f"{self.path}: {self.what} {problem}; fetch the file again")


def parse_header(path: Path, stream: BinaryIO) -> tuple[dict[str, Value], dict[str, TensorInfo]]:
    """Parse and check the whole header of a GGUF file.

    Args:
        path: the file's name, for messages.
        stream: the file, open at its beginning.
    Returns:
        The metadata (key → number, bool, string or list of these) and the tensors by name, both in file order.
    Raises:
        ModelFormatError: not a GGUF, truncated, or contradicting itself; names the key or tensor.
        UnsupportedModelError: version 1, big-endian, split over several files, or of an unknown tensor type.
    """
    header = _Header(path, stream)
    if header.file_bytes < 24 or header.take(4) != MAGIC:
        raise ModelFormatError(f"{path} is not a GGUF file: it does not begin with a GGUF header; fetch it again")
    version = header.unsigned(_U32)
    if version & 0xFFFF == 0:
        raise UnsupportedModelError(f"{path} is a big-endian GGUF; use the little-endian file of the same model")
    if version not in SUPPORTED_VERSIONS:
        raise UnsupportedModelError(
            f"{path} is GGUF version {version}; versions 2 and 3 are read. Convert the model again with llama.cpp"
        )
    header.what = "the tensor count"
    num_tensors = header.count(_MIN_TENSOR_BYTES)
    header.what = "the metadata count"
    metadata = _read_metadata(header, header.count(_MIN_ENTRY_BYTES))
    if metadata.get("split.count", 0) not in (0, 1):
        raise UnsupportedModelError(
            f"{path} is one part of a split GGUF; join the parts first: llama-gguf-split --merge FIRST_PART OUTPUT"
        )
    return metadata, _read_tensor_infos(header, num_tensors, _alignment(path, metadata))


def _read_metadata(header: _Header, count: int) -> dict[str, Value]:
    metadata: dict[str, Value] = {}
    for index in range(count):
        header.what = f"the key of metadata entry {index}"
        key = header.text(MAX_NAME_BYTES)
        header.what = f"the metadata key {key!r}"
        if key in metadata:
            raise header.error("appears twice")
        metadata[key] = _read_value(header, header.unsigned(_U32))
    return metadata


def _read_value(header: _Header, kind: int) -> Value:
    if kind == _ARRAY:
        return _read_array(header)
    if kind == _STRING:
        return header.text()
    if kind not in _SCALARS:
        raise header.error(f"has the unknown value type {kind}")
    if kind == _BOOL:
        return _read_bool(header)
    return header.number(_SCALARS[kind])


def _read_array(header: _Header) -> list[Scalar]:
    kind = header.unsigned(_U32)
    if kind == _STRING:
        return [header.text() for _ in range(header.count(8))]
    if kind not in _SCALARS:
        raise header.error(f"is an array of value type {kind}, which GGUF does not have")
    layout = _SCALARS[kind]
    count = header.count(layout.size)
    values: list[Scalar] = np.frombuffer(header.take(count * layout.size), dtype=layout.format).tolist()
    return values


def _read_bool(header: _Header) -> bool:
    value = header.take(1)[0]
    if value > 1:
        raise header.error(f"is a bool of value {value}")
    return bool(value)


def _alignment(path: Path, metadata: Mapping[str, Value]) -> int:
    value = metadata.get("general.alignment", DEFAULT_ALIGNMENT)
    if type(value) is not int or not 1 <= value <= 1 << 20 or value & (value - 1):
        raise ModelFormatError(f"{path}: general.alignment is {brief(value)}; it must be a power of two up to 2^20")
    return value


def _read_tensor_infos(header: _Header, count: int, alignment: int) -> dict[str, TensorInfo]:
    found: list[TensorInfo] = []
    names: set[str] = set()
    for index in range(count):
        header.what = f"the name of tensor {index}"
        name = header.text(MAX_NAME_BYTES)
        header.what = f"tensor {name!r}"
        if name in names:
            raise header.error("appears twice")
        names.add(name)
        found.append(_read_tensor_info(header, name, alignment))
    start = -(-header.position // alignment) * alignment
    placed = [replace(info, offset=start + info.offset) for info in found]
    _check_layout(header, placed)
    return {info.name: info for info in placed}


def _read_tensor_info(header: _Header, name: str, alignment: int) -> TensorInfo:
    """One entry of the tensor list; its offset still counts from the start of the data."""
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

    num_dimensions = header.unsigned(_U32)
    if not 1 <= num_dimensions <= MAX_DIMENSIONS:
        raise header.error(f"has {num_dimensions} dimensions; 1 to {MAX_DIMENSIONS} are allowed")
    shape = tuple(header.unsigned(_U64) for _ in range(num_dimensions))[::-1]
    code = header.unsigned(_U32)
    offset = header.unsigned(_U64)
    if 0 in shape:
        raise header.error(f"has the shape {list(shape)}, which is empty")
    try:
        kind = GGMLQuantizationType(code)
    except ValueError:
        raise UnsupportedModelError(
            f"{header.path}: tensor {name!r} is of the unknown type {code}; update the gguf package or use another file"
        ) from None
    block_values, block_bytes = GGML_QUANT_SIZES[kind]
    if shape[-1] % block_values:
        raise header.error(f"has rows of {shape[-1]} values, not a multiple of {kind.name}'s block of {block_values}")
    if offset % alignment:
        raise header.error(f"begins at offset {offset}, which is not a multiple of the alignment {alignment}")
    return TensorInfo(name, shape, kind.name, offset, math.prod(shape) // block_values * block_bytes)


def _check_layout(header: _Header, tensors: list[TensorInfo]) -> None:
    """Every tensor lies inside the file, and none overlaps another."""
    end, before = 0, ""
    for info in sorted(tensors, key=lambda info: info.offset):
        header.what = f"tensor {info.name!r}"
        if info.offset < end:
            raise header.error(f"overlaps tensor {before!r}")
        end, before = info.offset + info.size_bytes, info.name
        if end > header.file_bytes:
            raise header.error(f"ends at byte {end}, but the file has {header.file_bytes}")


def brief(value: Value) -> str:
    """``repr`` of a metadata value, short enough for a message."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
