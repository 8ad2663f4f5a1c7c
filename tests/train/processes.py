"""A program for tests, started by torchrun: stages of several processes, and one process that fails.

``stages FOLDER``: each kind of training under its ways of sharing, from the start and from ``one-KIND/checkpoint-3``;
losses go to ``losses.json``, and so do the figures of stages that sample answers, which go on from checkpoints of their
own. ``failing RECIPE``: ``chatwright train``, in which the second process fails alone. ``ending RECIPE``: it succeeds,
and each process says how it ends.
"""

import atexit
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor

from chatwright.data.example import Document, Example
from chatwright.errors import InputError
from chatwright.model import MoEConfig, build_model
from chatwright.train.batch import Batch
from chatwright.train.distributed import end_process, joined_processes
from chatwright.train.dtensors import like, whole
from chatwright.train.loop import run_stage
from chatwright.train.muon import Muon
from chatwright.train.objective import StageContext
from chatwright.train.objectives.distill import Distill
from chatwright.train.objectives.kto import KTO
from chatwright.train.stage import Stage
from chatwright.train.world import World
from tests.train import sampled
from tests.train.doubles import CONFIG, MadeUpFeed, Notes, make_stage

STEPS = 6
SORROW = "the second process has a sorrow of its own"
HANDLED, TAKEN_APART = b"exit handlers run\n", b"the interpreter is taken apart\n"


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


class Taught(Distill):
    """Has a teacher, of another shape, that comes from no folder."""

    def __init__(self, context: StageContext) -> None:
        teacher = build_model(CONFIG.replace(hidden_size=24), seed=9)
        with patch("chatwright.train.objectives.distill._load_teacher", return_value=teacher):
            super().__init__(context)


# What is trained with; a feed-forward layer of 33 cannot be halved, so parts differ.
KINDS: dict[str, dict[str, Any]] = {
    "adamw": {"optimizer": "adamw"},
    "muon": {"optimizer": "muon"},
    "experts": {"optimizer": "muon", "moe": MoEConfig(num_experts=3, num_experts_per_token=2, intermediate_size=17)},
    "qat": {"optimizer": "muon", "qat": True},
    "kto": {"optimizer": "adamw", "objective": KTO},
    "distill": {"optimizer": "adamw", "objective": Taught},
}
WAYS = (
    ("adamw", "ddp"),
    ("adamw", "fsdp"),
    ("muon", "ddp"),
    ("muon", "fsdp"),
    ("experts", "fsdp"),
    ("qat", "fsdp"),
    ("kto", "fsdp"),
    ("distill", "fsdp"),
)
# A matrix that a process has no row of, tall ones and wide ones, and not as many as fill two rounds; experts, and one
# expert that leaves a process without any.
SHAPES = {"a": (1, 4), "b": (5, 3), "c": (3, 7), "gate_up_proj": (3, 4, 5), "down_proj": (1, 5, 4)}


@dataclass
class RatedFeed(SharedFeed):
    """Two rated answers, which exchange prompts, and then a single one, which has nothing to exchange."""

    def micro_batches(self, step: int) -> Sequence[Batch]:
        answers = [self._answer(4 * step + number) for number in range(3)]
        batches = [Batch.of(answers[:2], index=range(2)), Batch.of(answers[2:], index=[2])]
        return batches[self.rank :: self.size]

    def _answer(self, number: int) -> Example:
        ids = self._row(number)[0].documents[0].ids
        return Example((Document(ids, np.arange(len(ids)) >= 2),), {"label": float(number % 2)})


def shared_stage(kind: str, parallel: str = "auto", rank: int = 0, size: int = 1) -> Stage:
    settings = {**KINDS[kind]}
    feed = RatedFeed if kind == "kto" else SharedFeed
    return make_stage(
        STEPS,
        config=replace(CONFIG, intermediate_size=33, moe=settings.pop("moe", None)),
        feed=feed(rank=rank, size=size),
        parallel=parallel,
        learning_rate=3e-3,
        matrix_learning_rate=2e-3,
        weight_decay=0.1,
        ema_decay=0.9,
        logging_steps=1,
        save_steps=3,
        save_total_limit=9,
        **settings,
    )


def losses(stage: Stage, run: Path, world: World | None = None, resume_from: Path | None = None) -> list[float]:
    notes = Notes()
    run_stage(stage, run=run, watcher=notes, world=world, resume_from=resume_from)
    return notes.losses


def stages(folder: Path) -> None:
    torch.set_num_threads(1)
    found: dict[str, Any] = {}
    with joined_processes() as world:
        found["distances"] = [distance_of_muons()]
        for kind, parallel in WAYS:
            name = f"{kind}-{parallel}"
            for start, checkpoint in (("new", None), ("resumed", folder / f"one-{kind}" / "checkpoint-3")):
                stage = shared_stage(kind, parallel, world.rank, world.size)
                found[f"{name}-{start}"] = losses(stage, folder / f"{name}-{start}", world, checkpoint)
        for kind, parallel in sampled.WAYS:
            name = f"{kind}-{parallel}"
            for start, checkpoint in (
                ("new", None),
                ("resumed", folder / f"{name}-new" / f"checkpoint-{sampled.SAVED}"),
            ):
                stage = sampled.sampling_stage(kind, folder / "tiny", parallel, world)
                found[f"{name}-{start}"] = sampled.figures(stage, folder / f"{name}-{start}", world, checkpoint)
        if world.rank == 0:
            (folder / "losses.json").write_text(json.dumps(found))


def distance_of_muons() -> float:
    """How far weights, whole and in parts, get at most from the same matrices under PyTorch's Muon, in five updates."""
    generator = torch.Generator().manual_seed(0)
    mesh = init_device_mesh("cpu", (2,))
    rates = {"lr": 0.02, "weight_decay": 0.1, "momentum": 0.95}
    start = {name: torch.randn(shape, generator=generator) for name, shape in SHAPES.items()}
    known = {name: [nn.Parameter(matrix.clone()) for matrix in matrices(name, start[name])] for name in SHAPES}
    whole_ones = {name: nn.Parameter(weight.clone()) for name, weight in start.items()}
    parts = {name: nn.Parameter(distribute_tensor(weight, mesh, [Shard(0)])) for name, weight in start.items()}
    optimizers = (
        torch.optim.Muon([matrix for stack in known.values() for matrix in stack], **rates),
        Muon(whole_ones, **rates),
        Muon(parts, **rates),
    )
    for _ in range(5):
        for name, shape in SHAPES.items():
            gradient = torch.randn(shape, generator=generator)
            whole_ones[name].grad, parts[name].grad = gradient, like(gradient, parts[name])
            for matrix, part in zip(known[name], matrices(name, gradient), strict=True):
                matrix.grad = part
        for optimizer in optimizers:
            optimizer.step()
    return max(
        float((value - matrix).abs().max())
        for weights in (whole_ones, {name: whole(part) for name, part in parts.items()})
        for name in SHAPES
        for value, matrix in zip(matrices(name, weights[name].detach()), known[name], strict=True)
    )


def matrices(name: str, weight: Tensor) -> Tensor:
    """What Muon sees in a weight: [n, rows, columns]."""
    return weight.reshape(-1, weight.shape[-2] // (2 if name == "gate_up_proj" else 1), weight.shape[-1])


def train(recipe: str) -> None:
    from chatwright.cli.app import main

    sys.argv = ["chatwright", "train", recipe]
    main()


def failing(recipe: str) -> None:
    from chatwright.train import stage_run

    def sorrow(*_: object, **__: object) -> None:
        raise InputError(SORROW)

    if os.environ["RANK"] == "1":
        stage_run.first_model = sorrow  # type: ignore[assignment]
    train(recipe)


class Witness:
    """Sees the interpreter being taken apart."""

    def __del__(self, write: Any = os.write) -> None:
        write(2, TAKEN_APART)


def ending(recipe: str) -> None:
    atexit.register(os.write, 2, HANDLED)
    sys.modules["a witness"] = Witness()  # type: ignore[assignment]
    train(recipe)


if __name__ == "__main__":
    if sys.argv[1] == "stages":
        stages(Path(sys.argv[2]))
        end_process(0)
    {"failing": failing, "ending": ending}[sys.argv[1]](sys.argv[2])
