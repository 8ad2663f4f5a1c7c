"""Everything that a stage's next step depends on, to and from a checkpoint's folder.

::

    checkpoint-STEP/
      config.json, model.safetensors, tokenizer.json …   a model that can be opened like any other
      training/
        state.json             counters, guard, evaluations, generators of random numbers
        weights.safetensors    trained float32 weights that the model's own files do not hold (adapters, heads)
        optimizer.safetensors  moments
        mean.safetensors       the running mean of the weights
        rng.safetensors, feed.safetensors (feed-RANK.safetensors of further processes)
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from chatwright.errors import ConfigError
from chatwright.model import save_model
from chatwright.model.load import load_folder
from chatwright.train.checkpoint import read_tensors, read_values, write_tensors, write_values
from chatwright.train.dtensors import fill
from chatwright.train.ema import RunningMean
from chatwright.train.feed import RowFeed
from chatwright.train.guard import Guard
from chatwright.train.optimizers import Optimizers
from chatwright.train.precision import MasterWeights
from chatwright.train.recorder import Recorder
from chatwright.train.rng import restore_rng, rng_tensors, rng_values
from chatwright.train.stage import Stage
from chatwright.train.stopping import BestSoFar
from chatwright.train.world import World

_FOLDER = "training"


@dataclass(slots=True)
class TrainingState:
    """The moving parts of a stage.

    Attributes:
        stage: what is run.
        masters, optimizers, mean, guard, best, recorder: what changes with the steps; ``mean`` if one is kept.
    """

    stage: Stage
    masters: MasterWeights
    optimizers: Optimizers
    mean: RunningMean | None
    guard: Guard
    best: BestSoFar
    recorder: Recorder

    def modules(self) -> dict[str, nn.Module]:
        """What is trained, by the prefix of its parameters' names."""
        return trained_modules(self.stage)

    def gathered(self, world: World) -> "Gathered":
        """What the processes have to tell rank 0 before it can :meth:`save`; all of them have to call this."""
        return Gathered(
            weights=self.masters.gathered(),
            moments=self.masters.whole(self.optimizers.state()),
            mean=self.masters.whole(self.mean.means if self.mean else {}),
            feeds=world.gather(self.stage.feed.state()),
        )

    def save(self, folder: Path, gathered: "Gathered") -> None:
        """Write everything into a folder that exists.

        Raises:
            StorageError, OSError: the disk is full, say.
        """
        with self.masters.exported(gathered.weights):
            (self.stage.save_model or self._save_model)(folder)
            if (folder / "config.json").is_file():  # beside adapters alone a head would have no model to score for
                self.stage.objective.save(folder)
            if self.stage.save_extra is not None:
                self.stage.save_extra(folder)
        own = folder / _FOLDER
        own.mkdir()
        write_tensors(own / "weights.safetensors", self._weights_beside(folder, gathered.weights))
        write_tensors(own / "optimizer.safetensors", gathered.moments)
        write_tensors(own / "mean.safetensors", gathered.mean)
        write_tensors(own / "rng.safetensors", rng_tensors())
        for rank, feed in enumerate(gathered.feeds):
            write_tensors(own / _feed_file(rank), feed)
        write_values(own / "state.json", {**self._values(), "processes": len(gathered.feeds)})

    def load(self, folder: Path, world: World) -> None:
        """Go on from what :meth:`save` wrote, on this or another number of processes.

        Raises:
            ConfigError: it was written by another stage: of other weights, or another optimiser; or the answers that
                it learns from belong to another number of processes.
            ModelFormatError: it is damaged.
        """
        own = folder / _FOLDER
        values = read_values(own / "state.json")
        self.load_weights(folder)
        self.optimizers.load_state(read_tensors(own / "optimizer.safetensors"))
        if self.mean is not None:
            self.mean.load(
                self._fitting(read_tensors(own / "mean.safetensors"), "running mean"), values["mean_updates"]
            )
        self.guard.load_state(values["guard"])
        self.best.load_state(values["best"])
        self.recorder.tokens, self.recorder.seconds = values["tokens"], values["seconds"]
        self.recorder.loss = values["loss"]
        self._load_feed(own, values.get("processes", 1), world)
        restore_rng(read_tensors(own / "rng.safetensors"), values["rng"])

    @torch.no_grad()
    def load_weights(self, folder: Path, *, mean: bool = False) -> None:
        """Only the trained weights (or their running mean), and what buffers there are."""
        own = folder / _FOLDER
        stored = dict(_model_weights(folder)) | read_tensors(own / "weights.safetensors")
        means = self._fitting(read_tensors(own / "mean.safetensors"), "running mean") if mean else {}
        weights = self._fitting(stored, "weights")
        for name, parameter in self.masters.parameters.items():
            fill(parameter, means.get(name, weights[name]))
        for name, buffer in self._buffers().items():
            buffer.copy_(stored[name])
        self.masters.publish()

    def _values(self) -> dict[str, Any]:
        feed = self.stage.feed
        return {
            "rng": rng_values(),
            "guard": self.guard.state(),
            "best": self.best.state(),
            "mean_updates": self.mean.updates if self.mean else 0,
            # How steps are divided decides how sums are rounded.
            "rows_per_micro_batch": feed.rows_per_micro_batch if isinstance(feed, RowFeed) else None,
            "tokens": self.recorder.tokens,
            "seconds": self.recorder.seconds,
            "loss": self.recorder.loss,
        }

    def _load_feed(self, own: Path, processes: int, world: World) -> None:
        if isinstance(self.stage.feed, RowFeed):  # data on disk is the same for every process, however many there are
            self.stage.feed.load_state(read_tensors(own / _feed_file(0)))
            return
        if processes != world.size and (own / _feed_file(0)).exists():
            raise ConfigError(
                f"the checkpoint holds the sampled answers of {processes} processes, and now there are {world.size}; "
                f"go on with {processes}"
            )
        self.stage.feed.load_state(read_tensors(own / _feed_file(world.rank)))

    def _weights_beside(self, folder: Path, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Weights and buffers that the model's own files in ``folder`` do not hold, number for number."""
        held = dict(_model_weights(folder))
        own = {**{name: weights[name] for name in self.masters.parameters}, **self._buffers()}
        return {name: tensor.detach() for name, tensor in own.items() if not _same(held.get(name), tensor)}

    def _buffers(self) -> dict[str, Tensor]:
        """What modules keep in their state beside parameters (the scales of a quantiser)."""
        return {
            f"{prefix}.{name}": tensor
            for prefix, module in self.modules().items()
            for name, tensor in module.state_dict(keep_vars=True).items()
            if not isinstance(tensor, nn.Parameter)
        }

    def _fitting(self, stored: Mapping[str, Tensor], what: str) -> Mapping[str, Tensor]:
        for name, parameter in self.masters.parameters.items():
            if name not in stored or stored[name].shape != parameter.shape:
                shape = list(stored[name].shape) if name in stored else "missing"
                raise ConfigError(
                    f"the checkpoint's {what} do not fit this stage: {name} is {shape}, and should be "
                    f"{list(parameter.shape)}; go on with the settings that the run was started with"
                )
        return stored

    def _save_model(self, folder: Path) -> None:
        save_model(self.stage.model, folder, dtype=torch.float32, own_format=True)


@dataclass(frozen=True, slots=True)
class Gathered:
    """What rank 0 writes; on other processes, whose parts it has been given, nothing of it is used.

    Attributes:
        weights, moments, mean: whole tensors: of the masters, of the optimiser, and their running mean.
        feeds: of each process, what its feed cannot derive from the step.
    """

    weights: Mapping[str, Tensor]
    moments: Mapping[str, Tensor]
    mean: Mapping[str, Tensor]
    feeds: list[Mapping[str, Tensor]]


def trained_modules(stage: Stage) -> dict[str, nn.Module]:
    """The model and the objective's head, by the prefix of their parameters' names."""
    head = stage.objective.head
    return {"model": stage.model} if head is None else {"model": stage.model, "head": head}


def stored_micro_batch(folder: Path) -> int | None:
    """Rows of a micro-batch when a checkpoint was saved."""
    rows: int | None = read_values(folder / _FOLDER / "state.json")["rows_per_micro_batch"]
    return rows


def _feed_file(rank: int) -> str:
    return "feed.safetensors" if rank == 0 else f"feed-{rank}.safetensors"


def _model_weights(folder: Path) -> Iterator[tuple[str, Tensor]]:
    """Weights of the model in a folder, if there is one, under the names of the masters; read as they are used."""
    if (folder / "config.json").is_file():
        for name, tensor in load_folder(folder).state_dict().items():
            yield f"model.{name}", tensor


def _same(stored: Tensor | None, tensor: Tensor) -> bool:
    if stored is None or stored.dtype != tensor.dtype or stored.shape != tensor.shape:
        return False
    return torch.equal(stored, tensor.detach().cpu())
