"""PPO from feedback: a value for every token, so that each is judged by what came of it.

Shape legend: A answers, T tokens of the longest answer, M generated tokens, N tokens of a batch, C hidden width.
"""

from collections.abc import Sequence
from typing import ClassVar, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from chatwright.model import GPT
from chatwright.train.batch import IGNORED, Batch
from chatwright.train.experience import Experience
from chatwright.train.likelihood import hidden_states, label_log_probs
from chatwright.train.losses.policy import clipped_policy_loss, clipped_value_loss, generalized_advantages, whiten
from chatwright.train.objective import Loss, StageContext
from chatwright.train.objectives.rollouts import RolloutObjective, RolloutSettings, moments
from chatwright.train.reference import LiveReference
from chatwright.train.rollout_feed import RolloutPlan
from chatwright.train.settings import StageSettings

_STEP = 0.1  # by how much an adaptive kl_coef changes for a KL that is off by all of the target
_MOST = 0.2  # how far off it may count


class PPOSettings(RolloutSettings):
    """Answers with more reward become likelier, within reach of the model before."""

    learning_rate: float = Field(3e-6, gt=0, description="peak of AdamW; with lora 3e-5 unless given")
    value_learning_rate: float = Field(1e-4, gt=0, description="peak of the value head, which starts from nothing")
    num_ppo_epochs: int = Field(4, ge=1, description="passes over the answers before new ones are sampled")
    num_mini_batches: int = Field(1, ge=1, description="optimiser steps in one such pass")
    cliprange: float = Field(0.2, gt=0, lt=1, description="the ratio earns nothing beyond 1 - cliprange, 1 + cliprange")
    cliprange_value: float = Field(0.2, gt=0, description="values count as having moved by no more than this")
    vf_coef: float = Field(0.1, ge=0, description="weight of the values' loss")
    gamma: float = Field(1.0, ge=0, le=1, description="discount by token")
    lam: float = Field(0.95, ge=0, le=1, description="generalised advantages: 0 trusts the values, 1 the rewards")
    kl_coef: float = Field(0.05, ge=0, description="price of a nat of distance from the model before the stage")
    target_kl: float | None = Field(None, gt=0, description="nats per answer that kl_coef is adapted to; null: fixed")
    missing_eos_penalty: float = Field(0.0, ge=0, description="taken from the reward of answers cut for their length")

    @model_validator(mode="after")
    def _adapts_something(self) -> Self:
        if self.target_kl is not None and not self.kl_coef:
            raise ValueError("target_kl adapts kl_coef by factors, so that a kl_coef of 0 stays 0; set one above 0")
        return self


class PPO(RolloutObjective):
    """Proximal policy optimisation with a value head on the model's own last state; an item is a token.

    Source:
        Schulman et al. 2017, arXiv 1707.06347; for language models Ziegler et al. 2019, arXiv 1909.08593, and Huang
        et al. 2024, arXiv 2403.17031.
    """

    Settings: ClassVar[type[StageSettings]] = PPOSettings

    def __init__(self, context: StageContext) -> None:
        super().__init__(context)
        assert isinstance(context.settings, PPOSettings)
        self._settings = context.settings
        self._reference = LiveReference(context.model)
        self.frozen = self._reference.frozen
        self.value = nn.Linear(context.model.config.hidden_size, 1, bias=False, device=context.device)
        nn.init.zeros_(self.value.weight)
        self.head = nn.ModuleDict({"value": self.value})

    @classmethod
    def keeps_reference(cls, settings: StageSettings) -> bool:
        """Unless adapters can be switched off."""
        return settings.lora is None

    @property
    def plan(self) -> RolloutPlan:
        """One answer to each prompt."""
        settings = self._settings
        return RolloutPlan(
            prompts=settings.train_batch_size * settings.num_mini_batches,
            answers_per_prompt=1,
            parts=settings.num_mini_batches,
            passes=settings.num_ppo_epochs,
            answers_per_micro_batch=settings.answers_per_micro_batch,
        )

    def learn_from(self, experience: Experience, division: Sequence[range], previous: Experience | None) -> Experience:
        """Values, distances from the reference, and the advantages that follow from them."""
        settings = self._settings
        old_M, value_M, reference_M = self.score(experience, division, self._opinions)
        kl_M = old_M - reference_M
        kl_A = experience.padded(kl_M).sum(dim=1)
        coefficient = self._kl_coefficient(previous)
        reward_A = experience.answer_values["reward"]
        reward_A = reward_A - settings.missing_eos_penalty * experience.answer_values["truncated"]
        advantage_M, return_M = self._advantages(experience, reward_A, -coefficient * kl_M, value_M)
        mean, variance = moments(advantage_M)
        return experience.with_answers(kl=kl_A, kl_coef=torch.full_like(kl_A, coefficient)).with_tokens(
            old_log_prob=old_M,
            old_value=value_M,
            returns=return_M,
            advantage=whiten(advantage_M, mean=mean, variance=variance),
        )

    def items(self, batch: Batch) -> float:
        """Generated tokens."""
        return batch.num_labels

    def loss(self, model: GPT, batch: Batch) -> Loss:
        """Clipped objective of the policy, and of the values."""
        settings, values = self._settings, batch.values
        hidden_NC = hidden_states(model, batch)
        log_prob_M = label_log_probs(model, hidden_NC, batch, temperature=settings.temperature)
        value_M = self.values(hidden_NC, batch)
        policy_M, clipped_M = clipped_policy_loss(
            log_prob_M,
            values["old_log_prob"],
            values["advantage"],
            epsilon_low=settings.cliprange,
            epsilon_high=settings.cliprange,
        )
        errors_M = clipped_value_loss(value_M, values["old_value"], values["returns"], epsilon=settings.cliprange_value)
        figures = self.rollout_figures(model, hidden_NC, batch, log_prob_M)
        count, answers = float(len(policy_M)), float(batch.num_examples)
        figures |= {
            "policy_loss": (policy_M.detach().sum(), count),
            "value_loss": (errors_M.detach().sum(), count),
            "clip_ratio": (clipped_M.sum(), count),
            "kl": (values["kl"].sum(), answers),
            "kl_coef": (values["kl_coef"].sum(), answers),
        }
        return Loss((policy_M + settings.vf_coef * errors_M).sum(), figures)

    def values(self, hidden_NC: Tensor, batch: Batch) -> Tensor:
        """The return expected before each generated token, float32 [M]."""
        weight = self.value.weight.float()
        # Adam's steps are as long as the learning rate, whatever the gradient: a weight that counts for more is one
        # that learns faster. The gradient itself is left as it is, for the sake of the clipping of its norm.
        faster = self._settings.value_learning_rate / self._settings.learning_rate
        weight = weight + (faster - 1) * weight.detach()
        return (hidden_NC[batch.labels_N != IGNORED].float() @ weight.T).squeeze(1)

    def _opinions(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Log-probability, value, and the reference's log-probability of each token."""
        model, temperature = self.context.model, self._settings.temperature
        hidden_NC = hidden_states(model, batch)
        return (
            label_log_probs(model, hidden_NC, batch, temperature=temperature),
            self.values(hidden_NC, batch),
            self._reference.token_log_probs(model, batch, temperature=temperature),
        )

    def _advantages(
        self, experience: Experience, reward_A: Tensor, token_reward_M: Tensor, value_M: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Advantages and returns, [M] each; the answer's reward is received after its last token."""
        counts = torch.tensor(experience.learned_counts)
        reward_AT = experience.padded(token_reward_M)
        reward_AT[torch.arange(len(counts)), counts - 1] += reward_A
        mask_AT = torch.arange(reward_AT.shape[1]) < counts[:, None]
        both = generalized_advantages(
            reward_AT, experience.padded(value_M), mask_AT, gamma=self._settings.gamma, lam=self._settings.lam
        )
        advantage_M, return_M = (experience.unpadded(values_AT) for values_AT in both)
        return advantage_M, return_M

    def _kl_coefficient(self, previous: Experience | None) -> float:
        """The price of distance: a little more than before where there was too much (Ziegler et al., section 2.2)."""
        settings = self._settings
        if previous is None or settings.target_kl is None:
            return settings.kl_coef
        kl, _ = moments(previous.answer_values["kl"])
        error = max(-_MOST, min(_MOST, kl / settings.target_kl - 1))
        return float(previous.answer_values["kl_coef"][0]) * (1 + _STEP * error)
