"""GGUF files that are truncated, lie or are damaged: a clear error, never a crash, a hang or a huge allocation."""

import contextlib
import struct
import tracemalloc
from pathlib import Path

import gguf
import numpy as np
import pytest
from gguf.quants import _type_traits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatwright.errors import ModelFormatError, ModelNotFoundError, UnsupportedModelError
from chatwright.model.gguf_file import open_gguf

U32, STRING, ARRAY = 4, 8, 9


def text(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(raw)) + raw


def entry(key: str | bytes, kind: int, value: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + value


def tensor(name: str, shape: tuple[int, ...], kind: int = 0, offset: int = 0) -> bytes:
    dimensions = struct.pack(f"<I{len(shape)}Q", len(shape), *reversed(shape))
    return text(name) + dimensions + struct.pack("<IQ", kind, offset)


def gguf_bytes(
    entries: list[bytes] | None = None,
    tensors: list[bytes] | None = None,
    *,
    data: bytes = b"",
    version: int = 3,
    magic: bytes = b"GGUF",
    counts: tuple[int, int] | None = None,
) -> bytes:
    entries = [entry("general.architecture", STRING, text("llama"))] if entries is None else entries
    tensors = tensors or []
    num_tensors, num_entries = counts or (len(tensors), len(entries))
    header = magic + struct.pack("<IQQ", version, num_tensors, num_entries) + b"".join(entries) + b"".join(tensors)
    return header + b"\0" * (-len(header) % 32) + data


@pytest.fixture
def write(tmp_path: Path):
    def write(content: bytes) -> Path:
        path = tmp_path / "model.gguf"
        path.write_bytes(content)
        return path

    return write


VALID = gguf_bytes(
    [
        entry("general.architecture", STRING, text("llama")),
        entry("some.number", U32, struct.pack("<I", 7)),
        entry("some.list", ARRAY, struct.pack("<IQ", STRING, 2) + text("a") + text("b")),
        entry("some.floats", ARRAY, struct.pack("<IQ", 6, 2) + struct.pack("<2f", 0.5, 1.5)),
    ],
    [tensor("a", (2, 3)), tensor("b", (32,), kind=8, offset=32)],
    data=np.arange(6, dtype="<f4").tobytes() + bytes(8) + bytes(34),
)


def test_reads_what_was_written(write):
    with open_gguf(write(VALID)) as file:
        assert file.architecture == "llama"
        assert file.metadata["some.number"] == 7
        assert file.metadata["some.list"] == ["a", "b"]
        assert file.metadata["some.floats"] == [0.5, 1.5]
        np.testing.assert_array_equal(file.tensor("a"), np.arange(6, dtype=np.float32).reshape(2, 3))
        np.testing.assert_array_equal(file.tensor("b"), np.zeros(32, np.float32))


@pytest.mark.parametrize("size", [*range(40), *range(40, len(VALID), 7), len(VALID) - 1])
def test_truncated_anywhere(write, size: int):
    with pytest.raises(ModelFormatError, match=r"model\.gguf"):
        open_gguf(write(VALID[:size]))


HUGE = 2**63
BAD = {
    "wrong magic": (gguf_bytes(magic=b"GGML"), ModelFormatError, "not a GGUF"),
    "version 1": (gguf_bytes(version=1), UnsupportedModelError, "version 1"),
    "version 99": (gguf_bytes(version=99), UnsupportedModelError, "version 99"),
    "big-endian": (gguf_bytes(version=3 << 24), UnsupportedModelError, "big-endian"),
    "lying tensor count": (gguf_bytes(counts=(HUGE, 1)), ModelFormatError, "tensor count"),
    "lying metadata count": (gguf_bytes(counts=(0, HUGE)), ModelFormatError, "metadata count"),
    "lying key length": (gguf_bytes([struct.pack("<Q", HUGE) + b"x" * 40]), ModelFormatError, "entry 0"),
    "lying string length": (gguf_bytes([entry("k", STRING, struct.pack("<Q", HUGE))]), ModelFormatError, "'k'"),
    "lying array length": (gguf_bytes([entry("k", ARRAY, struct.pack("<IQ", 4, HUGE))]), ModelFormatError, "'k'"),
    "lying string list": (gguf_bytes([entry("k", ARRAY, struct.pack("<IQ", 8, HUGE))]), ModelFormatError, "'k'"),
    "nested array": (gguf_bytes([entry("k", ARRAY, struct.pack("<IQ", 9, 1))]), ModelFormatError, "'k'"),
    "unknown value type": (gguf_bytes([entry("k", 77, bytes(8))]), ModelFormatError, "type 77"),
    "bool of 2": (gguf_bytes([entry("k", 7, b"\2")]), ModelFormatError, "bool"),
    "key not UTF-8": (gguf_bytes([entry(b"\xff\xfe", U32, bytes(4))]), ModelFormatError, "UTF-8"),
    "key twice": (gguf_bytes([entry("k", U32, bytes(4))] * 2), ModelFormatError, "'k' appears twice"),
    "alignment of 3": (
        gguf_bytes([entry("general.alignment", U32, struct.pack("<I", 3))]),
        ModelFormatError,
        "alignment",
    ),
    "alignment of 0": (gguf_bytes([entry("general.alignment", U32, bytes(4))]), ModelFormatError, "alignment"),
    "split file": (gguf_bytes([entry("split.count", 2, struct.pack("<H", 3))]), UnsupportedModelError, "merge"),
    "tensor twice": (gguf_bytes(tensors=[tensor("t", (1,))] * 2, data=bytes(64)), ModelFormatError, "'t' appears"),
    "overlap": (
        gguf_bytes(tensors=[tensor("s", (16,)), tensor("t", (1,), offset=32)], data=bytes(64)),
        ModelFormatError,
        "'t' overlaps tensor 's'",
    ),
    "no dimensions": (gguf_bytes(tensors=[tensor("t", ())], data=bytes(64)), ModelFormatError, "0 dimensions"),
    "five dimensions": (gguf_bytes(tensors=[tensor("t", (1,) * 5)], data=bytes(64)), ModelFormatError, "5 dimensions"),
    "empty dimension": (gguf_bytes(tensors=[tensor("t", (0, 4))], data=bytes(64)), ModelFormatError, "empty"),
    "product overflows": (
        gguf_bytes(tensors=[tensor("t", (2**32, 2**32))], data=bytes(64)),
        ModelFormatError,
        "'t' ends at byte",
    ),
    "beyond the end": (gguf_bytes(tensors=[tensor("t", (17,))], data=bytes(64)), ModelFormatError, "'t' ends at"),
    "offset beyond the end": (
        gguf_bytes(tensors=[tensor("t", (1,), offset=2**62)], data=bytes(64)),
        ModelFormatError,
        "'t' ends at",
    ),
    "crooked offset": (
        gguf_bytes(tensors=[tensor("t", (1,), offset=4)], data=bytes(64)),
        ModelFormatError,
        "alignment",
    ),
    "unknown tensor type": (gguf_bytes(tensors=[tensor("t", (32,), kind=999)]), UnsupportedModelError, "type 999"),
    "row not of whole blocks": (gguf_bytes(tensors=[tensor("t", (33,), kind=8)]), ModelFormatError, "block of 32"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_are_refused(write, case: str):
    content, error, message = BAD[case]
    path = write(content)
    tracemalloc.start()
    try:
        with pytest.raises(error, match=message) as caught:
            open_gguf(path)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()
    assert str(path) in str(caught.value)


def test_what_is_no_file(tmp_path: Path):
    for path in (tmp_path, tmp_path / "none.gguf"):
        with pytest.raises(ModelNotFoundError, match="not a file"):
            open_gguf(path)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.lists(st.tuples(st.integers(0, len(VALID) - 1), st.integers(0, 255)), max_size=6),
    cut=st.integers(0, len(VALID)),
)
def test_mutated_files_open_or_are_refused(write, changes: list[tuple[int, int]], cut: int):
    content = bytearray(VALID)
    for position, value in changes:
        content[position] = value
    try:
        with open_gguf(write(bytes(content[: max(cut, len(VALID) - cut)]))) as file:
            for name in file.tensors:
                file.tensor(name)
    except (ModelFormatError, UnsupportedModelError):
        pass


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.integers(4, 200), value=st.sampled_from([2**63, 2**64 - 1, 2**32, 2**31 - 1, 0, 1]))
def test_mutated_sizes_open_or_are_refused(write, position: int, value: int):
    content = VALID[:position] + struct.pack("<Q", value) + VALID[position + 8 :]
    with contextlib.suppress(ModelFormatError, UnsupportedModelError):
        open_gguf(write(content)).close()


def test_tensor_types_that_cannot_be_dequantised(write):
    path = write(gguf_bytes(tensors=[tensor("t", (8,), kind=24)], data=bytes(32)))  # I8
    with open_gguf(path) as file, pytest.raises(UnsupportedModelError, match="'t' is stored as I8"):
        file.tensor("t")


def test_file_cut_while_open(write):
    content = gguf_bytes(tensors=[tensor("t", (50_000,))], data=bytes(200_000))  # more than a buffer holds
    path = write(content)
    with open_gguf(path) as file:
        with path.open("r+b") as other:
            other.truncate(len(content) - 1000)
        with pytest.raises(ModelFormatError, match="'t' ends before"):
            file.tensor("t")


@pytest.mark.parametrize("kind", [gguf.GGMLQuantizationType.F32, gguf.GGMLQuantizationType.F16, *_type_traits])
@pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")
def test_every_quantisation_equals_the_official_reader(tmp_path: Path, kind: gguf.GGMLQuantizationType):
    block, block_bytes = gguf.GGML_QUANT_SIZES[kind]
    row_bytes = 5 * block_bytes if block > 1 else 64 * block_bytes
    raw = np.random.default_rng(int(kind)).integers(0, 256, (3, row_bytes), dtype=np.uint8)
    path = tmp_path / "quantised.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tensor("t", raw, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    [official] = gguf.GGUFReader(path).tensors
    with open_gguf(path) as file:
        ours = file.tensor("t")
    assert ours.dtype == np.float32
    np.testing.assert_array_equal(ours, gguf.dequantize(official.data, official.tensor_type).reshape(3, -1))
