"""A program for tests: runs a recipe, and kills itself without warning at a given moment.

``python -m tests.train.killed_run RECIPE FOLDER MOMENT``; the moment is ``step:N``, ``saved:N``, ``ended:STAGE``,
``writing:STAGE`` or ``never``. It goes on with what the folder holds.
"""

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from chatwright.train import run_folder
from chatwright.train.pipeline import run_recipe
from chatwright.train.recipe import load_recipe
from chatwright.train.run_watch import RunWatcher
from chatwright.train.stage import Stage, StageResult
from chatwright.train.watch import Record


class Killer(RunWatcher):
    """Kills the process at a moment."""

    def __init__(self, moment: str) -> None:
        self.moment = moment

    def stepped(self, record: Record) -> None:
        self._at(f"step:{record['step']}")

    def saved(self, path: Path, record: Record) -> None:
        self._at(f"saved:{record['step']}")

    def stage_ended(self, stage: Stage, result: StageResult) -> None:
        self._at(f"ended:{stage.name}")

    def writing(self, folder: Path) -> None:
        """The stage's result is written, but not yet under its name."""
        self._at(f"writing:{folder.name.strip('.').removesuffix('.new')}")

    def _at(self, moment: str) -> None:
        if moment == self.moment:
            os.kill(os.getpid(), signal.SIGKILL)


def main(arguments: Sequence[str]) -> None:
    """Run."""
    recipe, folder, moment = arguments
    killer = Killer(moment)
    run_folder.sync_tree = killer.writing
    loaded = load_recipe(recipe, [f"output={folder}"])
    run_recipe(loaded, resume=Path(folder, "recipe.yaml").exists(), watcher=killer)


if __name__ == "__main__":
    main(sys.argv[1:])
