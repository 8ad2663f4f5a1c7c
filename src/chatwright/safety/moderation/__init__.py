"""Abuse in text: a classifier of our own for English and Chinese, and lists of words. Knows text only.

How the classifier is trained: ``python -m chatwright.safety.moderation.train``.
"""

from chatwright.safety.moderation.classifier import CATEGORIES, Category, ModerationClassifier
from chatwright.safety.moderation.words import Match, WordMatcher

__all__ = ["CATEGORIES", "Category", "Match", "ModerationClassifier", "WordMatcher"]
