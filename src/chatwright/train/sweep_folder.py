"""A sweep's folder: what lies where, and how it is entered: new, or to go on."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from chatwright.errors import ConfigError, StorageError
from chatwright.train.run_folder import write_text

SWEEP_FILE, BEST_FILE, PICTURE_FILE, STUDY_FILE = "sweep.json", "best.yaml", "sweep.png", "study.db"


@contextmanager
def open_sweep(folder: Path, definition: dict[str, Any], *, resume: bool) -> Iterator[None]:
    """Enter a sweep's folder, alone."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{folder} cannot be made: {error.strerror or error}; give another --study") from None
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise StorageError(f"another sweep is running in {folder}; wait for it, or give another --study") from None
    try:
        _check_entry(folder, definition, resume=resume)
        if not (folder / SWEEP_FILE).is_file():
            write_text(folder / SWEEP_FILE, as_json({"definition": definition, "trials": []}))
        yield
    finally:
        lock.release()


def _check_entry(folder: Path, definition: dict[str, Any], *, resume: bool) -> None:
    stored = folder / SWEEP_FILE
    if not stored.is_file():
        others = [entry.name for entry in folder.iterdir() if not entry.name.startswith(".")]
        if others:
            raise ConfigError(f"{folder} holds other things ({others[0]} …) and no sweep; give another --study")
        return
    if not resume:
        raise ConfigError(f"{folder} already holds a sweep; add --resume to go on with it, or give another --study")
    before = json.loads(stored.read_text("utf-8"))["definition"]
    changed = [key for key, value in definition.items() if before.get(key) != value]
    if changed:
        raise ConfigError(
            f"the sweep in {folder} was begun with another {changed[0]}; only --trials may change when it goes on: "
            "put it back, or give another --study"
        )


def as_json(values: Mapping[str, Any]) -> str:
    """A file's text."""
    return json.dumps(values, ensure_ascii=False, indent=2) + "\n"
