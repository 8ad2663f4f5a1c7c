"""A program for tests: a sweep whose process kills itself without warning when a trial reports for the second time.

``python -m tests.train.swept RECIPE FOLDER TRIAL``
"""

import os
import signal
import sys
from pathlib import Path

from chatwright.train.sweep import run_sweep
from chatwright.train.sweep_result import SweepSettings, SweepWatcher

OVER = ("stages.pretrain.learning_rate=1e-3,1e-2,1e+30",)


def settings(recipe: Path, folder: Path) -> SweepSettings:
    """A sweep of three trials, one of which fails: its learning rate is no use to anyone."""
    return SweepSettings(recipe=recipe, over=OVER, trials=3, folder=folder)


class Killer(SweepWatcher):
    """Kills the process in the midst of a trial."""

    def __init__(self, number: int) -> None:
        self.number, self.reports = number, 0

    def reported(self, number: int, percent: int, value: float) -> None:
        self.reports += number == self.number
        if self.reports == 2:
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    run_sweep(settings(Path(sys.argv[1]), Path(sys.argv[2])), watcher=Killer(int(sys.argv[3])))
