"""The classifier behind moderation: the one of the package, or a folder that administrators named."""

import threading
from pathlib import Path
from typing import Final, Protocol

from chatwright.classifier import Classifier
from chatwright.errors import ChatwrightError, ConfigError
from chatwright.safety.moderation import ModerationClassifier

# What makers of classifiers call the class of harmless texts.
_HARMLESS: Final = frozenset(
    {"harmless", "safe", "neutral", "ok", "none", "normal", "clean", "benign", "non_toxic", "not_toxic", "label_0"}
)


class TextClassifier(Protocol):
    """Tells how likely a text is abuse."""

    def scores(self, text: str) -> dict[str, float]:
        """A score from 0 to 1 for each category; from 0.5 on a text counts as such."""
        ...


class FolderClassifier:
    """Any ``…ForSequenceClassification`` folder of a known family; its classes are the categories.

    Args:
        classifier: opened; one of its classes is that of harmless texts, by a usual name.
    """

    def __init__(self, classifier: Classifier) -> None:
        self._classifier = classifier
        self._lock = threading.Lock()  # texts arrive in several threads

    def scores(self, text: str) -> dict[str, float]:
        """See :class:`TextClassifier`."""
        if not text.strip():
            return {}
        with self._lock:
            [answer] = self._classifier.classify([text])
        return {label: p for label, p in answer.probabilities.items() if not _is_harmless(label)}


def open_classifier(folder: Path | None) -> TextClassifier:
    """The classifier to use; None is the one of the package.

    Raises:
        ConfigError: the folder holds none whose classes can be told apart.
    """
    if folder is None:
        return ModerationClassifier.open()
    try:
        classifier = Classifier.open(folder)
    except (ChatwrightError, OSError) as error:
        raise ConfigError(f"moderation_model is {folder}, which holds no classifier: {error}") from None
    if not any(_is_harmless(label) for label in classifier.labels):
        raise ConfigError(
            f"moderation_model is {folder}, whose classes are {', '.join(classifier.labels)}; "
            "the class of harmless texts must be named, such as 'safe', in id2label of its config.json"
        )
    return FolderClassifier(classifier)


def _is_harmless(label: str) -> bool:
    return label.casefold().replace("-", "_").replace(" ", "_") in _HARMLESS
