"""The learning rate over a stage, as a part of its peak: a pure function of the step, so there is nothing to save."""

import math
from dataclasses import dataclass
from typing import Literal

from chatwright.errors import ConfigError
from chatwright.train.settings import StageSettings


@dataclass(frozen=True, slots=True)
class Schedule:
    """Rises linearly in the first steps, then stays or falls.

    The values are those of the schedulers of ``transformers``: ``linear`` and ``cosine`` (with a minimum), ``wsd``
    (warmup, stable, decay) with its 1-sqrt decay, ``constant`` with a warmup; but the rise begins one step further up,
    where theirs begins at a rate of 0. Of a stage of a few steps, that one would be a large part without any effect.

    Attributes:
        kind: the shape.
        total_steps, warmup_steps: of the stage, and of its rise.
        decay_steps: wsd only: of its fall.
        min_ratio: what is left of the peak in the end.

    Source:
        Loshchilov and Hutter 2016, arXiv 1608.03983, eq. 5 (cosine); Hägele et al. 2024, arXiv 2405.18392, section 3
        (wsd, where 1-sqrt was the best of the decays tried).
    """

    kind: Literal["cosine", "wsd", "linear", "constant"]
    total_steps: int
    warmup_steps: int
    decay_steps: int
    min_ratio: float

    @classmethod
    def of(cls, settings: StageSettings, total_steps: int) -> "Schedule":
        """What ``settings`` say, for a stage of so many steps.

        Raises:
            ConfigError: warmup and decay together are longer than the stage.
        """
        warmup = settings.warmup_steps
        if warmup is None:
            warmup = math.ceil(settings.warmup_ratio * total_steps)
        decay = math.ceil(settings.decay_ratio * total_steps)
        if settings.lr_scheduler_type == "wsd" and warmup + decay > total_steps + 1:  # both were rounded up
            raise ConfigError(
                f"a warmup of {warmup} steps and a decay of {decay} (decay_ratio {settings.decay_ratio:g}) do not fit "
                f"into {total_steps} steps; make warmup_steps, warmup_ratio or decay_ratio smaller"
            )
        return cls(settings.lr_scheduler_type, total_steps, warmup, decay, settings.min_lr_ratio)

    def __call__(self, step: int) -> float:
        """Factor of the peak for the stage's step ``step``, from 0."""
        if step < self.warmup_steps:
            # wsd rises from where it will end, the others from nothing.
            start = self.min_ratio if self.kind == "wsd" else 0.0
            return start + (1 - start) * (step + 1) / (self.warmup_steps + 1)
        if self.kind == "constant":
            return 1.0
        if self.kind == "wsd":
            start_of_decay = max(self.warmup_steps, self.total_steps - self.decay_steps)
            left = 1 - math.sqrt(_part(step - start_of_decay, self.decay_steps))
        else:
            progress = _part(step - self.warmup_steps, self.total_steps - self.warmup_steps)
            left = 1 - progress if self.kind == "linear" else 0.5 * (1 + math.cos(math.pi * progress))
        return self.min_ratio + (1 - self.min_ratio) * left


def _part(steps: int, of: int) -> float:
    """``steps / of`` within [0, 1]."""
    return min(1.0, max(0.0, steps / max(1, of)))
