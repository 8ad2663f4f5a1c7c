"""Rewards for the recipes of reinforcement learning: a function each, from answers to numbers."""

import re
from collections.abc import Sequence

_NUMBER = re.compile(r"\d+")


def right_in_a_sentence(completions: Sequence[str], answer: Sequence[str]) -> list[float]:
    """1 for the right answer in a whole sentence, a half for the right number however it is said, else nothing."""
    return [_score(given.strip(), wanted) for given, wanted in zip(completions, answer, strict=True)]


def _score(given: str, wanted: str) -> float:
    if given == wanted:
        return 1.0
    numbers, right = _NUMBER.findall(given), _NUMBER.findall(wanted)
    return 0.5 if numbers and numbers[-1] == right[-1] else 0.0
