"""Batches from answers that the model samples as it learns."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from chatwright.errors import ConfigError
from chatwright.train.batch import Batch
from chatwright.train.experience import Experience
from chatwright.train.rollout import EncodedPrompt, seed_of

Collect = Callable[[Sequence[EncodedPrompt], Sequence[int], Sequence[range], Experience | None], Experience]
"""Prompts, their sampling seeds, the division into micro-batches, and the rollout before → what is learned from."""

ON_POLICY = "sampled_log_prob"  # a value of tokens that only says something until the first step changes the weights
_ROLLOUT = "rollout"
_MOST_PROMPTS = 1024


@dataclass(frozen=True, slots=True)
class RolloutPlan:
    """How a rollout is used.

    Attributes:
        prompts: in a rollout, over all processes.
        answers_per_prompt: sampled.
        parts: optimiser steps in which all its answers are seen once.
        passes: how often they are.
        answers_per_micro_batch: in one forward pass of one process.
    """

    prompts: int
    answers_per_prompt: int
    parts: int
    passes: int
    answers_per_micro_batch: int

    @property
    def steps(self) -> int:
        """Optimiser steps that learn from one rollout."""
        return self.parts * self.passes

    def division(self, num_answers: int, part: int) -> list[range]:
        """Numbers of the answers of each micro-batch of a part; the same in every pass, so that a pass over unchanged
        weights gives the very numbers that were kept."""
        size = num_answers // self.parts
        answers = range(part * size, (part + 1) * size)
        return [answers[i : i + self.answers_per_micro_batch] for i in range(0, size, self.answers_per_micro_batch)]


class RolloutFeed:
    """A :class:`~chatwright.train.feed.Feed` that lets the model answer when the last answers are used up.

    Which prompts come, and the seeds of their answers, depend on the seed and the step alone. What cannot be made
    again, since the weights have changed, is part of a checkpoint.

    Args:
        prompts: at least one.
        plan: how rollouts are used.
        collect: samples and scores.
        seed: decides the order of the prompts and the answers to them.
        rank, world_size: of this process, among how many; each answers its share of the prompts.

    Raises:
        ConfigError: the numbers do not divide each other, or are too large.
    """

    def __init__(
        self,
        prompts: Sequence[EncodedPrompt],
        plan: RolloutPlan,
        collect: Collect,
        *,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if plan.prompts % (plan.parts * world_size):
            raise ConfigError(
                f"a rollout has {plan.prompts} prompts, which cannot be divided evenly into {plan.parts} steps on "
                f"{world_size} processes; change train_batch_size"
            )
        if plan.prompts // world_size > _MOST_PROMPTS:
            raise ConfigError(
                f"a rollout has {plan.prompts // world_size} prompts on each process, more than the {_MOST_PROMPTS} "
                "that the engine takes at once; make train_batch_size smaller"
            )
        self._prompts, self.plan, self._collect = prompts, plan, collect
        self._seed, self._rank, self._world_size = seed, rank, world_size
        self._rollout = -1  # number of the one in use
        self._experience: Experience | None = None

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps in which every prompt is answered once."""
        return -(-len(self._prompts) // self.plan.prompts) * self.plan.steps

    def micro_batches(self, step: int) -> Sequence[Batch]:
        """This process' share of a step; samples when it is the first of a rollout."""
        rollout, within = divmod(step, self.plan.steps)
        if rollout != self._rollout or self._experience is None:
            self._experience = self._sample(rollout)
            self._rollout = rollout
        division = self.plan.division(len(self._experience), within % self.plan.parts)
        return list(self._experience.batches(division, leave_out=() if within == 0 else (ON_POLICY,)))

    def state(self) -> dict[str, Tensor]:
        """The rollout in use."""
        if self._experience is None:
            return {}
        return {_ROLLOUT: torch.tensor(self._rollout), **self._experience.state()}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Go on with the rollout in use."""
        if state:
            self._rollout = int(state[_ROLLOUT])
            self._experience = Experience.from_state(state)

    def _sample(self, rollout: int) -> Experience:
        share = self.plan.prompts // self._world_size
        first = rollout * self.plan.prompts + self._rank * share
        places = range(first, first + share)
        prompts = [self._prompts[self._prompt_at(place)] for place in places]
        seeds = [seed_of(self._seed, place) for place in places]
        num_answers = share * self.plan.answers_per_prompt
        division = [part for number in range(self.plan.parts) for part in self.plan.division(num_answers, number)]
        return self._collect(prompts, seeds, division, self._experience)

    def _prompt_at(self, place: int) -> int:
        """Which prompt is asked in a place of the endless sequence: every epoch another order."""
        epoch, within = divmod(place, len(self._prompts))
        order: np.ndarray = np.random.default_rng([self._seed % 2**32, epoch]).permutation(len(self._prompts))
        return int(order[within])
