"""An open GGUF file: checked metadata, and tensors dequantised one at a time by the official ``gguf`` package."""

import math
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self, TypeVar

import numpy as np

from chatwright.errors import ModelFormatError, ModelNotFoundError, UnsupportedModelError
from chatwright.model.gguf_header import TensorInfo, Value, brief, parse_header

# Bytes dequantised at once: small enough for the processor's cache, large enough that numpy's cost per call vanishes.
DEQUANTISE_CHUNK_BYTES = 256 * 1024

T = TypeVar("T")


class GGUFFile:
    """An open GGUF file; use it as a context manager.

    Attributes:
        path: the file.
        metadata: key → number, bool, string or list of these, in file order.
        tensors: name → where it lies, in file order.
    """

    def __init__(
        self, path: Path, metadata: Mapping[str, Value], tensors: Mapping[str, TensorInfo], stream: BinaryIO
    ) -> None:
        self.path = path
        self.metadata = metadata
        self.tensors = tensors
        self._stream = stream

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; ``tensor`` cannot be used afterwards."""
        self._stream.close()

    @property
    def architecture(self) -> str:
        """``general.architecture``, e.g. ``llama``."""
        return self.get("general.architecture", str)

    def get(self, key: str, kind: type[T], default: T | None = None) -> T:
        """The metadata value of ``key``, checked to be of ``kind`` (int, float, bool, str or list).

        Integers are accepted where a float is asked for. Raises ModelFormatError for another type, or where the key
        is missing and no default is given.
        """
        value = self.metadata.get(key)
        if value is None:
            if default is None:
                raise ModelFormatError(f"{self.path}: the metadata key {key!r} is missing; the file is incomplete")
            return default
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            raise ModelFormatError(f"{self.path}: the metadata key {key!r} holds {brief(value)}, not {kind.__name__}")
        if isinstance(value, float) and not math.isfinite(value):
            raise ModelFormatError(f"{self.path}: the metadata key {key!r} holds {value}")
        return value

    def strings(self, key: str) -> list[str]:
        """The list of strings under ``key``; ModelFormatError where it is missing or holds something else."""
        values: list[Any] = self.get(key, list)
        if not all(type(value) is str for value in values):
            raise ModelFormatError(f"{self.path}: the metadata key {key!r} is not a list of strings")
        return values

    def numbers(self, key: str) -> list[float]:
        """The list of numbers under ``key``; ModelFormatError where it is missing or holds something else."""
        values: list[Any] = self.get(key, list)
        if not all(type(value) in (int, float) for value in values):
            raise ModelFormatError(f"{self.path}: the metadata key {key!r} is not a list of numbers")
        return values

    def tensor(self, name: str) -> np.ndarray:
        """The values of one tensor, dequantised: float32, row-major, in memory of its own.

        Raises:
            UnsupportedModelError: the ``gguf`` package cannot dequantise its type.
            ModelFormatError: the file became shorter while it was open.
        """
        from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
        from gguf.quants import dequantize

        info = self.tensors[name]
        kind = GGMLQuantizationType[info.type_name]
        block_bytes = GGML_QUANT_SIZES[kind][1]
        self._stream.seek(info.offset)
        raw = np.empty(info.size_bytes, dtype=np.uint8)
        if self._stream.readinto(raw.data) != info.size_bytes:  # type: ignore[attr-defined]
            raise ModelFormatError(f"{self.path}: tensor {name!r} ends before its last byte; the file was cut")
        if info.type_name == "F32":
            return raw.view("<f4").reshape(info.shape)
        values = np.empty(math.prod(info.shape), dtype=np.float32)
        # gguf works on 16 rows at a time, which for short rows is mostly overhead (2.0 s instead of 0.4 s for 135M
        # parameters). Quantisation knows blocks and no rows, so it is handed rows of our own choice.
        step = max(1, DEQUANTISE_CHUNK_BYTES // block_bytes) * block_bytes
        filled = 0
        for start in range(0, len(raw), step):
            try:
                chunk = dequantize(raw[start : start + step].reshape(1, -1), kind).reshape(-1)
            except NotImplementedError:
                raise UnsupportedModelError(
                    f"{self.path}: tensor {name!r} is stored as {info.type_name}, which cannot be dequantised; "
                    "use a file of another quantisation, such as Q8_0 or Q4_K_M"
                ) from None
            values[filled : filled + len(chunk)] = chunk
            filled += len(chunk)
        return values.reshape(info.shape)


def open_gguf(path: str | Path) -> GGUFFile:
    """Open a GGUF file and check its whole header.

    Raises:
        ModelNotFoundError: there is no such file.
        ModelFormatError: not a GGUF, truncated, or contradicting itself; names the key or tensor.
        UnsupportedModelError: version 1, big-endian, split over several files, or of an unknown tensor type.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelNotFoundError(f"{path} is not a file; give the path of a .gguf file")
    try:
        stream = path.open("rb")
    except OSError as error:
        raise ModelFormatError(f"{path} cannot be read: {error.strerror}") from None
    try:
        metadata, tensors = parse_header(path, stream)
        return GGUFFile(path, metadata, tensors, stream)
    except BaseException:
        stream.close()
        raise
