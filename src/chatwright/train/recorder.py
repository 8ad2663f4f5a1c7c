"""From steps to records: what a stage has done so far, told to the watcher in bursts."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from chatwright.train.stage import Stage
from chatwright.train.step import Figures, Gradients
from chatwright.train.watch import Watcher
from chatwright.train.world import World


@dataclass(frozen=True, slots=True)
class _Step:
    stage_step: int
    learning_rate: float
    tokens: int
    gradients: Gradients


class Recorder:
    """Keeps what steps said until a burst is due; their figures stay on the device until then.

    Args:
        stage: whose steps they are.
        watcher: who is told.
        world: figures are summed over it.
        peak_flops: of one process' device, per second; None where unknown.

    Attributes:
        tokens, seconds: of the stage so far; time for evaluation and saving is left out.
        tokens_per_s, mfu, loss: of the last burst; the loss is the mean of its steps, None before the first.
    """

    tokens_per_s = 0.0
    mfu: float | None = None
    loss: float | None = None

    def __init__(self, stage: Stage, watcher: Watcher, world: World, peak_flops: float | None) -> None:
        self.tokens, self.seconds = 0, 0.0
        self._stage, self._watcher, self._world = stage, watcher, world
        self._peak = None if peak_flops is None else peak_flops * world.size
        self._steps: list[_Step] = []
        self._since = time.perf_counter()

    def add(self, stage_step: int, gradients: Gradients, learning_rate: float) -> None:
        """A step was taken; ``stage_step`` counts it."""
        self.tokens += gradients.tokens
        self._steps.append(_Step(stage_step, learning_rate, self.tokens, gradients))

    def start_clock(self) -> None:
        """Training goes on."""
        self._since = time.perf_counter()

    def flush(self) -> None:
        """Tell the watcher of every step since the last burst."""
        now = time.perf_counter()
        elapsed, self._since = now - self._since, now
        self.seconds += elapsed
        steps, self._steps = self._steps, []
        if not steps:
            return
        self.loss = sum(step.gradients.loss for step in steps) / len(steps)
        self.tokens_per_s = sum(step.gradients.tokens for step in steps) / elapsed
        if self._peak is not None:
            self.mfu = sum(step.gradients.flops for step in steps) / elapsed / self._peak
        figures = means([step.gradients.figures for step in steps], self._world)
        for step, named in zip(steps, figures, strict=True):
            self._watcher.stepped(self._record(step) | named)

    def place(self, stage_step: int) -> dict[str, float | int | str]:
        """What every record has."""
        return {"stage": self._stage.name, "step": self._stage.first_step + stage_step, "stage_step": stage_step}

    def _record(self, step: _Step) -> dict[str, float | int | str]:
        record = self.place(step.stage_step) | {
            "loss": step.gradients.loss,
            "learning_rate": step.learning_rate,
            "grad_norm": step.gradients.norm_value,
            "tokens": step.tokens,
            "tokens_per_s": self.tokens_per_s,
            "seconds": self.seconds,
        }
        if self.mfu is not None:
            record["mfu"] = self.mfu
        if (epoch := self._stage.feed.steps_per_epoch) is not None:
            record["epoch"] = step.stage_step / epoch
        return record


def means(figures: Sequence[Figures], world: World) -> list[dict[str, float]]:
    """Sum / count of each figure of each step, over all processes, with one transfer from the device."""
    names = [(number, name) for number, step in enumerate(figures) for name in sorted(step)]
    sums = [figures[number][name][0] for number, name in names]
    device = next((value.device for value in sums if isinstance(value, Tensor)), torch.device("cpu"))
    rows = [torch.as_tensor(value, dtype=torch.float32, device=device) for value in sums]
    counts = torch.tensor([figures[number][name][1] for number, name in names], device=device)
    result: list[dict[str, float]] = [{} for _ in figures]
    if names:
        summed = world.sum(torch.stack([torch.stack(rows), counts])).tolist()
        for (number, name), value, count in zip(names, *summed, strict=True):
            if count:
                result[number][name] = value / count
    return result
