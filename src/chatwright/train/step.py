"""One optimiser step up to the gradients: forward and backward passes over its micro-batches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from chatwright.model import GPT
from chatwright.train.batch import Batch
from chatwright.train.flops import ModelFlops
from chatwright.train.objective import Objective
from chatwright.train.optimizers import gradient_norm
from chatwright.train.precision import MasterWeights
from chatwright.train.world import World

Figures = dict[str, tuple[Tensor | float, float]]


@dataclass(slots=True)
class Gradients:
    """What the backward passes of a step left, beside the gradients themselves.

    Attributes:
        loss: per item, over all processes.
        norm: of all gradients together, on their device; ``norm_value`` is the same on the host.
        figures: of this process: name → (sum, count).
        tokens: learned from, over all processes.
        flops: that the model needed, over all processes.
        losses: of each micro-batch of this process, on the device.
        stop: whether some process was asked to stop.
    """

    loss: float
    norm: Tensor
    norm_value: float
    figures: Figures
    tokens: int
    flops: float
    stop: bool
    losses: list[Tensor] = field(default_factory=list)


class Passes:
    """Runs a model and its objective over the micro-batches of a step.

    The loss of every micro-batch is divided by the number of items of the whole step, over all micro-batches and
    processes, so it does not matter how the step was divided.

    Args:
        model: in the dtype of computation.
        objective: gives the loss.
        masters: collect the gradients.
        flops: counts the model's work.
        world: the other processes.
    """

    def __init__(
        self, model: GPT, objective: Objective, masters: MasterWeights, flops: ModelFlops, world: World
    ) -> None:
        self._model, self._objective, self._masters = model, objective, masters
        self._flops, self._world = flops, world
        self._device = model.embed.weight.device

    def run(self, batches: Sequence[Batch], *, stop: bool) -> Gradients:
        """Leave the gradients of a step in the masters.

        Args:
            batches: this process' micro-batches, on the CPU.
            stop: whether this process was asked to stop; all are told.
        """
        counts = [self._objective.items(batch) for batch in batches]
        tokens = sum(batch.num_tokens for batch in batches)
        work = sum(self._flops.of_batch(batch) for batch in batches)
        items, all_tokens, all_work, stops = self._over_all([sum(counts), tokens, work, float(stop)])
        losses: list[Tensor] = []
        figures: Figures = {}
        for batch, count in zip(batches, counts, strict=True):
            if count == 0 and self._world.size == 1:  # with others, every process runs equally many passes
                continue
            loss = self._objective.loss(self._model, batch.to(self._device))
            (loss.total / max(items, 1.0)).backward()  # type: ignore[no-untyped-call]
            self._masters.collect()
            losses.append(loss.total.detach())
            add_figures(figures, loss.figures)
        self._world.sum_gradients(self._masters.parameters)
        masters = self._masters.parameters.items()
        self._objective.finish_gradients({name: master.grad for name, master in masters if master.grad is not None})
        norm = gradient_norm(self._masters.parameters.values()).to(self._device)
        total = self._world.sum(torch.stack(losses).sum() if losses else torch.zeros((), device=self._device))
        # The one place in a step where the host waits for the device: the guard must know before the optimiser acts.
        total_value, norm_value = torch.stack([total.float(), norm.float()]).tolist()
        return Gradients(
            loss=total_value / max(items, 1.0),
            norm=norm,
            norm_value=norm_value,
            figures=figures,
            tokens=int(all_tokens),
            flops=all_work,
            stop=stops > 0,
            losses=losses,
        )

    def _over_all(self, values: list[float]) -> list[float]:
        if self._world.size == 1:
            return values
        summed: list[float] = self._world.sum(torch.tensor(values, dtype=torch.float64)).tolist()
        return summed


def add_figures(figures: Figures, more: Mapping[str, tuple[Tensor | float, float]]) -> None:
    """Add sums and counts, on the device where they are."""
    for name, (value, count) in more.items():
        value = value.detach() if isinstance(value, Tensor) else value
        before = figures.get(name, (0.0, 0.0))
        figures[name] = (before[0] + value, before[1] + count)


def suspects(batches: Sequence[Batch], losses: Sequence[Tensor]) -> list[int]:
    """Numbers of the examples to look at after a refused step: those whose loss is no number; without any, all."""
    indices = [batch.index_E.tolist() for batch in batches]
    if len(losses) == len(batches):
        bad = [index for index, loss in zip(indices, losses, strict=True) if not bool(torch.isfinite(loss))]
        indices = bad or indices
    return sorted({number for index in indices for number in index if number >= 0})
