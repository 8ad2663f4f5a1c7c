"""One question and its answer, and which of them are kept from training."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from chatwright.data.quickstart.words import Language

Turn = tuple[str, str]
"""What the user says and what the assistant answers."""

Combination = tuple[str | int, ...]
"""What a question puts together: two operands; a name, a colour and a thing; a fact and a way to ask for it."""

# One combination in so many is kept from everything that is trained on.
HELD_OUT_ONE_IN = 10


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question with the answer we want and two that we do not.

    Attributes:
        skill: what answering takes, "addition".
        language: of both.
        question, answer: the answer is the only right one, a whole sentence.
        curt: the same content, thrown down in a word.
        wrong: a whole sentence that is not true.
        combinations: what the question puts together, the one that it asks for first.
        before: turns that come before the question and belong to it.
    """

    skill: str
    language: Language
    question: str
    answer: str
    curt: str
    wrong: str
    combinations: tuple[Combination, ...]
    before: tuple[Turn, ...] = ()


Skill = Callable[[Random, Language], Exchange]
"""Makes an exchange at random; it need not know what is held out."""


def held_out(combination: Combination) -> bool:
    """Whether this combination never occurs in training. The same on every machine and in every run."""
    digest = hashlib.blake2b(repr(combination).encode(), digest_size=8).digest()
    return int.from_bytes(digest) % HELD_OUT_ONE_IN == 0


def for_training(skill: Skill, random: Random, language: Language) -> Exchange:
    """An exchange of which no combination is held out."""
    while True:
        exchange = skill(random, language)
        if not any(map(held_out, exchange.combinations)):
            return exchange


def for_testing(skill: Skill, random: Random, language: Language) -> Exchange:
    """An exchange that asks for a combination which is held out, in a setting that is not."""
    while True:
        exchange = skill(random, language)
        kept_back = [held_out(combination) for combination in exchange.combinations]
        if any(kept_back[:1]) and not any(kept_back[1:]):
            return exchange
