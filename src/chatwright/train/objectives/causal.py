"""Language modelling: every token of running text is predicted from those before it."""

from typing import ClassVar, Literal

from pydantic import Field

from chatwright.chat import ChatTemplate
from chatwright.data.encode import TextEncoder
from chatwright.data.rows import Text
from chatwright.model import GPT
from chatwright.train.batch import Batch
from chatwright.train.likelihood import cross_entropy
from chatwright.train.objective import Encoder, Loss, Objective
from chatwright.train.settings import StageSettings


class PretrainSettings(StageSettings):
    """A base model from text. The learning rates are those of a width of a few hundred; wider models take less."""

    optimizer: Literal["muon", "adamw"] = "muon"
    learning_rate: float = Field(3e-3, gt=0, description="peak of AdamW: embeddings, norms and head beside Muon")
    weight_decay: float = Field(0.1, ge=0)
    lr_scheduler_type: Literal["cosine", "wsd", "linear", "constant"] = "wsd"
    warmup_ratio: float = Field(0.02, ge=0, le=1)
    min_lr_ratio: float = Field(0.0, ge=0, le=1)


class Likelihood(Objective):
    """Cross-entropy of the labelled tokens: what pretraining and imitation share."""

    def items(self, batch: Batch) -> float:
        """Labelled tokens."""
        return batch.num_labels

    def loss(self, model: GPT, batch: Batch) -> Loss:
        """Negative log-likelihood in nats."""
        z_loss = self.context.settings.z_loss if model.training else 0.0  # held-out loss is that of the text alone
        return Loss(cross_entropy(model, batch, z_loss=z_loss))


class Pretrain(Likelihood):
    """Causal language modelling of running text."""

    Settings: ClassVar[type[StageSettings]] = PretrainSettings
    rows: ClassVar[tuple[type, ...]] = (Text,)

    @classmethod
    def encoder(cls, settings: StageSettings, template: ChatTemplate) -> Encoder:
        """The text's tokens and the end of text, all of them learned."""
        return TextEncoder(template)
