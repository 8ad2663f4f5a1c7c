"""Supervised fine-tuning: the assistant's turns of conversations are imitated."""

from typing import Any, ClassVar

from pydantic import Field, model_validator

from chatwright.chat import ChatTemplate
from chatwright.data.encode import DialogueEncoder
from chatwright.data.rows import Dialogue
from chatwright.train.objective import Encoder
from chatwright.train.objectives.causal import Likelihood
from chatwright.train.settings import StageSettings


class SFTSettings(StageSettings):
    """An assistant from a base model. Adapters take ten times the learning rate of all weights."""

    learning_rate: float = Field(2e-5, gt=0, description="peak of AdamW; with lora 2e-4 unless given")

    @model_validator(mode="before")
    @classmethod
    def _adapters_learn_faster(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("lora") is not None:
            return {"learning_rate": 2e-4, **values}
        return values


class SFT(Likelihood):
    """Cross-entropy of what the assistant says, over all its turns; what others say is context."""

    Settings: ClassVar[type[StageSettings]] = SFTSettings
    rows: ClassVar[tuple[type, ...]] = (Dialogue,)

    @classmethod
    def encoder(cls, settings: StageSettings, template: ChatTemplate) -> Encoder:
        """The rendered conversation, learned where the assistant speaks and where it ends its turns."""
        return DialogueEncoder(template, settings.max_length)
