"""GRPO, Dr. GRPO and DAPO: answers to one prompt are compared with each other, and no value is learned."""

from collections.abc import Sequence
from typing import ClassVar, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from chatwright.model import GPT
from chatwright.train.batch import Batch
from chatwright.train.experience import Experience
from chatwright.train.likelihood import (
    document_label_counts,
    document_of_labels,
    hidden_states,
    label_log_probs,
    token_log_probs,
)
from chatwright.train.losses.policy import clipped_policy_loss, group_advantages, kl_estimate
from chatwright.train.objective import Loss, StageContext
from chatwright.train.objectives.rollouts import RolloutObjective, RolloutSettings, moments
from chatwright.train.reference import LiveReference
from chatwright.train.rollout import Answer
from chatwright.train.rollout_feed import RolloutPlan
from chatwright.train.settings import StageSettings

_OLD, _REFERENCE = "old_log_prob", "reference_log_prob"


class GRPOSettings(RolloutSettings):
    """Better answers than the others to the same prompt become likelier."""

    num_generations: int = Field(8, ge=2, description="answers to each prompt")
    loss_type: Literal["grpo", "dr_grpo", "dapo"] = Field(
        "dapo", description="grpo: mean of each answer; dr_grpo: by max_completion_length; dapo: by the step's tokens"
    )
    scale_rewards: Literal["group", "batch", "none"] | None = Field(
        None, description="divide by the standard deviation of what; default: group, with dr_grpo none"
    )
    beta: float = Field(0.0, ge=0, description="pull towards the model before the stage")
    epsilon: float = Field(0.2, gt=0, lt=1, description="the ratio earns nothing beyond 1 - epsilon and 1 + epsilon")
    epsilon_high: float | None = Field(None, gt=0, description="above 1; default: epsilon. DAPO takes 0.28")
    num_iterations: int = Field(1, ge=1, description="passes over the answers before new ones are sampled")
    steps_per_generation: int = Field(1, ge=1, description="optimiser steps in one such pass")
    mask_truncated_completions: bool = Field(False, description="learn nothing from answers cut for their length")

    @model_validator(mode="after")
    def _whole_groups(self) -> Self:
        if self.train_batch_size % self.num_generations:
            raise ValueError(
                f"train_batch_size {self.train_batch_size} is no multiple of num_generations {self.num_generations}; "
                "answers to one prompt stay together"
            )
        return self

    @property
    def scale(self) -> str:
        """``scale_rewards``, or its default."""
        return self.scale_rewards or ("none" if self.loss_type == "dr_grpo" else "group")


class GRPO(RolloutObjective):
    """Group relative policy optimisation; an item is an answer, with dapo a token.

    Source:
        Shao et al. 2024, arXiv 2402.03300; Liu et al. 2025, arXiv 2503.20783; Yu et al. 2025, arXiv 2503.14476.
    """

    Settings: ClassVar[type[StageSettings]] = GRPOSettings

    def __init__(self, context: StageContext) -> None:
        super().__init__(context)
        assert isinstance(context.settings, GRPOSettings)
        self._settings = context.settings
        self._reference = LiveReference(context.model) if context.settings.beta else None
        self.frozen = None if self._reference is None else self._reference.frozen

    @classmethod
    def keeps_reference(cls, settings: StageSettings) -> bool:
        """Where it is compared with, and adapters cannot be switched off."""
        assert isinstance(settings, GRPOSettings)
        return settings.beta > 0 and settings.lora is None

    @property
    def plan(self) -> RolloutPlan:
        """Whole groups in every step."""
        settings = self._settings
        return RolloutPlan(
            prompts=settings.train_batch_size * settings.steps_per_generation // settings.num_generations,
            answers_per_prompt=settings.num_generations,
            parts=settings.steps_per_generation,
            passes=settings.num_iterations,
            answers_per_micro_batch=settings.answers_per_micro_batch,
        )

    def is_learned(self, answer: Answer) -> bool:
        """All answers, or those that ended by themselves."""
        return answer.finished or not self._settings.mask_truncated_completions

    def learn_from(self, experience: Experience, division: Sequence[range], previous: Experience | None) -> Experience:
        """Advantages, and where the weights change before the answers are used up, the log-probabilities as sampled."""
        reward_BG = experience.answer_values["reward"].view(-1, self._settings.num_generations)
        advantage_A = group_advantages(reward_BG, scale=self._scale(reward_BG)).flatten()
        equal_BG = (reward_BG == reward_BG[:, :1]).all(dim=1, keepdim=True).float().expand_as(reward_BG)
        experience = experience.with_answers(zero_std_groups=equal_BG.flatten())
        experience = experience.with_tokens(advantage=experience.per_token(advantage_A))
        if self.plan.steps > 1:
            (old_M,) = self.score(experience, division, lambda batch: (self._log_probs(batch),))
            experience = experience.with_tokens(**{_OLD: old_M})
        if self._reference is not None:
            (reference_M,) = self.score(experience, division, self._reference_log_probs)
            experience = experience.with_tokens(**{_REFERENCE: reference_M})
        return experience

    def items(self, batch: Batch) -> float:
        """Answers; with dapo, learned tokens."""
        return batch.num_labels if self._settings.loss_type == "dapo" else batch.num_examples

    def loss(self, model: GPT, batch: Batch) -> Loss:
        """Clipped objective of the answers, and their distance from the reference where it counts."""
        settings = self._settings
        hidden_NC = hidden_states(model, batch)
        log_prob_M = label_log_probs(model, hidden_NC, batch, temperature=settings.temperature)
        old_M = batch.values.get(_OLD, log_prob_M.detach())
        losses_M, clipped_M = clipped_policy_loss(
            log_prob_M,
            old_M,
            batch.values["advantage"],
            epsilon_low=settings.epsilon,
            epsilon_high=settings.epsilon if settings.epsilon_high is None else settings.epsilon_high,
        )
        figures = self.rollout_figures(model, hidden_NC, batch, log_prob_M)
        figures["zero_std_groups"] = (batch.values["zero_std_groups"].sum(), float(batch.num_examples))
        figures["clip_ratio"] = (clipped_M.sum(), float(len(clipped_M)))
        if _REFERENCE in batch.values:
            # Weighted by the ratio, the estimate has the gradient of the divergence itself, and not only its value
            # (DeepSeek-AI 2025, arXiv 2512.02556, section 3.1).
            kl_M = torch.exp(log_prob_M - old_M) * kl_estimate(log_prob_M, batch.values[_REFERENCE])
            losses_M = losses_M + settings.beta * kl_M
            figures["kl"] = (kl_M.detach().sum(), float(len(kl_M)))
        return Loss((losses_M * self._weights(batch)).sum(), figures)

    def _scale(self, reward_BG: Tensor) -> Tensor | None:
        if self._settings.scale == "none":
            return None
        if self._settings.scale == "group":
            return reward_BG.std(dim=1, keepdim=True)
        return torch.tensor(moments(reward_BG.flatten())[1] ** 0.5)

    def _weights(self, batch: Batch) -> Tensor:
        """How much each token counts in the sum of the items' losses, [M]."""
        if self._settings.loss_type == "grpo":
            return 1 / document_label_counts(batch)[document_of_labels(batch)]
        by = self._settings.max_completion_length if self._settings.loss_type == "dr_grpo" else 1
        return torch.full((batch.num_labels,), 1 / by, device=batch.labels_N.device)

    def _log_probs(self, batch: Batch) -> Tensor:
        return token_log_probs(self.context.model, batch, temperature=self._settings.temperature)

    def _reference_log_probs(self, batch: Batch) -> tuple[Tensor]:
        assert self._reference is not None
        temperature = self._settings.temperature
        return (self._reference.token_log_probs(self.context.model, batch, temperature=temperature),)
