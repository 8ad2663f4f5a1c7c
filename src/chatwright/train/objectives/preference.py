"""What objectives on preferences share."""

from collections.abc import Sequence
from typing import Any, ClassVar, Self

from pydantic import Field, model_validator
from torch import Tensor

from chatwright.chat import ChatTemplate
from chatwright.data.rows import Preference
from chatwright.model import GPT
from chatwright.model.lora import has_adapters
from chatwright.train.batch import Batch
from chatwright.train.objective import Encoder, Objective, StageContext
from chatwright.train.reference import LiveReference, StoredReference, without_dropout
from chatwright.train.settings import StageSettings


class PreferenceSettings(StageSettings):
    """A small learning rate: the model is to be corrected, not taught. Adapters take ten times that of all weights."""

    learning_rate: float = Field(1e-6, gt=0, description="peak of AdamW; with lora 1e-5 unless given")
    max_length: int = Field(1024, ge=8, description="longest prompt with one answer, in tokens")

    @model_validator(mode="before")
    @classmethod
    def _adapters_learn_faster(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("lora") is not None:
            return {"learning_rate": 10 * cls.model_fields["learning_rate"].default, **values}
        return values

    @model_validator(mode="after")
    def _no_z_loss(self) -> Self:
        if self.z_loss:
            raise ValueError("z_loss has no effect on preferences and rewards; leave it out")
        return self


class NoDropoutSettings(PreferenceSettings):
    """Of objectives that compare the model with what it was."""

    @model_validator(mode="after")
    def _no_dropout(self) -> Self:
        if self.lora is not None and self.lora.lora_dropout:
            raise ValueError("lora_dropout must be 0 here: the model is compared with what it was, without noise")
        return self


class ReferenceSettings(NoDropoutSettings):
    """Of objectives on data from disk that pull the model towards what it was."""

    beta: float = Field(0.1, gt=0, description="pull towards the reference; smaller values move further from it")


class Pairs(Objective):
    """Objectives on pairs (chosen, rejected); an item is a pair."""

    rows: ClassVar[tuple[type, ...]] = (Preference,)

    @classmethod
    def encoder(cls, settings: StageSettings, template: ChatTemplate) -> Encoder:
        """Prompt and answer for each of the two, the answer learned."""
        from chatwright.data.encode import PreferenceEncoder

        return PreferenceEncoder(template, settings.max_length)

    def items(self, batch: Batch) -> float:
        """Pairs."""
        return batch.num_examples


class Reference:
    """The reference of a stage on data from disk, by whichever way costs least.

    Stored: the data are read once more before the first step, and no step takes longer. Live, through the disabled
    adapters or a frozen copy: a step reads its batch twice, which is less where the data are seen only once.

    Args:
        context: of the stage.
        stored: True, False, or "auto": live with adapters and no more than one pass, else stored.
    """

    def __init__(self, context: StageContext, stored: bool | str) -> None:
        without_dropout(context.model)
        if stored == "auto":
            settings = context.settings
            once = settings.max_steps is not None or settings.num_train_epochs <= 1
            stored = not (has_adapters(context.model) and once)
        self._stored = StoredReference(context.folder) if stored else None
        self._live = None if stored else LiveReference(context.model)
        self.frozen = None if self._live is None else self._live.frozen

    def prepare(self, model: GPT, batches: Sequence[Batch]) -> None:
        """Score the data if they are to be stored."""
        if self._stored is not None:
            self._stored.prepare(model, batches)

    def document_log_probs(self, model: GPT, batch: Batch) -> Tensor:
        """Summed log-probability of each document's labels, float32 [D]."""
        if self._stored is not None:
            return self._stored.document_log_probs(batch)
        assert self._live is not None
        return self._live.document_log_probs(model, batch)


def chosen_rejected(values_D: Tensor) -> tuple[Tensor, Tensor]:
    """The two halves of values by document."""
    return values_D[0::2], values_D[1::2]


def pair_figures(chosen_B: Tensor, rejected_B: Tensor) -> dict[str, tuple[Tensor | float, float]]:
    """How often, and by how much, the better answer is rated higher; names as in the field."""
    chosen_B, rejected_B = chosen_B.detach(), rejected_B.detach()
    count = float(len(chosen_B))
    return {
        "accuracy": ((chosen_B > rejected_B).float().sum(), count),
        "margin": ((chosen_B - rejected_B).sum(), count),
        "reward_chosen": (chosen_B.sum(), count),
        "reward_rejected": (rejected_B.sum(), count),
    }
