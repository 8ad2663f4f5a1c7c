"""Direct preference optimisation: preferences without a reward model."""

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field, model_validator
from torch import Tensor

from chatwright.model import GPT
from chatwright.train.batch import Batch
from chatwright.train.likelihood import document_label_counts, document_sums, token_log_probs
from chatwright.train.losses.preference import dpo_loss, ipo_loss
from chatwright.train.objective import Loss, StageContext
from chatwright.train.objectives.preference import (
    Pairs,
    Reference,
    ReferenceSettings,
    chosen_rejected,
    pair_figures,
)
from chatwright.train.settings import StageSettings


class DPOSettings(ReferenceSettings):
    """Better answers more likely and worse ones less, compared with the model before."""

    loss_type: Literal["sigmoid", "ipo"] = Field("sigmoid", description="sigmoid: DPO; ipo: the lead has a target")
    label_smoothing: float = Field(0.0, ge=0, lt=0.5, description="part of the pairs that are the wrong way round")
    precompute_ref_log_probs: bool | Literal["auto"] = Field(
        "auto", description="score all data before the first step; auto: not with lora and one pass over the data"
    )

    @model_validator(mode="after")
    def _smoothing_has_effect(self) -> "DPOSettings":
        if self.loss_type == "ipo" and self.label_smoothing:
            raise ValueError("label_smoothing has no effect with loss_type ipo; leave it out")
        return self


class DPO(Pairs):
    """DPO, or IPO, on pairs of answers."""

    Settings: ClassVar[type[StageSettings]] = DPOSettings

    def __init__(self, context: StageContext) -> None:
        super().__init__(context)
        assert isinstance(context.settings, DPOSettings)
        self._settings = context.settings
        self._reference = Reference(context, self._settings.precompute_ref_log_probs)
        self.frozen = self._reference.frozen

    @classmethod
    def keeps_reference(cls, settings: StageSettings) -> bool:
        """Where nothing is stored, and adapters cannot be switched off."""
        assert isinstance(settings, DPOSettings)
        return settings.precompute_ref_log_probs is False and settings.lora is None

    def prepare(self, batches: Sequence[Batch]) -> None:
        """Score what is to be stored with the model as it is."""
        self._reference.prepare(self.context.model, batches)

    def loss(self, model: GPT, batch: Batch) -> Loss:
        """Loss of the pairs; ``accuracy`` and ``margin`` are of the implicit rewards."""
        log_probs_D = document_sums(token_log_probs(model, batch), batch)
        reference_D = self._reference.document_log_probs(model, batch)
        ratio_D = log_probs_D - reference_D
        rewards = chosen_rejected(self._settings.beta * ratio_D)
        return Loss(self._losses(log_probs_D, reference_D, batch).sum(), pair_figures(*rewards))

    def _losses(self, log_probs_D: Tensor, reference_D: Tensor, batch: Batch) -> Tensor:
        beta = self._settings.beta
        if self._settings.loss_type == "ipo":
            mean_ratio_D = (log_probs_D - reference_D) / document_label_counts(batch)
            return ipo_loss(*chosen_rejected(mean_ratio_D), beta=beta)
        smoothing = self._settings.label_smoothing
        chosen, rejected = chosen_rejected(log_probs_D), chosen_rejected(reference_D)
        return dpo_loss(*chosen, *rejected, beta=beta, label_smoothing=smoothing)
