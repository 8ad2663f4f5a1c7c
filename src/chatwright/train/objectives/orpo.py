"""Odds-ratio preference optimisation: imitation and preference in one stage, without a reference."""

from typing import ClassVar

from pydantic import Field

from chatwright.model import GPT
from chatwright.train.batch import Batch
from chatwright.train.likelihood import document_label_counts, document_sums, token_log_probs
from chatwright.train.losses.preference import log_odds_ratio, orpo_loss
from chatwright.train.objective import Loss, StageContext
from chatwright.train.objectives.preference import (
    Pairs,
    PreferenceSettings,
    chosen_rejected,
    pair_figures,
)
from chatwright.train.settings import StageSettings


class ORPOSettings(PreferenceSettings):
    """The better answer is imitated, so the learning rate is nearer to that of fine-tuning."""

    learning_rate: float = Field(8e-6, gt=0, description="peak of AdamW; with lora 8e-5 unless given")
    beta: float = Field(0.1, gt=0, description="weight of the odds ratio beside the imitation")


class ORPO(Pairs):
    """ORPO on pairs of answers; means over each answer's tokens."""

    Settings: ClassVar[type[StageSettings]] = ORPOSettings

    def __init__(self, context: StageContext) -> None:
        super().__init__(context)
        assert isinstance(context.settings, ORPOSettings)
        self._settings = context.settings

    def loss(self, model: GPT, batch: Batch) -> Loss:
        """Loss of the pairs; rewards are beta times the mean log-probability of a token."""
        sums_D = document_sums(token_log_probs(model, batch), batch)
        chosen_B, rejected_B = chosen_rejected(sums_D / document_label_counts(batch))
        beta = self._settings.beta
        figures = pair_figures(beta * chosen_B, beta * rejected_B) | {
            "nll": (-chosen_B.detach().sum(), float(len(chosen_B))),
            "log_odds_ratio": (log_odds_ratio(chosen_B, rejected_B).detach().sum(), float(len(chosen_B))),
        }
        return Loss(orpo_loss(chosen_B, rejected_B, beta=beta).sum(), figures)
