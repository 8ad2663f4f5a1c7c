"""Classes of texts: a linear head on the last token's state of the last layer, in place of the output head.

Shape legend: E texts, K classes, C hidden width.
"""

from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field, field_validator, model_validator
from torch import Tensor, nn

from chatwright.chat import ChatTemplate
from chatwright.data.encode import LabelledEncoder
from chatwright.data.example import Document, Example
from chatwright.data.rows import Labelled, Row
from chatwright.errors import ConfigError
from chatwright.model import GPT
from chatwright.model.score_head import ScoreHead, pad_id_for, save_score_head
from chatwright.train.batch import Batch
from chatwright.train.likelihood import hidden_states
from chatwright.train.objective import Encoder, Loss, Objective, StageContext
from chatwright.train.settings import StageSettings

_MANY_CLASSES = 1000  # more are rather a column of something else


class ClassifySettings(StageSettings):
    """The head alone learns fast, the body slowly."""

    labels: tuple[str, ...] = Field(
        (), description="names of the classes, in the order of the outputs; default: those in the data, sorted"
    )
    freeze_body: bool = Field(False, description="train the head only")
    learning_rate: float = Field(2e-5, gt=0, description="peak of AdamW; with lora 2e-4, with freeze_body 1e-3")

    @model_validator(mode="before")
    @classmethod
    def _rate_by_what_learns(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        if values.get("freeze_body") and values.get("lora") is not None:
            raise ValueError("freeze_body trains the head only, lora adapters too; give one of them")
        if values.get("freeze_body"):
            return {"learning_rate": 1e-3, **values}
        return {"learning_rate": 2e-4, **values} if values.get("lora") is not None else values

    @field_validator("labels")
    @classmethod
    def _distinct(cls, labels: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(labels)) < len(labels):
            raise ValueError("labels names a class twice")
        return labels


class Classify(Objective):
    """Cross-entropy of the class. Reports accuracy, and F1 of each class."""

    Settings: ClassVar[type[StageSettings]] = ClassifySettings
    rows: ClassVar[tuple[type, ...]] = (Labelled,)
    chats: ClassVar[bool] = False

    def __init__(self, context: StageContext) -> None:
        super().__init__(context)
        self.labels = _labels(context.settings)
        self._frozen = isinstance(context.settings, ClassifySettings) and context.settings.freeze_body
        if self._frozen:
            context.model.requires_grad_(False)
        config = context.model.config
        self.score = nn.Linear(config.hidden_size, len(self.labels), bias=False)
        generator = torch.Generator().manual_seed(context.seed)
        nn.init.normal_(self.score.weight, std=config.initializer_range or 0.02, generator=generator)
        self.head = nn.ModuleDict({"score": self.score.to(context.device)})

    @classmethod
    def encoder(cls, settings: StageSettings, template: ChatTemplate) -> Encoder:
        """The text's tokens, as a tokenizer gives them to a classifier: nothing follows the last one."""
        return _OpenEnd(template, _labels(settings), settings.max_length + 1)

    @classmethod
    def completed(cls, settings: StageSettings, rows: Iterable[Row]) -> StageSettings:
        """With the classes that the data names."""
        assert isinstance(settings, ClassifySettings)
        if settings.labels:
            return settings
        found = sorted({row.label for row in rows if isinstance(row, Labelled)})
        if len(found) > _MANY_CLASSES:
            raise ConfigError(
                f"the data names {len(found):,} classes, such as {found[0]!r}; if that is right, list them in "
                "`labels`, otherwise say in `columns` which key has the class"
            )
        return settings.model_copy(update={"labels": tuple(found)})

    def items(self, batch: Batch) -> float:
        """Texts."""
        return batch.num_examples

    def loss(self, model: GPT, batch: Batch) -> Loss:
        """Negative log-likelihood in nats of the classes."""
        with torch.no_grad() if self._frozen else nullcontext():
            hidden_NC = hidden_states(model, batch)
        last_E = torch.tensor(batch.lengths, device=hidden_NC.device).cumsum(0) - 1
        scores_EK = self.score(hidden_NC[last_E].to(self.score.weight.dtype)).float()
        label_E = batch.values["label"].long()
        return Loss(F.cross_entropy(scores_EK, label_E, reduction="sum"), self._figures(scores_EK.argmax(-1), label_E))

    def save(self, folder: Path) -> None:
        """Make the folder that of a classifier, with the names of the classes."""
        tokenizer = self.context.tokenizer
        # No text holds a control token, so that each of these is one that no text ends with.
        pad = pad_id_for((), (tokenizer.pad_id, tokenizer.eos_id, tokenizer.bos_id))
        save_score_head(folder, ScoreHead(self.score.weight.float(), self.labels), pad_token_id=pad)

    def _figures(self, guess_E: Tensor, label_E: Tensor) -> dict[str, tuple[Tensor | float, float]]:
        """F1 is 2 TP / (2 TP + FP + FN): a quotient of sums, so it adds up over batches as a mean does."""
        figures: dict[str, tuple[Tensor | float, float]] = {
            "accuracy": ((guess_E == label_E).sum(), float(len(label_E)))
        }
        guesses = torch.bincount(guess_E, minlength=len(self.labels)).tolist()
        truths = torch.bincount(label_E, minlength=len(self.labels)).tolist()
        hits = torch.bincount(label_E[guess_E == label_E], minlength=len(self.labels)).tolist()
        for name, guessed, true, hit in zip(self.labels, guesses, truths, hits, strict=True):
            figures[f"f1_{name}"] = (2.0 * hit, float(guessed + true))
        return figures


class _OpenEnd(LabelledEncoder):
    """Without the end-of-text token: transformers' classifiers read a text as its tokenizer leaves it."""

    def __call__(self, row: Row) -> Example | None:
        """One document."""
        example = super().__call__(row)
        if example is None or self.tokenizer.eos_id is None:
            return example
        ids = example.documents[0].ids[:-1]
        return Example((Document(ids, np.zeros(len(ids), dtype=np.bool_)),), example.values)


def _labels(settings: StageSettings) -> tuple[str, ...]:
    assert isinstance(settings, ClassifySettings)
    if len(settings.labels) < 2:
        raise ConfigError(
            f"classify tells at least two classes apart, and here is {len(settings.labels) or 'none'}; add examples of "
            "another one to the data, or name the classes: labels: [negative, positive]"
        )
    return settings.labels
