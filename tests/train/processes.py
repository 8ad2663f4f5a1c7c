"""A program for tests, started by torchrun: stages of several processes, and one process that fails.

``stages FOLDER``: each optimiser under each way of sharing, from the start and from ``one-OPTIMIZER/checkpoint-3``;
losses go to ``losses.json``. ``failing RECIPE``: ``chatwright train``, in which the second process fails alone.
"""

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from chatwright.errors import InputError
from chatwright.train.batch import Batch
from chatwright.train.distributed import joined_processes
from chatwright.train.loop import run_stage
from chatwright.train.stage import Stage
from chatwright.train.world import World
from tests.train.doubles import MadeUpFeed, Notes, make_stage

STEPS = 6
SORROW = "the second process has a sorrow of its own"


@dataclass
class SharedFeed(MadeUpFeed):
    """One row in a micro-batch, and every process its share of the rows."""

    rows_per_micro_batch: int = 1
    rank: int = 0
    size: int = 1

    def micro_batches(self, step: int) -> Sequence[Batch]:
        return super().micro_batches(step)[self.rank :: self.size]

    def with_micro_batch(self, rows: int) -> "SharedFeed":
        return replace(self, rows_per_micro_batch=1)


WAYS = (("adamw", "ddp"), ("adamw", "fsdp"), ("muon", "ddp"))  # Muon is not for parts of matrices


def shared_stage(optimizer: str, parallel: str = "auto", rank: int = 0, size: int = 1) -> Stage:
    return make_stage(
        STEPS,
        feed=SharedFeed(rank=rank, size=size),
        optimizer=optimizer,
        parallel=parallel,
        learning_rate=3e-3,
        matrix_learning_rate=2e-3,
        weight_decay=0.1,
        ema_decay=0.9,
        logging_steps=1,
        save_steps=3,
        save_total_limit=9,
    )


def losses(stage: Stage, run: Path, world: World | None = None, resume_from: Path | None = None) -> list[float]:
    notes = Notes()
    run_stage(stage, run=run, watcher=notes, world=world, resume_from=resume_from)
    return notes.losses


def stages(folder: Path) -> None:
    torch.set_num_threads(1)
    found = {}
    with joined_processes() as world:
        for optimizer, parallel in WAYS:
            name = f"{optimizer}-{parallel}"
            for start, checkpoint in (("new", None), ("resumed", folder / f"one-{optimizer}" / "checkpoint-3")):
                stage = shared_stage(optimizer, parallel, world.rank, world.size)
                found[f"{name}-{start}"] = losses(stage, folder / f"{name}-{start}", world, checkpoint)
        if world.rank == 0:
            (folder / "losses.json").write_text(json.dumps(found))


def failing(recipe: str) -> None:
    from chatwright.cli.app import app
    from chatwright.train import stage_run

    def sorrow(*_: object, **__: object) -> None:
        raise InputError(SORROW)

    if os.environ["RANK"] == "1":
        stage_run.first_model = sorrow  # type: ignore[assignment]
    app(["train", recipe])


if __name__ == "__main__":
    stages(Path(sys.argv[2])) if sys.argv[1] == "stages" else failing(sys.argv[2])
