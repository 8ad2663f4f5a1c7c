"""Classes of texts: what a `classify` stage trained, or any ``…ForSequenceClassification`` folder of a known family.

::

    from chatwright import Classifier

    reviews = Classifier.open("runs/classify-sentiment/model")
    [answer] = reviews.classify(["A warm and funny film."])
    print(answer.label, f"{answer.probability:.0%}")
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch

from chatwright.errors import InputError
from chatwright.model.gpt import GPT
from chatwright.model.load import load_folder
from chatwright.model.score_head import ScoreHead, load_score_head
from chatwright.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True)
class Classified:
    """What a text was taken for.

    Attributes:
        label: the likeliest class.
        probability: of that class.
        probabilities: of every class, by name.
    """

    label: str
    probability: float
    probabilities: dict[str, float]


class Classifier:
    """A model with scores for classes.

    Args:
        model: in eval mode.
        head: the scores' matrix, with the names of the classes.
        tokenizer: of the model.
    """

    def __init__(self, model: GPT, head: ScoreHead, tokenizer: Tokenizer) -> None:
        self.model = model
        self.weight = head.weight.to(model.embed.weight)
        self.labels = head.labels
        self.tokenizer = tokenizer

    @classmethod
    def open(cls, folder: str | Path, *, dtype: torch.dtype | None = None) -> Self:
        """Load a classifier's folder.

        Args:
            folder: holds the model with its scores' matrix, and the tokenizer.
            dtype: of the weights; None keeps the stored one.
        Raises:
            ModelFormatError: it holds no classifier, or a file is damaged.
        """
        head = load_score_head(folder)
        return cls(load_folder(folder, dtype=dtype), head, Tokenizer.from_folder(folder))

    @torch.inference_mode()
    def classify(self, texts: Sequence[str], *, batch_size: int = 16) -> list[Classified]:
        """The class of each text, in their order.

        Args:
            texts: longer ones than the model's context are cut at their end.
            batch_size: texts of similar length that are run together.
        Raises:
            InputError: a text is empty.
        """
        limit = self.model.config.max_position_embeddings
        encoded = [self.tokenizer.encode(text, add_bos=self.tokenizer.adds_bos)[:limit] for text in texts]
        for number, ids in enumerate(encoded):
            if not ids:
                raise InputError(f"text {number} of {len(texts)} is empty; there is nothing to classify")
        order = sorted(range(len(texts)), key=lambda index: len(encoded[index]))
        results: dict[int, Classified] = {}
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            for index, probabilities in zip(chosen, self._probabilities([encoded[i] for i in chosen]), strict=True):
                best = max(range(len(self.labels)), key=probabilities.__getitem__)
                named = dict(zip(self.labels, probabilities, strict=True))
                results[index] = Classified(self.labels[best], probabilities[best], named)
        return [results[index] for index in range(len(texts))]

    def _probabilities(self, batch: Sequence[list[int]]) -> list[list[float]]:
        longest = max(map(len, batch))
        ids = torch.zeros(len(batch), longest, dtype=torch.int64)
        mask = torch.zeros_like(ids)
        for row, tokens in enumerate(batch):
            ids[row, : len(tokens)] = torch.tensor(tokens)
            mask[row, : len(tokens)] = 1
        hidden = self.model(ids, mask, num_logits=0).last_hidden_state
        last = hidden[torch.arange(len(batch)), mask.sum(dim=1) - 1]
        probabilities: list[list[float]] = (last @ self.weight.T).float().softmax(dim=-1).tolist()
        return probabilities
