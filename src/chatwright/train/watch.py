"""Who is told how a stage goes: progress displays, metrics files, reporters."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from chatwright.train.stage import Stage, StageResult

Record = Mapping[str, float | int | str]
"""Plain values, ready for JSON. Every one has ``stage``, ``step`` (over all stages of the run, from 1) and
``stage_step`` (within the stage, from 1): how many steps have been taken."""


@dataclass(frozen=True, slots=True)
class StageStart:
    """What is known when the first step is about to be taken.

    Attributes:
        stage_step: steps taken before; 0, or where a resumed run goes on.
        trainable_parameters, parameters: numbers of weights, the objective's head included.
        rows_per_micro_batch: rows in one forward pass; None where the feed decides by itself.
        dtype: of computation, "bfloat16" or "float32".
        peak_flops: what the machine's matrix products reach in that dtype, per second; None where it was not measured.
        memory_bytes: estimated for weights, optimiser and activations.
    """

    stage_step: int
    trainable_parameters: int
    parameters: int
    rows_per_micro_batch: int | None
    dtype: str
    peak_flops: float | None
    memory_bytes: int


class Watcher(Protocol):
    """Told by the loop, in the process of rank 0 only. Must not raise, and must be quick."""

    def stage_started(self, stage: Stage, start: StageStart) -> None:
        """The first step is about to be taken."""
        ...

    def stepped(self, record: Record) -> None:
        """A step was taken.

        Every step has a record; they come in bursts, every ``logging_steps`` and before each evaluation and save.
        Keys beside those of :data:`Record`: ``loss``, ``learning_rate`` (the first optimiser's), ``grad_norm`` (before
        clipping), ``tokens`` (of the stage, so far), ``tokens_per_s``, ``mfu`` (absent where unknown), ``epoch``
        (absent where there is none), ``seconds`` (of training, so far), and the objective's own figures.
        """
        ...

    def evaluated(self, record: Record) -> None:
        """``Stage.evaluate`` was called; its figures are in the record."""
        ...

    def saved(self, path: Path, record: Record) -> None:
        """A checkpoint is complete on the disk. The record has ``eval_loss`` where one is known for this step."""
        ...

    def skipped(self, record: Record) -> None:
        """The guard refused a step: ``reason`` (a sentence), ``examples`` (indices, as text), ``loss``, ``grad_norm``.

        ``loss`` and ``grad_norm`` are absent where they are not finite: JSON has no word for that.
        """
        ...

    def warned(self, message: str) -> None:
        """Something a person should know, and the run goes on: a checkpoint that could not be written, say."""
        ...

    def stage_ended(self, stage: Stage, result: StageResult) -> None:
        """The stage is over; ``stage.model`` holds its result."""
        ...


class SilentWatcher:
    """Tells nobody; a base for watchers that want to know of a few things only."""

    def stage_started(self, stage: Stage, start: StageStart) -> None:
        """See :class:`Watcher`; the same holds for what follows."""

    def stepped(self, record: Record) -> None:
        """Nothing."""

    def evaluated(self, record: Record) -> None:
        """Nothing."""

    def saved(self, path: Path, record: Record) -> None:
        """Nothing."""

    def skipped(self, record: Record) -> None:
        """Nothing."""

    def warned(self, message: str) -> None:
        """Nothing."""

    def stage_ended(self, stage: Stage, result: StageResult) -> None:
        """Nothing."""
