"""From a model's files to a CPU runner: the cache of packed weights, whatever has happened to it."""

import errno
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from chatwright.engine.build import build_runner
from chatwright.engine.cpu import build, weights
from chatwright.engine.cpu.runner import CpuRunner
from chatwright.engine.cpu.weights import cached_weights
from chatwright.engine.runner import Chunk
from chatwright.model.load import load_model
from chatwright.paths import cache_dir

Start = Callable[[], np.ndarray]


@pytest.fixture
def start(tiny_model_dir: Path) -> Start:
    """Starts the runner as a new process would, and gives the logits of a few tokens."""

    def start_() -> np.ndarray:
        runner = build_runner(tiny_model_dir, device="cpu", threads=1, kv_memory_bytes=2**20)
        assert isinstance(runner, CpuRunner)
        logits = runner.run([Chunk([5, 6, 7], 0, [0], 3)]).copy()
        runner.close()
        return logits

    return start_


def packed_folders() -> list[Path]:
    return sorted((cache_dir() / "packed").glob("v*/*"))


def test_the_second_start_reads_what_the_first_has_packed(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    first = start()
    assert len(packed_folders()) == 1
    monkeypatch.setattr(build, "_reader", lambda *args: pytest.fail("packed again"))
    assert np.array_equal(start(), first)


@pytest.mark.parametrize("part", ["data", "matrices", "vectors", "vector_at", "seal"])
def test_what_is_cut_short_damaged_or_gone_is_packed_again(start: Start, part: str) -> None:
    """A damaged table must never reach the kernel: nothing there checks the bounds of arrays."""
    first = start()
    file = packed_folders()[0] / f"{part}.npy"
    whole = file.read_bytes()
    middle, last = len(whole) // 2, len(whole) - 1
    damaged = [b"", whole[:50], whole[:-1], b"{" * len(whole)]
    if part != "data":
        damaged += [whole[:at] + bytes([whole[at] ^ 64]) + whole[at + 1 :] for at in (130, last)]
    else:
        damaged.append(whole.replace(b"|u1", b"|i1", 1)[:middle])
    for content in damaged:
        file.write_bytes(content)
        assert np.array_equal(start(), first)
        assert file.read_bytes() == whole
    file.unlink()
    assert np.array_equal(start(), first)
    assert file.read_bytes() == whole


def test_a_cache_that_cannot_be_written_is_one_warning(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    first = start()
    packed = cache_dir() / "packed"
    shutil.rmtree(packed)
    packed.write_text("a file where the folder should be")
    with caplog.at_level(logging.WARNING):
        assert np.array_equal(start(), first)
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 1
    assert "CHATWRIGHT_CACHE" in messages[0]


def test_a_full_disk_leaves_no_half_of_a_cache(
    start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(weights.os, "fsync", full)
        first = start()
    assert [message for message in caplog.messages if "No space left" in message]
    assert packed_folders() == []
    assert np.array_equal(start(), first)
    assert len(packed_folders()) == 1


def test_two_processes_that_pack_at_once(
    tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The other one puts its folder there just before this one would."""
    model, folder = load_model(tiny_model_dir), tmp_path / "packed"
    state, remove = model.state_dict(), shutil.rmtree

    def read(name: str) -> np.ndarray:
        return state[name].float().numpy()

    def remove_then_lose(path: Path, **options: bool) -> None:
        remove(path, **options)
        if path == folder:
            monkeypatch.undo()
            cached_weights(model.config, read, folder)

    monkeypatch.setattr(weights.shutil, "rmtree", remove_then_lose)
    first, second = cached_weights(model.config, read, folder), cached_weights(model.config, read, folder)
    assert np.array_equal(first.data, second.data)
    assert [path.name for path in tmp_path.iterdir()] == ["packed"]
    assert caplog.messages == []


def test_another_models_weights_are_not_taken_for_this_ones(start: Start, tiny_model_dir: Path, tmp_path: Path) -> None:
    """The folder is named after the content of the model, not after its path."""
    first = start()
    other = tmp_path / "other"
    shutil.copytree(tiny_model_dir, other)
    weights = bytearray((other / "model.safetensors").read_bytes())
    weights[-3:] = b"\x00\x00\x3f"
    (other / "model.safetensors").write_bytes(weights)
    runner = build_runner(other, device="cpu", threads=1, kv_memory_bytes=2**20)
    runner.close()
    assert len(packed_folders()) == 2
    assert np.array_equal(start(), first)
