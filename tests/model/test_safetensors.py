"""Safetensors files that lie, and the folder around them."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from chatwright.errors import ModelFormatError, StorageError
from chatwright.model.safetensors_io import SafetensorsFolder, read_header, write_safetensors

Header = dict[str, Any]
WEIGHTS = {"a": torch.arange(6, dtype=torch.float32).view(2, 3), "b": torch.arange(4, dtype=torch.bfloat16)}


def entry(dtype: str = "F32", shape: tuple[int, ...] = (2, 3), begin: int = 0, end: int = 24) -> Header:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


def raw_file(path: Path, header: object, data: bytes = b"\0" * 32, *, length: int | None = None) -> Path:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(raw) if length is None else length) + raw + data)
    return path


def good_header() -> Header:
    return {"a": entry(), "b": entry("BF16", (4,), 24, 32)}


LIES: dict[str, Callable[[Header], object]] = {
    "overlap": lambda h: h | {"b": entry("BF16", (4,), 20, 28)},
    "gap": lambda h: h | {"b": entry("BF16", (2,), 28, 32)},
    "does not start": lambda h: {"b": h["b"]},
    "takes 48 bytes, but has 24": lambda h: h | {"a": entry("F64")},
    "but has -24": lambda h: h | {"a": entry(begin=24, end=0)},
    "but the file has 32": lambda h: h | {"b": entry("BF16", (4000,), 24, 8024)},
    "unknown dtype": lambda h: h | {"a": entry("F31")},
    "impossible shape": lambda h: h | {"a": entry(shape=(-2, -3))},
    "impossible data_offsets": lambda h: h | {"a": h["a"] | {"data_offsets": [0]}},
    "nothing else": lambda h: h | {"a": h["a"] | {"code": "print()"}},
    "not a JSON object": lambda h: [h],
    "holds no tensors": lambda h: {"__metadata__": {}},
    "appears more than once": lambda h: b'{"a": %s, "a": %s}' % ((json.dumps(h["a"]).encode(),) * 2),
    "not valid JSON": lambda h: b'{"a": ',
    "'a' of shape": lambda h: h | {"a": entry(shape=(2**62, 2**62))},
    "shape [True": lambda h: h | {"a": entry(shape=(True, 6))},
}


@pytest.mark.parametrize("message", LIES)
def test_lying_headers_are_refused_by_name(message: str, tmp_path: Path) -> None:
    path = raw_file(tmp_path / "model.safetensors", LIES[message](good_header()))
    with pytest.raises(ModelFormatError) as caught:
        read_header(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


def test_deeply_nested_json_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFormatError, match="not valid JSON"):
        read_header(raw_file(tmp_path / "model.safetensors", b"[" * 200_000))


@pytest.mark.parametrize("length", [2**63 - 1, 2**64 - 1, 10_000])
def test_huge_header_size_allocates_nothing(length: int, tmp_path: Path) -> None:
    with pytest.raises(ModelFormatError, match="its header claims"):
        read_header(raw_file(tmp_path / "model.safetensors", good_header(), length=length))


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file(WEIGHTS, path)
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(ModelFormatError):
            read_header(path)


@given(st.data())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_files_are_read_rightly_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    """Whatever bytes change, the outcome is a ModelFormatError or tensors that lie within the file."""
    path = tmp_path / "model.safetensors"
    save_file(WEIGHTS, path)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(content) - 1))
        content[position] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        folder = SafetensorsFolder(tmp_path)
    except ModelFormatError:
        return
    for name, stored in folder.tensors.items():
        tensor = folder.tensor(name)
        assert tuple(tensor.shape) == stored.shape
        assert stored.start + stored.size_bytes <= len(content)
        tensor.clone()  # touches every byte: outside the file that would be a crash


_NAMES = st.sampled_from(["a", "b", "__metadata__", ""])
_SIZES = st.one_of(st.integers(-2, 40), st.integers(), st.booleans(), st.none(), st.floats())
_ENTRIES = st.one_of(
    st.fixed_dictionaries(
        {
            "dtype": st.sampled_from(["F32", "BF16", "U8", "F4", 3, None]),
            "shape": st.lists(_SIZES, max_size=3),
            "data_offsets": st.lists(_SIZES, min_size=1, max_size=3),
        }
    ),
    st.none(),
    st.lists(st.integers()),
    st.text(),
)


@given(header=st.dictionaries(_NAMES, _ENTRIES, max_size=4), data=st.binary(max_size=64))
@example(header={"a": entry("U8", (0,), 0, 0)}, data=b"")
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_header_is_read_rightly_or_refused(tmp_path: Path, header: Header, data: bytes) -> None:
    raw_file(tmp_path / "model.safetensors", header, data)
    try:
        folder = SafetensorsFolder(tmp_path)
    except ModelFormatError:
        return
    assert sum(stored.size_bytes for stored in folder.tensors.values()) == len(data)
    for name in folder.tensors:
        folder.tensor(name).clone()


def test_tensors_not_aligned_to_their_dtype_are_read(tmp_path: Path) -> None:
    data = b"\7" + struct.pack("<2f", 1.5, -2.5)
    header = {"one": entry("U8", (1,), 0, 1), "two": entry("F32", (2,), 1, 9)}
    raw = json.dumps(header).encode()
    raw += b" " * (-len(raw) % 8)
    raw_file(tmp_path / "model.safetensors", raw, data)
    assert SafetensorsFolder(tmp_path).tensor("two").tolist() == [1.5, -2.5]


def test_changing_a_loaded_tensor_leaves_the_file_alone(tmp_path: Path) -> None:
    save_file(WEIGHTS, tmp_path / "model.safetensors")
    SafetensorsFolder(tmp_path).tensor("a").fill_(9.0)
    assert torch.equal(load_file(tmp_path / "model.safetensors")["a"], WEIGHTS["a"])


def test_the_reference_implementation_reads_what_we_write(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    tensors = WEIGHTS | {"empty": torch.empty(0, 3, dtype=torch.float16), "transposed": torch.randn(3, 5).t()}
    specs = {name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in tensors.items()}
    write_safetensors(path, specs, tensors.values())
    for name, tensor in load_file(path).items():
        assert torch.equal(tensor, tensors[name]), name
    folder = SafetensorsFolder(tmp_path)
    assert all(torch.equal(folder.tensor(name), tensor) for name, tensor in tensors.items())


def test_a_full_disk_is_a_storage_error() -> None:
    with pytest.raises(StorageError, match="free some space"):
        write_safetensors(Path("/dev/full"), {"a": (torch.float32, (2, 3))}, [WEIGHTS["a"]])


def sharded(folder: Path) -> dict[str, str]:
    save_file({"a": WEIGHTS["a"]}, folder / "model-00001-of-00002.safetensors")
    save_file({"b": WEIGHTS["b"]}, folder / "model-00002-of-00002.safetensors")
    return {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}


def write_index(folder: Path, weight_map: object) -> None:
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


def test_shards_are_read_together(tmp_path: Path) -> None:
    write_index(tmp_path, sharded(tmp_path))
    folder = SafetensorsFolder(tmp_path)
    assert torch.equal(folder.tensor("a"), WEIGHTS["a"])
    assert torch.equal(folder.tensor("b"), WEIGHTS["b"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"a": "../model-00001-of-00002.safetensors"}, "outside the model's folder"),
        ({"a": "/etc/passwd.safetensors"}, "outside the model's folder"),
        ({"a": "C:\\model.safetensors"}, "outside the model's folder"),
        ({"a": "pytorch_model.bin"}, "not a .safetensors file"),
        ({"a": 3}, "not a .safetensors file"),
        ({"c": "model-00003-of-00002.safetensors"}, "which is not there"),
        ({"c": "model-00002-of-00002.safetensors"}, "lacks tensor 'c'"),
        ({"a": "model-00002-of-00002.safetensors"}, "holds tensor 'a'|lacks tensor 'a'"),
    ],
)
def test_an_index_that_lies_is_refused(change: dict[str, object], message: str, tmp_path: Path) -> None:
    write_index(tmp_path, sharded(tmp_path) | change)
    with pytest.raises(ModelFormatError, match=message):
        SafetensorsFolder(tmp_path)


def test_a_tensor_in_two_shards_is_refused(tmp_path: Path) -> None:
    weight_map = sharded(tmp_path)
    save_file(WEIGHTS, tmp_path / "model-00002-of-00002.safetensors")
    write_index(tmp_path, weight_map)
    with pytest.raises(ModelFormatError, match=r"holds tensor 'a', which .* places in model-00001"):
        SafetensorsFolder(tmp_path)


def test_a_tensor_that_the_index_does_not_list_is_refused(tmp_path: Path) -> None:
    weight_map = sharded(tmp_path)
    del weight_map["b"]
    save_file(WEIGHTS, tmp_path / "model-00001-of-00002.safetensors")
    write_index(tmp_path, weight_map)
    with pytest.raises(ModelFormatError, match=r"holds tensor 'b', which .* does not list"):
        SafetensorsFolder(tmp_path)
