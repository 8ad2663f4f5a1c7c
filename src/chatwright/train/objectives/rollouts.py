"""What objectives on sampled answers share: prompts in, rewards, and a feed that lets the model answer.

Shape legend: A answers, M generated tokens that are learned.
"""

import logging
from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from pydantic import Field, field_validator, model_validator
from torch import Tensor

from chatwright.chat import ChatTemplate
from chatwright.data.encode import PromptEncoder
from chatwright.data.rows import Prompt, Row
from chatwright.errors import InputError
from chatwright.model import GPT
from chatwright.train.batch import Batch
from chatwright.train.experience import Experience
from chatwright.train.likelihood import label_log_probs
from chatwright.train.objective import Objective, StageContext
from chatwright.train.objectives.preference import NoDropoutSettings
from chatwright.train.precision import compute_dtype
from chatwright.train.reference import evaluating, without_dropout
from chatwright.train.rewards import Rewards
from chatwright.train.rollout import Answer, EncodedPrompt, sample_answers
from chatwright.train.rollout_feed import ON_POLICY, RolloutFeed, RolloutPlan
from chatwright.train.whole_model import WholeModel

_LOG = logging.getLogger(__name__)
_PASS_TOKENS = 8192  # most tokens in a forward pass, where nobody says how many answers


class RolloutSettings(NoDropoutSettings):
    """Settings of learning from rewards."""

    reward_funcs: tuple[str, ...] = Field(
        (), description="module:function, path/file.py:function or the folder of a reward model; several are added"
    )
    reward_weights: tuple[float, ...] | None = Field(None, description="of each of reward_funcs in the sum; default 1")
    max_completion_length: int = Field(256, ge=1, description="longest answer in tokens; a part of max_length")
    temperature: float = Field(1.0, gt=0, le=2, description="of sampling; answers are learned at the same one")
    train_batch_size: int = Field(32, ge=1, description="answers in an optimiser step, over all devices")
    per_device_train_batch_size: int | Literal["auto"] = Field(
        "auto", description="answers in one forward pass of one device; auto: as many as 8,192 tokens hold"
    )
    lr_scheduler_type: Literal["cosine", "wsd", "linear", "constant"] = "constant"

    @field_validator("reward_funcs", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.max_completion_length >= self.max_length:
            raise ValueError(
                f"max_completion_length {self.max_completion_length} leaves no room for a prompt in max_length "
                f"{self.max_length}"
            )
        if self.eval_data is not None:
            raise ValueError("eval_data has no effect on learning from rewards; evaluate by tasks")
        if self.gradient_accumulation_steps != "auto":
            raise ValueError("gradient_accumulation_steps follows from train_batch_size here; leave it out")
        return self

    @property
    def answers_per_micro_batch(self) -> int:
        """Answers in one forward pass."""
        if self.per_device_train_batch_size == "auto":
            return max(_PASS_TOKENS // self.max_length, 1)
        return self.per_device_train_batch_size


class RolloutObjective(Objective):
    """Samples, scores, and leaves to its subclasses what is learned from that."""

    rows: ClassVar[tuple[type, ...]] = (Prompt,)
    samples: ClassVar[bool] = True

    def __init__(self, context: StageContext) -> None:
        super().__init__(context)
        without_dropout(context.model)
        assert isinstance(context.settings, RolloutSettings)
        self._rollout_settings = context.settings
        self._rewards = Rewards(context.settings.reward_funcs, context.settings.reward_weights, context.device)
        self._whole = WholeModel(context.model, compute_dtype(context.settings.bf16, context.device))

    @classmethod
    def encoder(cls, settings: Any, template: ChatTemplate) -> PromptEncoder:
        """The prompt, up to where the assistant answers."""
        return PromptEncoder(template, settings.max_length - settings.max_completion_length)

    @property
    @abstractmethod
    def plan(self) -> RolloutPlan:
        """How rollouts are used."""

    @abstractmethod
    def learn_from(self, experience: Experience, division: Sequence[range], previous: Experience | None) -> Experience:
        """Add to sampled answers, which have their ``reward``, what the loss needs.

        Args:
            experience: this process' answers; those to one prompt follow each other.
            division: into micro-batches.
            previous: the rollout before, as this method returned it.
        """

    def feed(self, rows: Iterable[Row]) -> RolloutFeed:
        """Lets the model answer the prompts.

        Raises:
            InputError: there are none.
            ConfigError: numbers of the settings do not divide each other.
        """
        context = self.context
        encoder = self.encoder(self._rollout_settings, context.template)
        prompts = []
        for row in rows:
            example = encoder(row)
            if example is not None:
                assert isinstance(row, Prompt)
                prompts.append(EncodedPrompt(row, example.documents[0].ids))
        for reason, count in encoder.tally.items():
            _LOG.warning("%d prompts are left out: %s", count, reason)
        if not prompts:
            raise InputError("the stage has no prompts; give it lines with a `prompt`, none longer than max_length")
        return RolloutFeed(
            prompts,
            self.plan,
            self._collect,
            seed=context.seed,
            rank=context.rank,
            world_size=context.world_size,
        )

    def is_learned(self, answer: Answer) -> bool:
        """Whether anything is learned from an answer."""
        return True

    def _collect(
        self,
        prompts: Sequence[EncodedPrompt],
        seeds: Sequence[int],
        division: Sequence[range],
        previous: Experience | None,
    ) -> Experience:
        answers = self._answers(prompts, seeds)  # a copy of the model to sample from is gone when it returns
        reward_A, parts = self._rewards(answers)
        values = {"reward": reward_A}
        if len(parts) > 1:
            values |= {f"reward_{label}": part for label, part in zip(self._rewards.labels, parts, strict=True)}
        values["answer_tokens"] = torch.tensor([float(len(answer.ids)) for answer in answers])
        values["truncated"] = torch.tensor([float(not answer.finished) for answer in answers])
        learned = [answer for answer in answers if self.is_learned(answer)]
        log_probs = np.concatenate([np.empty(0, np.float32), *(answer.log_probs for answer in learned)])
        experience = Experience.of([answer.document(learned=self.is_learned(answer)) for answer in answers], values)
        return self.learn_from(experience.with_tokens(**{ON_POLICY: torch.from_numpy(log_probs)}), division, previous)

    def _answers(self, prompts: Sequence[EncodedPrompt], seeds: Sequence[int]) -> list[Answer]:
        context, settings = self.context, self._rollout_settings
        with self._whole.of(context.model) as model:
            return sample_answers(
                model,
                context.tokenizer,
                context.template,
                prompts,
                seeds,
                num_answers=self.plan.answers_per_prompt,
                max_tokens=settings.max_completion_length,
                temperature=settings.temperature,
            )

    @torch.no_grad()
    def score(
        self, experience: Experience, division: Sequence[range], function: Callable[[Batch], tuple[Tensor, ...]]
    ) -> list[Tensor]:
        """What the model says of the answers before it learns from them, without dropout; on the CPU, [M] each.

        Args:
            experience: the answers.
            division: that of the steps to come, so that rounding is the same.
            function: gives tensors [M] of a batch on the device.
        """
        with evaluating(self.context.model):
            rows = [function(batch.to(self.context.device)) for batch in experience.batches(division)]
        return [torch.cat(column).cpu() for column in zip(*rows, strict=True)]

    def rollout_figures(
        self, model: GPT, hidden_NC: Tensor, batch: Batch, log_prob_M: Tensor
    ) -> dict[str, tuple[Tensor | float, float]]:
        """What is known of the answers, and how far the sampler's log-probabilities are from the trainer's."""
        count = float(batch.num_examples)
        names = [name for name in batch.values if name.startswith("reward")] + ["answer_tokens", "truncated"]
        figures: dict[str, tuple[Tensor | float, float]] = {name: (batch.values[name].sum(), count) for name in names}
        log_prob_M = log_prob_M.detach()
        figures["entropy"] = (-log_prob_M.sum(), float(len(log_prob_M)))  # an estimate, as they are samples
        sampled_M = batch.values.get(ON_POLICY)
        if sampled_M is None:
            return figures
        if self._rollout_settings.temperature != 1:
            with torch.no_grad():  # the sampler's are of the model as it is
                log_prob_M = label_log_probs(model, hidden_NC.detach(), batch)
        known_M = sampled_M.isfinite()
        gap = (log_prob_M - sampled_M)[known_M].abs()
        return figures | {"sampler_gap": (gap.sum(), float(len(gap)))}


def sum_over_processes(*values: Tensor | float) -> list[float]:
    """Sums of numbers over all processes, in float64."""
    sums = torch.tensor([float(value) for value in values], dtype=torch.float64)
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.all_reduce(sums)
    return list(sums.tolist())


def moments(values_M: Tensor) -> tuple[float, float]:
    """Mean and (unbiased) variance of the values of all processes."""
    wide = values_M.double()
    total, count = sum_over_processes(wide.sum(), len(wide))
    mean = total / max(count, 1)
    (squares,) = sum_over_processes((wide - mean).square().sum())
    return mean, squares / max(count - 1, 1)
