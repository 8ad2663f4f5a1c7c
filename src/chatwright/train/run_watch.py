"""Who is told how a whole run goes: beside the steps of a stage, what lies between them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from chatwright.train.run_folder import StageRecord
from chatwright.train.samples import Sample
from chatwright.train.stage import Stage, StageResult
from chatwright.train.watch import Record, SilentWatcher, StageStart, Watcher

Phase = Literal["tokenizer", "data", "model", "evaluation", "report"]


class RunWatcher(SilentWatcher):
    """A watcher of stages that is also told of the run. Does nothing by itself; override what you want to know."""

    def entered(self, phase: Phase, stage: str | None) -> None:
        """Work other than training begins, for a stage or for the run."""

    def tokenised(self, stage: str, rows: int, tokens: int) -> None:
        """A stage's data is being prepared: so many rows are read, so many tokens are written."""

    def answered(self, stage: str, conversations: int, tokens: int) -> None:
        """A teacher writes what the stage will learn from: so many conversations are done, so many tokens."""

    def stage_reused(self, record: StageRecord) -> None:
        """A stage was finished before; it is not trained again."""

    def sampled(self, stage: str, samples: Sequence[Sample]) -> None:
        """The model in training answered the recipe's questions."""

    def finished(self, folder: Path) -> None:
        """The run is over; its report is written."""


class Watchers(SilentWatcher):
    """Tells each of several watchers, in turn."""

    def __init__(self, watchers: Sequence[Watcher]) -> None:
        self._watchers = watchers

    def stage_started(self, stage: Stage, start: StageStart) -> None:
        """Pass it on; the same holds for what follows."""
        for watcher in self._watchers:
            watcher.stage_started(stage, start)

    def stepped(self, record: Record) -> None:
        """Pass it on."""
        for watcher in self._watchers:
            watcher.stepped(record)

    def evaluated(self, record: Record) -> None:
        """Pass it on."""
        for watcher in self._watchers:
            watcher.evaluated(record)

    def saved(self, path: Path, record: Record) -> None:
        """Pass it on."""
        for watcher in self._watchers:
            watcher.saved(path, record)

    def skipped(self, record: Record) -> None:
        """Pass it on."""
        for watcher in self._watchers:
            watcher.skipped(record)

    def warned(self, message: str) -> None:
        """Pass it on."""
        for watcher in self._watchers:
            watcher.warned(message)

    def stage_ended(self, stage: Stage, result: StageResult) -> None:
        """Pass it on."""
        for watcher in self._watchers:
            watcher.stage_ended(stage, result)
