"""Masked language modelling: a bidirectional model learns to fill in tokens that were hidden from it."""

import zlib
from dataclasses import replace
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from chatwright.chat import ChatTemplate
from chatwright.data.encode import TextEncoder
from chatwright.data.rows import Text
from chatwright.errors import ConfigError
from chatwright.model import GPT
from chatwright.tokenizer import Tokenizer
from chatwright.train.batch import IGNORED, Batch
from chatwright.train.likelihood import cross_entropy
from chatwright.train.objective import Encoder, Loss, Objective, StageContext
from chatwright.train.objectives.causal import PretrainSettings
from chatwright.train.settings import StageSettings

# Vocabularies of decoders rarely have a mask token. An underscore then stands for a gap, as it does on paper;
# BehnamGhader et al. 2024 (arXiv 2404.05961, section 2.1) chose it for Llama and Mistral.
_GAP = "_"


class MaskedLMSettings(PretrainSettings):
    """The shares are those of Devlin et al. 2018, arXiv 1810.04805, section 3.1."""

    mask_probability: float = Field(0.15, gt=0, lt=1, description="part of the tokens that must be told")
    mask_token: str | None = Field(None, description="what hides a token; default: the tokenizer's own, else '_'")


class MaskedLM(Objective):
    """Cross-entropy of hidden tokens: of those to be told 80 % are masked, 10 % replaced at random, 10 % left.

    Which ones is a pure function of the seed, the step and the text, whatever the micro-batches and processes.
    """

    Settings: ClassVar[type[StageSettings]] = MaskedLMSettings
    rows: ClassVar[tuple[type, ...]] = (Text,)
    chats: ClassVar[bool] = False

    def __init__(self, context: StageContext) -> None:
        super().__init__(context)
        assert isinstance(context.settings, MaskedLMSettings)
        context.model.config = context.model.config.replace(causal=False)
        self._probability = context.settings.mask_probability
        self._mask_id = mask_id(context.tokenizer, context.settings.mask_token)
        self._fixed = np.array(sorted(context.tokenizer.special_ids), dtype=np.int64)
        self._step = 0

    @classmethod
    def encoder(cls, settings: StageSettings, template: ChatTemplate) -> Encoder:
        """The text's tokens."""
        return TextEncoder(template)

    def before_step(self, step: int) -> None:
        """Other tokens are hidden in each step."""
        self._step = step

    def items(self, batch: Batch) -> float:
        """Tokens to be told."""
        return self.hidden(batch).num_labels

    def loss(self, model: GPT, batch: Batch) -> Loss:
        """Negative log-likelihood in nats of the tokens to be told; in evaluation they are always the same ones."""
        hidden = self.hidden(batch, step=self._step if model.training else -1)
        return Loss(cross_entropy(model, hidden, z_loss=self.context.settings.z_loss))

    def hidden(self, batch: Batch, *, step: int | None = None) -> Batch:
        """The batch with tokens hidden, and the true ones as labels of their own positions.

        Args:
            batch: on any device.
            step: of the stage, which decides what is hidden; None: the present one.
        """
        ids = batch.input_ids_N.cpu().numpy().copy()
        labels = np.full_like(ids, IGNORED)
        start = 0
        for length in batch.lengths:
            part = slice(start, start + length)
            self._hide(ids[part], labels[part], self._step if step is None else step)
            start += length
        device = batch.input_ids_N.device
        return replace(
            batch, input_ids_N=torch.from_numpy(ids).to(device), labels_N=torch.from_numpy(labels).to(device)
        )

    def _hide(self, ids: NDArray[np.int64], labels: NDArray[np.int64], step: int) -> None:
        """Of one document, in place."""
        random = np.random.default_rng([self.context.seed, step + 1, zlib.crc32(ids.tobytes())])
        candidates = np.flatnonzero(~np.isin(ids, self._fixed))
        count = max(1, round(len(candidates) * self._probability))
        chosen = random.permutation(candidates)[:count]
        labels[chosen] = ids[chosen]
        kind = random.random(len(chosen))
        ids[chosen[kind < 0.8]] = self._mask_id
        swapped = chosen[kind >= 0.9]
        ids[swapped] = random.integers(0, self.context.tokenizer.vocab_size, len(swapped))


def mask_id(tokenizer: Tokenizer, mask_token: str | None) -> int:
    """The id of the token that hides others.

    Args:
        tokenizer: of the model.
        mask_token: its text; None: the tokenizer's own mask token, else an underscore.
    Raises:
        ConfigError: the vocabulary has no such token.
    """
    text = mask_token or tokenizer.settings.special_tokens.get("mask_token") or _GAP
    found = tokenizer.token_id(text)
    if found is None:
        raise ConfigError(f"mask_token {text!r} is no token of this vocabulary; give one that is")
    return found
