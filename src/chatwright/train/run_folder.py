"""A run's folder: what lies where, and how it is entered: new, or to go on.

::

    runs/NAME/
      recipe.yaml        the recipe with every default written out
      metrics.jsonl      one object for each step, and one for each evaluation
      samples.jsonl      answers to the recipe's questions as training goes
      tokenizer/         when the recipe trains one
      data/STAGE/        tokenised examples, and what was read, dropped and cut
      checkpoint-STEP/   to go on from; steps are counted over all stages
      stages/STAGE/      each finished stage's model
      model/             the last one
      report.json  report.html  curves.png
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from chatwright.errors import ConfigError, StorageError
from chatwright.train.metrics import JsonLines
from chatwright.train.recipe import Recipe
from chatwright.train.recipe_source import flatten, parse_yaml

RECIPE_FILE = "recipe.yaml"
STAGE_FILE = "stage.json"

# May differ when a run goes on: they change how it is watched and how a step is divided, not what is learned.
_FREE_KEYS = {
    "name",
    "output",
    "device",
    "report_to",
    "logging_steps",
    "save_steps",
    "save_total_limit",
    "per_device_train_batch_size",
    "gradient_accumulation_steps",
    "gradient_checkpointing",
    "torch_compile",
    "parallel",
}


@dataclass(frozen=True, slots=True)
class StageRecord:
    """What is kept of a finished stage, beside its model.

    Attributes:
        name, objective: of the stage.
        first_step, steps: optimiser steps of the run before it, and its own.
        tokens: trained on.
        seconds: that its steps took.
        figures: of its end: ``loss``, ``eval_loss`` and what else the objective reports.
        facts: ``parameters``, ``trainable_parameters``, ``train_examples`` …
    """

    name: str
    objective: str
    first_step: int
    steps: int
    tokens: int
    seconds: float
    figures: dict[str, float | None]
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def last_step(self) -> int:
        """Steps of the run when it ended."""
        return self.first_step + self.steps

    def write(self, folder: Path) -> None:
        """Put the record beside the model."""
        write_text(folder / STAGE_FILE, json.dumps(asdict(self), ensure_ascii=False, indent=2) + "\n")

    @classmethod
    def read(cls, folder: Path) -> "StageRecord | None":
        """The record of a finished stage; None where there is none."""
        path = folder / STAGE_FILE
        return cls(**json.loads(path.read_text("utf-8"))) if path.is_file() else None


class RunFolder:
    """Paths, and the files that are written as the run goes.

    Args:
        path: of the folder, which exists.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.metrics = JsonLines(path / "metrics.jsonl")
        self.samples = JsonLines(path / "samples.jsonl")
        self.tokenizer = path / "tokenizer"
        self.model = path / "model"

    def stage(self, name: str) -> Path:
        """The folder of a finished stage's model."""
        return self.path / "stages" / name

    def data(self, stage: str) -> Path:
        """The folder of a stage's tokenised examples."""
        return self.path / "data" / stage

    def work(self, stage: str) -> Path:
        """A stage's own folder for what its objective computes once; made if need be."""
        folder = self.data(stage) / "objective"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @property
    def is_begun(self) -> bool:
        """Whether something of a model is kept: a finished stage or a checkpoint."""
        return any(self.path.glob("checkpoint-*")) or any(self.path.glob(f"stages/*/{STAGE_FILE}"))

    def finished(self, stage: str) -> StageRecord | None:
        """The record of a stage that has ended; None of one that has not."""
        return StageRecord.read(self.stage(stage))

    @contextmanager
    def finishing(self, stage: str) -> Iterator[Path]:
        """A folder to fill with a stage's model, which appears as :meth:`stage` all at once when the block ends."""
        target = self.stage(stage)
        partial = target.with_name(f".{stage}.new")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        yield partial
        sync_tree(partial)
        shutil.rmtree(target, ignore_errors=True)
        os.replace(partial, target)
        _sync(target.parent)

    def publish(self, stage: str) -> None:
        """Make ``model/`` what ``stages/STAGE`` is; files are linked, where the disk can, and take no space."""
        partial = self.model.with_name(".model.new")
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(self.stage(stage), partial, copy_function=_link)
        shutil.rmtree(self.model, ignore_errors=True)
        os.replace(partial, self.model)

    def forget_after(self, step: int) -> None:
        """Drop what was recorded after ``step``: those steps are going to be taken again."""
        self.metrics.truncate(step)
        self.samples.truncate(step)


@contextmanager
def open_run(path: Path, recipe: Recipe, *, resume: bool) -> Iterator[RunFolder]:
    """Enter a run's folder, alone.

    Args:
        path: of the folder; made if it does not exist.
        recipe: written into it.
        resume: go on with the run that is there; without one, a new run begins.

    Raises:
        ConfigError: the folder holds a run and ``resume`` is False, or holds another recipe's.
        StorageError: it cannot be written, or another process is at it.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{path} cannot be made: {error.strerror or error}; give another --out") from None
    lock = FileLock(path / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise StorageError(f"another process is training in {path}; wait for it, or give another --out") from None
    try:
        _check_entry(path, recipe, resume=resume)
        write_text(path / RECIPE_FILE, yaml.safe_dump(recipe.resolved(), allow_unicode=True, sort_keys=False))
        yield RunFolder(path)
    finally:
        lock.release()


def write_text(path: Path, text: str) -> None:
    """Write a file so that it is either the old one or the whole new one.

    Raises:
        StorageError: it cannot be written.
    """
    partial = path.with_name(f".{path.name}.new")
    try:
        with partial.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise StorageError(f"{path} cannot be written: {error.strerror or error}; free some space") from None


def sync_tree(folder: Path) -> None:
    """Make sure that a folder's files are on the disk itself."""
    for path in folder.rglob("*"):
        if path.is_file():
            _sync(path)
    _sync(folder)


def _check_entry(path: Path, recipe: Recipe, *, resume: bool) -> None:
    stored = path / RECIPE_FILE
    if not stored.is_file():
        others = [entry.name for entry in path.iterdir() if not entry.name.startswith(".")]
        if others:
            raise ConfigError(f"{path} holds other things ({others[0]} …) and no run; give another --out")
        return
    if not resume:
        raise ConfigError(
            f"{path} already holds a run; add --resume to go on with it, give another --out or --name, or remove it"
        )
    before = flatten(parse_yaml(stored.read_text("utf-8"), str(stored)))
    now = flatten(recipe.resolved())
    for key in sorted(before.keys() | now.keys()):
        if key.rpartition(".")[2] in _FREE_KEYS or key.startswith("evaluation."):
            continue
        if before.get(key) != now.get(key):
            raise ConfigError(
                f"the recipe is not the one that {path} was begun with: {key} was {before.get(key)!r} and is "
                f"{now.get(key)!r}; put it back to go on, or start a new run with --name or --out"
            )


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copy2(source, target)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
