"""A small classifier of abuse in English and Chinese: logistic regression over words and characters.

It was trained on sentences written for it (``examples/``), and knows what these are like: it is a first sieve and no
judge. Its card says how much it finds of sentences that it was not trained on.
"""

import json
import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import Any, Final, Literal, Self, get_args

import numpy as np

from chatwright.errors import ModelFormatError
from chatwright.safety.moderation.features import features, sentences

Category = Literal["harassment", "hate", "illicit", "self-harm", "sexual", "violence"]
CATEGORIES: Final[tuple[Category, ...]] = get_args(Category)

_MODEL: Final = "model.npz"
_UNDERAGE: Final = re.compile(
    r"\b(?:child(?:ren)?|kids?|minors?|underaged?|pre-?teens?|toddlers?|lolis?|shotas?|school ?girls?|school ?boys?"
    r"|little (?:girl|boy)s?|(?:[1-9]|1[0-7])[ -]?(?:years?|yrs?|yo)(?:[ -]?old)?)\b"
    r"|未成年|儿童|小孩|幼女|幼童|女童|男童|小女孩|小男孩|小学生|初中生|萝莉|正太|(?<!\d)(?:[1-9]|1[0-7])岁|(?<![二三四五六七八九])十[一二三四五六七]?岁"
)


class ModerationClassifier:
    """Tells how likely a text is abuse, by category.

    Args:
        hashes: the features that it knows, sorted, uint32 [F].
        weights: of each feature for each category, float32 [F, C].
        bias: of each category, float32 [C]; set so that 0.5 is the score from which a text counts as abuse.
        card: what it was trained on and what it reaches.
    """

    def __init__(self, hashes: np.ndarray, weights: np.ndarray, bias: np.ndarray, card: dict[str, Any]) -> None:
        self.card = card
        self._hashes = hashes
        self._weights = weights
        self._bias = bias

    @classmethod
    def open(cls, path: Path | None = None) -> Self:
        """Load what :meth:`save` wrote; None is the classifier that is part of the package.

        Raises:
            ModelFormatError: the file is none of a classifier.
        """
        data = (files(__package__) / _MODEL).read_bytes() if path is None else path.read_bytes()
        try:
            with np.load(BytesIO(data), allow_pickle=False) as stored:
                weights = stored["weights"].astype(np.float32) * stored["scales"]
                return cls(stored["hashes"], weights, stored["bias"], json.loads(str(stored["card"])))
        except (KeyError, ValueError, OSError) as error:
            raise ModelFormatError(f"{path or _MODEL} is not a moderation classifier: {error}") from None

    @property
    def parameters(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Hashes, weights and bias, as given."""
        return self._hashes, self._weights, self._bias

    def save(self, path: Path) -> None:
        """Write it to a file, its weights in a byte each."""
        scales = np.abs(self._weights).max(axis=0) / 127
        np.savez_compressed(
            path,
            hashes=self._hashes,
            weights=np.round(self._weights / scales).astype(np.int8),
            scales=scales.astype(np.float32),
            bias=self._bias.astype(np.float32),
            card=np.array(json.dumps(self.card)),
        )

    def scores(self, text: str) -> dict[str, float]:
        """How likely a text is abuse: from 0.5 on it counts as such.

        The score of a text is that of its worst sentence: among harmless ones a threat is still one. ``sexual/minors``
        is that of the worst sexual sentence that speaks of a child; it is looked for by words, not learned.
        """
        worst = np.full(len(CATEGORIES), -np.inf)
        minors = -np.inf
        sexual = CATEGORIES.index("sexual")
        for sentence in sentences(text):
            logits = self.logits(features(sentence))
            worst = np.maximum(worst, logits)
            if logits[sexual] > minors and _UNDERAGE.search(sentence):
                minors = logits[sexual]
        probabilities = 1 / (1 + np.exp(-np.array([*worst, minors])))
        return {name: float(p) for name, p in zip((*CATEGORIES, "sexual/minors"), probabilities, strict=True)}

    def logits(self, present: np.ndarray) -> np.ndarray:
        """One value per category for the features of a sentence, float [C]."""
        places = np.searchsorted(self._hashes, present).clip(max=len(self._hashes) - 1)
        known = places[self._hashes[places] == present]
        total: np.ndarray = self._weights[known].sum(axis=0) / max(1.0, np.sqrt(len(present))) + self._bias
        return total


@cache
def shipped() -> ModerationClassifier:
    """The classifier that is part of the package, loaded once."""
    return ModerationClassifier.open()


def scores(texts: Sequence[str]) -> list[dict[str, float]]:
    """See :meth:`ModerationClassifier.scores`, of the classifier that is part of the package."""
    return [shipped().scores(text) for text in texts]
