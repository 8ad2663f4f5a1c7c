"""Checkpoints: folders that are there completely or not at all.

A checkpoint is written under a hidden name; every file is flushed to the disk and entered into a manifest with its size
and SHA-256; then the folder is renamed. Whoever is killed in between leaves only what the next start removes.
"""

import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from chatwright.errors import ModelFormatError, StorageError
from chatwright.model.safetensors_io import write_safetensors

MANIFEST = "manifest.json"
_FORMAT = 1
_NAME = re.compile(r"checkpoint-(\d+)")
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a checkpoint says of itself.

    Attributes:
        path: its folder.
        step: steps of the run that had been taken.
        stage, stage_step: the stage it belongs to, and steps within it.
        eval_loss: of the evaluation at this very step; None if there was none.
    """

    path: Path
    step: int
    stage: str
    stage_step: int
    eval_loss: float | None = None


@contextmanager
def new_checkpoint(
    run: Path, *, step: int, stage: str, stage_step: int, eval_loss: float | None = None
) -> Iterator[Checkpoint]:
    """Within the block, fill the folder ``path`` of what is given; it becomes ``checkpoint-STEP`` when the block ends.

    Raises:
        StorageError: the disk is full or the place cannot be written; nothing is left behind.
    """
    target = checkpoint_path(run, step)
    partial = run / f".checkpoint-{step}.partial"
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        yield Checkpoint(partial, step, stage, stage_step, eval_loss)
        about = {"step": step, "stage": stage, "stage_step": stage_step, "eval_loss": eval_loss}
        files = {name: _flushed(partial / name) for name in _files(partial)}
        write_values(partial / MANIFEST, {"format": _FORMAT, **about, "files": files})
        _sync_folders(partial)
        if target.exists():  # damaged, or of steps that are being taken again
            _vanish(target)
        os.rename(partial, target)
        _sync(run)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        if isinstance(error, StorageError):
            raise
        raise StorageError(f"{target} cannot be written: {error.strerror or error}; free some space") from error
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def checkpoint_path(run: Path, step: int) -> Path:
    """The folder of the checkpoint after so many steps of a run."""
    return run / f"checkpoint-{step}"


def write_values(path: Path, values: Mapping[str, Any]) -> None:
    """Write plain values as JSON, flushed to the disk."""
    with path.open("w", encoding="utf-8") as file:
        json.dump(values, file, allow_nan=False, separators=(",", ":"))
        file.flush()
        os.fsync(file.fileno())


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors, one at a time; no tensors, no file."""
    if tensors:
        specs = {name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in tensors.items()}
        write_safetensors(path, specs, tensors.values())


def read_tensors(path: Path) -> dict[str, Tensor]:
    """What :func:`write_tensors` wrote, on the CPU."""
    try:
        return load_file(path) if path.exists() else {}
    except SafetensorError as error:
        raise ModelFormatError(f"{path} is damaged: {error}; go on from an earlier checkpoint") from None


def read_values(path: Path) -> dict[str, Any]:
    """What :func:`write_values` wrote.

    Raises:
        ModelFormatError: the file is missing or damaged.
    """
    try:
        values = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ModelFormatError(f"{path} cannot be read: {error}; go on from an earlier checkpoint") from None
    if not isinstance(values, dict):
        raise ModelFormatError(f"{path} is damaged: it is no JSON object; go on from an earlier checkpoint")
    return values


def open_checkpoint(path: Path) -> Checkpoint:
    """A checkpoint whose files are all there with their sizes; the contents are left to :func:`verify`.

    Raises:
        ModelFormatError: it is not complete; names the file.
    """
    manifest = read_values(path / MANIFEST)
    try:
        if manifest["format"] != _FORMAT:
            raise ModelFormatError(f"{path} is of format {manifest['format']}, made by another version of Chatwright")
        for name, entry in manifest["files"].items():
            file = path / name
            size = file.stat().st_size if file.is_file() else None
            if size != entry["size"]:
                found = "is missing" if size is None else f"has {size} bytes"
                raise ModelFormatError(f"{path} is damaged: {name} {found}, of {entry['size']}")
        about = {name: manifest[name] for name in ("step", "stage", "stage_step", "eval_loss")}
    except (KeyError, TypeError, AttributeError):
        raise ModelFormatError(f"{path} is damaged: {MANIFEST} does not say what it should") from None
    return Checkpoint(path, **about)


def verify(checkpoint: Checkpoint) -> None:
    """Compare every file's content with the manifest.

    Raises:
        ModelFormatError: a file was changed; names it.
    """
    for name, entry in read_values(checkpoint.path / MANIFEST)["files"].items():
        with (checkpoint.path / name).open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != entry["sha256"]:
                raise ModelFormatError(f"{checkpoint.path} is damaged: the content of {name} was changed")


def list_checkpoints(run: Path) -> list[Checkpoint]:
    """The complete checkpoints of a run, oldest first."""
    found = []
    for path in _folders(run):
        try:
            found.append(open_checkpoint(path))
        except ModelFormatError:
            continue
    return found


def newest_checkpoint(run: Path, warn: Callable[[str], None] = _LOG.warning) -> Checkpoint | None:
    """The newest checkpoint that is complete and unchanged; None without any.

    Args:
        run: the run's folder.
        warn: told of each newer one that is damaged, in a sentence.
    """
    for path in reversed(_folders(run)):
        try:
            checkpoint = open_checkpoint(path)
            verify(checkpoint)
        except (ModelFormatError, OSError) as error:
            warn(f"{error}; trying the checkpoint before it")
            continue
        return checkpoint
    return None


def newest_name(run: Path) -> str:
    """For messages: which checkpoint is the last good one."""
    complete = list_checkpoints(run)
    return f"{complete[-1].path.name} is the last good one" if complete else "there is none before it"


def prune(run: Path, stage: str, keep: int) -> None:
    """Remove all but the ``keep`` newest checkpoints and the one that was evaluated best in ``stage``."""
    complete = list_checkpoints(run)
    kept = {checkpoint.path for checkpoint in complete[-keep:]}
    best = best_checkpoint(complete, stage)
    if best is not None:
        kept.add(best.path)
    for path in _folders(run):
        if path not in kept:
            _vanish(path)


def best_checkpoint(checkpoints: list[Checkpoint], stage: str) -> Checkpoint | None:
    """The one with the lowest ``eval_loss`` of a stage, the first of equals; None if none was evaluated."""
    evaluated = [(c.eval_loss, c.step, c) for c in checkpoints if c.stage == stage and c.eval_loss is not None]
    return min(evaluated, key=lambda entry: entry[:2])[2] if evaluated else None


def tidy(run: Path, step: int) -> None:
    """Remove what a killed run left half written, and checkpoints after ``step``: those steps are taken again."""
    for path in run.glob(".checkpoint-*"):
        shutil.rmtree(path, ignore_errors=True)
    for path in _folders(run):
        if _step(path) > step:
            _vanish(path)


def _folders(run: Path) -> list[Path]:
    """Everything that calls itself a checkpoint, by step."""
    if not run.is_dir():
        return []
    return sorted((path for path in run.iterdir() if _NAME.fullmatch(path.name)), key=_step)


def _step(path: Path) -> int:
    match = _NAME.fullmatch(path.name)
    assert match is not None
    return int(match[1])


def _files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def _flushed(path: Path) -> dict[str, Any]:
    """A file's entry in the manifest, once it is on the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        return {"size": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def _sync_folders(root: Path) -> None:
    for path in root.rglob("*"):
        if path.is_dir():
            _sync(path)
    _sync(root)


def _sync(folder: Path) -> None:
    """Make names in a folder durable; not every system lets a folder be opened for that."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _vanish(path: Path) -> None:
    """Remove a checkpoint in one go: half of one must not be found under its name."""
    hidden = path.with_name(f".{path.name}.removed")
    shutil.rmtree(hidden, ignore_errors=True)
    os.rename(path, hidden)
    shutil.rmtree(hidden, ignore_errors=True)
