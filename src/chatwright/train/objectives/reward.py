"""A reward model: from preferences to a number for any answer."""

from pathlib import Path
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from chatwright.model import GPT
from chatwright.model.score_head import ScoreHead, pad_id_for, save_score_head
from chatwright.train.batch import Batch
from chatwright.train.likelihood import hidden_states
from chatwright.train.losses.preference import bradley_terry_loss
from chatwright.train.objective import Loss, StageContext
from chatwright.train.objectives.preference import Pairs, PreferenceSettings, chosen_rejected, pair_figures
from chatwright.train.settings import StageSettings

LABEL = "reward"


class RewardSettings(PreferenceSettings):
    """The head is new and the body is not: a rate between those of fine-tuning and of correcting."""

    learning_rate: float = Field(1e-5, gt=0, description="peak of AdamW; with lora 1e-4 unless given")
    label_smoothing: float = Field(0.0, ge=0, lt=0.5, description="part of the pairs that are the wrong way round")
    center_rewards_coefficient: float = Field(
        0.0, ge=0, description="keeps the mean of each pair's rewards near 0, which pairs alone leave open"
    )


class RewardModel(Pairs):
    """Bradley–Terry on pairs of answers, with their margins where the data has them.

    The reward is read at an answer's last token: where it ends its turn, and everything has been seen.
    """

    Settings: ClassVar[type[StageSettings]] = RewardSettings
    chats: ClassVar[bool] = False

    def __init__(self, context: StageContext) -> None:
        super().__init__(context)
        assert isinstance(context.settings, RewardSettings)
        self._settings = context.settings
        self.score = nn.Linear(context.model.config.hidden_size, 1, bias=False, device=context.device)
        nn.init.zeros_(self.score.weight)  # equal rewards at first: the first step is in the right direction
        self.head = nn.ModuleDict({"score": self.score})

    def loss(self, model: GPT, batch: Batch) -> Loss:
        """Loss of the pairs; ``accuracy`` is the part in which the better answer has the higher reward."""
        settings = self._settings
        reward_D = scores_at_end(hidden_states(model, batch), self.score.weight, batch)[:, 0]
        chosen_B, rejected_B = chosen_rejected(reward_D)
        losses_B = bradley_terry_loss(
            chosen_B, rejected_B, margin_B=batch.values.get("margin"), label_smoothing=settings.label_smoothing
        )
        if settings.center_rewards_coefficient:
            losses_B = losses_B + settings.center_rewards_coefficient * (chosen_B + rejected_B).square()
        return Loss(losses_B.sum(), pair_figures(chosen_B, rejected_B))

    def save(self, folder: Path) -> None:
        """Make the folder one of a reward model; a folder of adapters alone stays what it is."""
        if not (folder / "config.json").is_file():
            return
        tokenizer, template = self.context.tokenizer, self.context.template
        ends = [token for token in (template.turn_end_id, tokenizer.eos_id) if token is not None]
        pad = pad_id_for(ends, (tokenizer.pad_id, tokenizer.bos_id))
        save_score_head(folder, ScoreHead(self.score.weight.float(), (LABEL,)), pad_token_id=pad)


def scores_at_end(hidden_NC: Tensor, weight_LC: Tensor, batch: Batch) -> Tensor:
    """A linear head's output at the last token of each document, float32 [D, L].

    Args:
        hidden_NC: what the output head reads.
        weight_LC: of the head; computed with in float32, as differences of rewards are small.
        batch: of the documents; padding has no score.
    """
    last_D = torch.tensor(batch.lengths, device=hidden_NC.device).cumsum(0) - 1
    return hidden_NC[last_D].float() @ weight_LC.float().T
