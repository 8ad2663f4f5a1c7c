"""Whole GGUF files with damaged headers: a model folder comes out, or one of our errors; nothing else."""

import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from chatwright.errors import ChatwrightError
from chatwright.model.gguf_file import open_gguf
from chatwright.model.gguf_import import write_folder
from chatwright.model.gguf_write import write_gguf

SIZES = [0, 1, 3, 255, 2**16, 2**31 - 1, 2**32 - 1, 2**63, 2**64 - 1]
# Most of a header is vocabulary. What steers the reader stands at its beginning (counts, sizes) and its end (tensors).
POSITION = st.integers(0, 1500) | st.integers(-1600, -1) | st.integers(0, 7000)
CHANGE = st.tuples(
    POSITION,
    st.binary(min_size=1, max_size=2)
    | st.sampled_from(SIZES).map(lambda size: size.to_bytes(8, "little"))
    | st.sampled_from(SIZES).map(lambda size: size.to_bytes(8, "little")[:4]),
)


@pytest.fixture(scope="module")
def valid(tmp_path_factory: pytest.TempPathFactory, tiny_model_dir: Path) -> tuple[bytes, int]:
    """A file's bytes, and the length of its header."""
    path = tmp_path_factory.mktemp("fuzz") / "tiny.gguf"
    write_gguf(tiny_model_dir, path, dtype="q8_0")
    with open_gguf(path) as file:
        return path.read_bytes(), min(info.offset for info in file.tensors.values())


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(CHANGE, min_size=1, max_size=3))
@pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")
def test_damaged_headers(tmp_path: Path, valid: tuple[bytes, int], changes: list[tuple[int, bytes]]):
    content, header_bytes = bytearray(valid[0]), valid[1]
    for position, value in changes:
        start = position % header_bytes
        content[start : start + len(value)] = value
    path, folder = tmp_path / "damaged.gguf", tmp_path / "folder"
    path.write_bytes(content)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        with open_gguf(path) as file:
            write_folder(file, folder, torch.float32)
    except ChatwrightError:
        return
    Tokenizer.from_file(str(folder / "tokenizer.json"))
