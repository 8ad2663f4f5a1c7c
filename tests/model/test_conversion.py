"""The cache of converted GGUF files: fast when known, whole or absent, safe under two processes."""

import json
import logging
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from chatwright.errors import ModelFormatError, ModelNotFoundError, StorageError
from chatwright.model import conversion
from chatwright.model.conversion import converted
from chatwright.model.gguf_write import write_gguf
from chatwright.model.load import load_model
from chatwright.paths import cache_dir


@pytest.fixture
def source(tmp_path: Path, tiny_model_dir: Path) -> Path:
    path = tmp_path / "tiny.gguf"
    write_gguf(tiny_model_dir, path, dtype="q8_0")
    return path


@pytest.fixture(autouse=True)
def forget_temporary_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversion, "_temporary", {})


def leftovers() -> list[Path]:
    return list((cache_dir() / "converted").rglob(".partial-*"))


def test_second_start_opens_nothing(source: Path, monkeypatch: pytest.MonkeyPatch):
    first = converted(source)
    monkeypatch.setattr(conversion, "open_gguf", lambda path: pytest.fail("the file was parsed again"))
    assert converted(source) == first
    assert converted(str(source)) == first
    assert not leftovers()


def test_known_by_content_and_not_by_name(source: Path, tmp_path: Path, tiny_model_dir: Path):
    copy = tmp_path / "copy.gguf"
    shutil.copy(source, copy)
    first = converted(source)
    assert converted(copy) == first
    write_gguf(tiny_model_dir, copy, dtype="f32")
    assert converted(copy) != first
    assert converted(source, "bfloat16") != first


def test_float32_is_exact_and_bfloat16_rounds_it(source: Path):
    exact = load_model(source, dtype="float32").state_dict()
    rounded = load_model(source, dtype="bfloat16").state_dict()
    for name, weight in exact.items():
        assert weight.dtype == torch.float32
        assert torch.equal(rounded[name], weight.to(torch.bfloat16))


@pytest.mark.parametrize("harm", ["remove", "cut"])
def test_a_damaged_folder_is_made_anew(source: Path, harm: str):
    weights = converted(source) / "model.safetensors"
    if harm == "remove":
        weights.unlink()
    else:
        os.truncate(weights, 100)
    assert converted(source) == weights.parent
    load_model(source)
    assert not leftovers()


def test_abandoned_folders_are_swept(source: Path):
    home = converted(source).parent
    old, young = home / ".partial-old", home / ".partial-young"
    old.mkdir()
    young.mkdir()
    day_before_yesterday = time.time() - 48 * 3600
    os.utime(old, (day_before_yesterday, day_before_yesterday))
    converted(source, "bfloat16")
    assert leftovers() == [young]


SCRIPT = "import sys; from chatwright.model.conversion import converted; print(converted(sys.argv[1]))"


def test_two_processes_at_once(source: Path):
    runs = [
        subprocess.Popen([sys.executable, "-c", SCRIPT, str(source)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    results = [run.communicate() for run in runs]
    assert [run.returncode for run in runs] == [0, 0], results
    assert results[0][0] == results[1][0]
    folder = Path(results[0][0].decode().strip())
    assert json.loads((folder / "conversion.json").read_text())["source"] == "tiny.gguf"
    load_model(source)
    assert not leftovers()


def test_a_slower_process_takes_the_faster_ones_folder(source: Path, monkeypatch: pytest.MonkeyPatch):
    """Another process finishes while ours is still writing."""
    fill = conversion._fill

    def overtaken(folder: Path, *arguments: object) -> None:
        monkeypatch.setattr(conversion, "_fill", fill)
        converted(source)
        fill(folder, *arguments)

    monkeypatch.setattr(conversion, "_fill", overtaken)
    folder = converted(source)
    assert (folder / "conversion.json").is_file()
    assert not leftovers()


def test_disk_too_small(source: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(conversion.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(100, 99, 1_000_000))
    with pytest.raises(
        StorageError, match=r"MB are needed and 1 MB are free; free some space, or set CHATWRIGHT_CACHE"
    ):
        converted(source)
    assert not leftovers()


@pytest.mark.skipif(sys.platform == "win32", reason="the limit on file sizes is a POSIX one")
def test_disk_full_while_writing(source: Path):
    """A write that fails half-way, as on a full disk: one sentence, and nothing is left behind."""
    script = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000));"
        "from chatwright.errors import StorageError; from chatwright.model.conversion import converted\n"
        "try: converted(sys.argv[1])\n"
        "except StorageError as error: print(error)"
    )
    run = subprocess.run([sys.executable, "-c", script, str(source)], capture_output=True, text=True, check=True)
    [line] = run.stdout.splitlines()
    assert "tiny.gguf cannot be converted in" in line
    assert "File too large; free some space" in line
    assert not leftovers()
    assert not list((cache_dir() / "converted").rglob("*.safetensors"))


def test_a_cache_that_cannot_be_written(source: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog):
    """It works all the same, in a temporary folder, with one warning that says what to do."""
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where the cache folder should be")
    monkeypatch.setenv("CHATWRIGHT_CACHE", str(blocked))
    with caplog.at_level(logging.WARNING):
        folder = converted(source)
        assert converted(source) == folder
    [record] = caplog.records
    assert "CHATWRIGHT_CACHE" in record.getMessage()
    assert load_model(source).config.num_layers == 2


def test_temporary_folder_goes_when_the_program_ends(source: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    blocked = tmp_path / "blocked"
    blocked.write_text("")
    environment = {**os.environ, "CHATWRIGHT_CACHE": str(blocked), "TMPDIR": str(tmp_path)}
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(source)], env=environment, capture_output=True, text=True, check=True
    )
    assert Path(run.stdout.strip()).parent == tmp_path
    assert not list(tmp_path.glob("chatwright-*"))


def test_errors_of_the_file_are_passed_on_and_leave_nothing(source: Path, tmp_path: Path):
    with pytest.raises(ModelNotFoundError):
        converted(tmp_path / "none.gguf")
    os.truncate(source, source.stat().st_size - 100)
    with pytest.raises(ModelFormatError, match="fetch the file again"):
        converted(source)
    assert not leftovers()
