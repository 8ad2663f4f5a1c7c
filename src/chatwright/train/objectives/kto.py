"""KTO: learning from single answers with a thumb up or down."""

from dataclasses import replace
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from chatwright.chat import ChatTemplate
from chatwright.data.rows import Rated
from chatwright.model import GPT
from chatwright.train.batch import IGNORED, Batch
from chatwright.train.dtensors import is_sharded_model
from chatwright.train.likelihood import document_sums, token_log_probs
from chatwright.train.losses.preference import kto_baseline, kto_loss
from chatwright.train.objective import Encoder, Loss, Objective, StageContext
from chatwright.train.objectives.preference import ReferenceSettings
from chatwright.train.reference import LiveReference, without_dropout
from chatwright.train.settings import StageSettings


class KTOSettings(ReferenceSettings):
    """Good answers more likely and bad ones less; where there are more of one kind, the other weighs more."""

    desirable_weight: float = Field(1.0, ge=0, description="of good answers")
    undesirable_weight: float = Field(1.0, ge=0, description="of bad answers")


class KTO(Objective):
    """KTO on rated answers; an item is an answer.

    What an arbitrary answer's log-ratio is, is estimated from the answers of a micro-batch given each other's prompts.
    So, alone among objectives, it depends on how a batch is divided: a micro-batch of one answer has a baseline of 0.
    The mismatched answers are read by policy and reference without gradients, which makes a step about twice as long.
    """

    Settings: ClassVar[type[StageSettings]] = KTOSettings
    rows: ClassVar[tuple[type, ...]] = (Rated,)

    def __init__(self, context: StageContext) -> None:
        super().__init__(context)
        assert isinstance(context.settings, KTOSettings)
        self._settings = context.settings
        without_dropout(context.model)
        # Who meets whose prompt changes with the epoch, so that log-probabilities cannot be stored.
        self._reference = LiveReference(context.model)
        self.frozen = self._reference.frozen

    @classmethod
    def keeps_reference(cls, settings: StageSettings) -> bool:
        """Unless adapters can be switched off."""
        return settings.lora is None

    @classmethod
    def encoder(cls, settings: StageSettings, template: ChatTemplate) -> Encoder:
        """Prompt and answer, the answer learned."""
        from chatwright.data.encode import RatedEncoder

        return RatedEncoder(template, settings.max_length)

    def items(self, batch: Batch) -> float:
        """Answers."""
        return batch.num_examples

    def loss(self, model: GPT, batch: Batch) -> Loss:
        """Loss of the answers; ``reward_chosen`` and ``reward_rejected`` are of the good and of the bad ones."""
        settings = self._settings
        baseline = kto_baseline(self._mismatched_ratios(model, batch))
        ratio_D = self._ratios(model, batch, token_log_probs(model, batch))
        label_D = batch.values["label"]
        losses_D = kto_loss(
            ratio_D,
            label_D,
            baseline,
            beta=settings.beta,
            desirable_weight=settings.desirable_weight,
            undesirable_weight=settings.undesirable_weight,
        )
        reward_D = settings.beta * ratio_D.detach()
        good = float(label_D.sum())
        return Loss(
            losses_D.sum(),
            {
                "kl": (baseline * len(ratio_D), float(len(ratio_D))),
                "reward_chosen": ((reward_D * label_D).sum(), good),
                "reward_rejected": ((reward_D * (1 - label_D)).sum(), len(ratio_D) - good),
            },
        )

    def _ratios(self, model: GPT, batch: Batch, log_probs_M: Tensor) -> Tensor:
        return document_sums(log_probs_M - self._reference.token_log_probs(model, batch), batch)

    @torch.no_grad()
    def _mismatched_ratios(self, model: GPT, batch: Batch) -> Tensor:
        mismatched = mismatched_answers(batch, self._settings.max_length)
        if mismatched is not None:
            return self._ratios(model, mismatched, token_log_probs(model, mismatched))
        if is_sharded_model(model):  # all processes gather its weights, and another one may have mismatched answers
            self._ratios(model, batch, token_log_probs(model, batch))
        return torch.zeros(1, device=batch.labels_N.device)


def mismatched_answers(batch: Batch, max_length: int) -> Batch | None:
    """Each prompt with the answer of the example before it, the first one's with the last one's.

    Args:
        batch: one document for each example.
        max_length: longer documents are cut: neither prompt nor answer was chosen to go with the other.
    Returns:
        None where there are not two examples that could exchange anything.
    """
    if batch.num_examples < 2:
        return None
    ends = torch.tensor(batch.lengths).cumsum(0).tolist()
    parts = [_split(batch, start, end) for start, end in zip([0, *ends[:-1]], ends, strict=True)]
    ids, labels = [], []
    for (prompt, _, _), (_, answer, targets) in zip(parts, [parts[-1], *parts[:-1]], strict=True):
        ids.append(torch.cat([prompt, answer])[:max_length])
        # Each label stands one place before its token.
        blank = torch.full_like(prompt, IGNORED)
        labels.append(torch.cat([blank[1:], targets, blank[:1]])[:max_length])
        labels[-1][-1] = IGNORED
    return replace(
        batch,
        input_ids_N=torch.cat(ids),
        labels_N=torch.cat(labels),
        positions_N=torch.cat([torch.arange(len(piece), device=piece.device) for piece in ids]),
        lengths=tuple(len(piece) for piece in ids),
    )


def _split(batch: Batch, start: int, end: int) -> tuple[Tensor, Tensor, Tensor]:
    """A document's prompt, its answer from the first learned token on, and which of the answer's tokens are labels."""
    ids, labels = batch.input_ids_N[start:end], batch.labels_N[start:end]
    first = int((labels != IGNORED).nonzero()[0]) + 1
    return ids[:first], ids[first:], labels[first - 1 : -1]
