"""The watcher that writes a run's own files: metrics, samples, curves."""

from pathlib import Path

from chatwright.train.curves import draw_curves
from chatwright.train.run_folder import RunFolder
from chatwright.train.samples import Sample
from chatwright.train.stage import Stage, StageResult
from chatwright.train.watch import Record, SilentWatcher, StageStart


class Journal(SilentWatcher):
    """Keeps the record of a run, step by step.

    Args:
        run: where it is written.
        title: above the curves.

    Attributes:
        step, stage_step: the last step that was recorded, of the run and of the stage.
    """

    def __init__(self, run: RunFolder, title: str) -> None:
        self._run = run
        self._title = title
        self.step = self.stage_step = 0

    def stage_started(self, stage: Stage, start: StageStart) -> None:
        """Know where the stage begins or goes on."""
        self.stage_step = start.stage_step
        self.step = stage.first_step + start.stage_step

    def stepped(self, record: Record) -> None:
        """A line in ``metrics.jsonl``."""
        self.step, self.stage_step = int(record["step"]), int(record["stage_step"])
        self._run.metrics.append(record)

    def evaluated(self, record: Record) -> None:
        """Another line, with the figures of the evaluation; and the picture anew."""
        self._run.metrics.append(record)
        self.draw()

    def skipped(self, record: Record) -> None:
        """Another line, which says why."""
        self._run.metrics.append({**record, "skipped": True})

    def saved(self, path: Path, record: Record) -> None:
        """A checkpoint must not be younger than the record of the steps before it."""
        self._run.metrics.sync()

    def stage_ended(self, stage: Stage, result: StageResult) -> None:
        """The picture of the whole stage."""
        self.draw()

    def sampled(self, stage: str, samples: list[Sample]) -> None:
        """Lines in ``samples.jsonl``."""
        for sample in samples:
            place = {"stage": stage, "step": self.step, "stage_step": self.stage_step}
            self._run.samples.append(place | sample.to_json())

    def draw(self) -> None:
        """Write ``curves.png``."""
        draw_curves(self._run.metrics, self._run.path / "curves.png", title=self._title)
