"""One trial of a sweep, in a process of its own: what kills it (memory, a crash) ends this trial and no other.

The two processes talk over a pipe in plain values. The trial says ``("report", percent, value)`` after each evaluation
and is answered whether to stop; at its end it says ``("done", value)``, ``("pruned",)``, ``("stopped",)``,
``("failed", sentence)`` or ``("no metric", sentence)``.
"""

import math
import os
import shutil
import signal
import threading
import traceback
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path

from chatwright.errors import ChatwrightError, TrainingStopped
from chatwright.train.pipeline import run_recipe
from chatwright.train.recipe import Recipe, load_recipe
from chatwright.train.run_folder import RECIPE_FILE, RunFolder
from chatwright.train.run_watch import Phase, RunWatcher
from chatwright.train.stage import Stage
from chatwright.train.watch import Record, StageStart


@dataclass(frozen=True, slots=True)
class TrialSpec:
    """What a trial is to do; plain values, since it travels to another process.

    Attributes:
        recipe: path of the file.
        overrides: those of the sweep and those of the trial.
        folder: of the trial's run.
        log: file for what the process prints.
        stage, metric: whose figure it is measured by.
        prepared: folder of a trial whose tokenizer and tokenised data may be used again; empty: none.
        directory: that relative paths start from.
    """

    recipe: str
    overrides: tuple[str, ...]
    folder: str
    log: str
    stage: str
    metric: str
    prepared: str
    directory: str


def run_trial(spec: TrialSpec, pipe: Connection) -> None:
    """Train, and say how it ended. The process' main function."""
    _end_with_parent()
    os.chdir(spec.directory)
    _print_into(Path(spec.log))
    reporter = Reporter(spec, pipe)
    message = _train(spec, reporter)
    with suppress(OSError):  # the sweep may be gone
        pipe.send(message)
    pipe.close()


def _train(spec: TrialSpec, reporter: "Reporter") -> tuple[object, ...]:
    """The last message."""
    try:
        folder = Path(spec.folder)
        recipe = load_recipe(spec.recipe, spec.overrides, name=folder.name)
        run_recipe(recipe, resume=(folder / RECIPE_FILE).is_file(), watcher=reporter)
        return _result(recipe, spec, reporter)
    except TrainingStopped:
        return ("pruned",) if reporter.pruned else ("stopped",)
    except ChatwrightError as error:
        traceback.print_exc()
        return ("failed", str(error))
    except Exception as error:
        traceback.print_exc()
        return ("failed", f"{type(error).__name__}: {error}".splitlines()[0])


class Reporter(RunWatcher):
    """Tells the sweep of each evaluation, and stops the run where the sweep has seen enough.

    Attributes:
        pruned: whether it has.
        values: the metric at each evaluation.
    """

    def __init__(self, spec: TrialSpec, pipe: Connection) -> None:
        self.spec, self._pipe = spec, pipe
        self._total_steps = 1
        self.pruned = False
        self.values: list[float] = []

    def entered(self, phase: Phase, stage: str | None) -> None:
        """Before anything is prepared: take over what another trial has prepared. It is used only where it fits."""
        if phase == "tokenizer" and self.spec.prepared:
            _take_over(Path(self.spec.prepared), Path(self.spec.folder))

    def stage_started(self, stage: Stage, start: StageStart) -> None:
        """Know how long it will be."""
        self._total_steps = stage.total_steps

    def evaluated(self, record: Record) -> None:
        """Progress is told in percent: trials with other batches have other numbers of steps."""
        value = record.get(self.spec.metric)
        step = int(record["stage_step"])
        if record["stage"] != self.spec.stage or not isinstance(value, (int, float)) or not math.isfinite(value):
            return
        self.values.append(float(value))
        try:
            self._pipe.send(("report", round(100 * step / self._total_steps), float(value)))
            enough = self._pipe.recv()
        except (EOFError, OSError):
            return  # the sweep is gone, and this process is about to be told to stop
        if enough and step < self._total_steps and not self.pruned:
            self.pruned = True
            signal.raise_signal(signal.SIGTERM)  # as a person would stop it: the loop ends after the next step


def _result(recipe: Recipe, spec: TrialSpec, reporter: Reporter) -> tuple[object, ...]:
    record = RunFolder(Path(spec.folder)).finished(spec.stage)
    assert record is not None  # the run ended
    if spec.metric not in record.figures:
        known = ", ".join(record.figures)
        return ("no metric", f"stage {spec.stage} does not measure {spec.metric}; it measures {known}: give --metric")
    value = record.figures[spec.metric]
    if recipe.stage_settings(spec.stage).early_stopping_patience is not None and spec.metric == "eval_loss":
        value = min(reporter.values, default=value)  # the model is that of the best evaluation
    if value is None or not math.isfinite(value):
        return ("failed", f"{spec.metric} is no number at the end")
    return ("done", float(value))


def _take_over(source: Path, target: Path) -> None:
    if (source / "tokenizer").is_dir() and not (target / "tokenizer").exists():
        shutil.copytree(source / "tokenizer", target / "tokenizer")
    if (source / "data").is_dir() and not (target / "data").exists():
        hidden = shutil.ignore_patterns(".*", "objective")  # what an objective computed depends on the model
        shutil.copytree(source / "data", target / "data", copy_function=_link, ignore=hidden)


def _link(source: str, target: str) -> None:
    """Stores are replaced and never changed, so trials can share the files."""
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copy2(source, target)


def _end_with_parent() -> None:
    """A sweep that is killed takes its trial with it: the trial saves a checkpoint and stops."""
    parent = parent_process()
    if parent is None:
        return

    def watch() -> None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def _print_into(path: Path) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(handle, stream)
    os.close(handle)
