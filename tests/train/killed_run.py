"""A program for tests: runs a recipe in processes that kill themselves without warning, each at its moment.

``python -m tests.train.killed_run RECIPE FOLDER MOMENT…``; a moment is ``step:N``, ``saved:N``, ``ended:STAGE``,
``writing:STAGE`` or ``never``. Each process goes on with what the one before left in the folder.

The processes are forks of one that has imported everything and computed nothing: an import takes longer than a run.
"""

# What a run imports as it goes comes first, too: in each of the forks it would take longer than the rest.
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

import matplotlib.backends.backend_agg  # noqa: F401
import torch._dynamo  # noqa: F401

import chatwright.engine.cpu.build  # noqa: F401
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


def run(recipe: str, folder: str, moment: str) -> None:
    """Run until the moment comes."""
    killer = Killer(moment)
    run_folder.sync_tree = killer.writing
    loaded = load_recipe(recipe, [f"output={folder}"])
    run_recipe(loaded, resume=Path(folder, "recipe.yaml").exists(), watcher=killer)


def main(arguments: Sequence[str]) -> None:
    """A process for each moment; fails where one does not end as it should."""
    recipe, folder, *moments = arguments
    for moment in moments:
        process = os.fork()
        if not process:
            try:
                run(recipe, folder, moment)
                os._exit(0)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
        status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        if status != (0 if moment == "never" else -signal.SIGKILL):
            sys.exit(f"{moment}: the process ended with {status}")


if __name__ == "__main__":
    main(sys.argv[1:])
