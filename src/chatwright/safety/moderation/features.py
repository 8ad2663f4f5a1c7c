"""What the classifier sees of a sentence: words and characters with their neighbours, as numbers."""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.resources import files
from itertools import combinations, pairwise
from typing import Final
from zlib import crc32

import numpy as np
import yaml

from chatwright.safety.moderation.reading import HAN, plain

_TOKEN: Final = re.compile(rf"[{HAN}]|[^\W{HAN}]+(?:'[a-z]+)?")
_ENDS: Final = re.compile(r"(?<=[。！？!?；;\n])|(?<=\.)\s")
_LONGEST: Final = 200  # characters of a sentence; a longer one is read in overlapping parts
_LONGEST_PHRASE: Final = 4  # tokens
_SHORTEST_STEM: Final = 3
_INFLECTIONS: Final = (("ies", "y"), ("ing", ""), ("ed", ""), ("'s", ""), ("s", ""))
_WORD_PIECE: Final = 4  # characters of the pieces of words, which know "killing" from "kill"


def sentences(text: str) -> Iterator[str]:
    """The sentences of a text, plain (see :func:`~chatwright.safety.moderation.reading.plain`), none of them empty."""
    for raw in _ENDS.split(text):
        sentence = plain(raw) if raw else ""
        for start in range(0, max(1, len(sentence) - _LONGEST // 2), _LONGEST // 2):
            if part := sentence[start : start + _LONGEST]:
                yield part


def features(sentence: str) -> np.ndarray:
    """Hashes of what is in a sentence, each once, uint32 and sorted.

    A token is a word, or one Chinese character. Counted are tokens, pairs and triples of them, fours of Chinese
    characters, pairs with one token between, pieces of longer words, and what the words mean (``concepts.yaml``), alone
    and together.
    """
    tokens = ["^", *_TOKEN.findall(sentence), "$"]
    found = set(tokens)
    found.update(f"{a} {b}" for a, b in pairwise(tokens))
    found.update(" ".join(tokens[i : i + 3]) for i in range(len(tokens) - 2))
    found.update(f"{tokens[i]} _ {tokens[i + 2]}" for i in range(len(tokens) - 2))
    found.update("".join(tokens[i : i + 4]) for i in range(len(tokens) - 3) if len("".join(tokens[i : i + 4])) == 4)
    for token in tokens:
        if len(token) > _WORD_PIECE:
            word = f"<{token}>"
            found.update(f"~{word[i : i + _WORD_PIECE]}" for i in range(len(word) - _WORD_PIECE + 1))
    found -= {"^", "$"}
    meant = concepts(tokens)
    found.update(f"@{concept}" for concept in meant)
    found.update(f"@{a} > @{b}" for a, b in pairwise(meant))
    found.update(f"@{a} & @{b}" for a, b in combinations(sorted(set(meant)), 2))
    return np.array(sorted(crc32(feature.encode()) for feature in found), dtype=np.uint32)


def concepts(tokens: Sequence[str]) -> list[str]:
    """What words and phrases among the tokens mean, in their order; one word may mean several things."""
    meanings = _meanings()
    found: list[str] = []
    for start in range(len(tokens)):
        for length in range(1, min(_LONGEST_PHRASE, len(tokens) - start) + 1):
            part = tokens[start : start + length]
            found += meanings.get(" ".join(part), ()) or (meanings.get(_stem(part[0]), ()) if length == 1 else ())
    return found


def _stem(word: str) -> str:
    """An English word without its plain inflection: enough to look it up, no more."""
    for ending, instead in _INFLECTIONS:
        if word.endswith(ending) and len(word) - len(ending) >= _SHORTEST_STEM:
            stem = word[: -len(ending)] + instead
            return stem[:-1] if stem[-1] == stem[-2] and ending in ("ing", "ed") and stem[-1] not in "sl" else stem
    return word


@cache
def _meanings() -> dict[str, tuple[str, ...]]:
    """The concepts of each word or phrase, by its tokens."""
    content = yaml.safe_load((files(__package__) / "concepts.yaml").read_text(encoding="utf-8"))
    meanings: dict[str, tuple[str, ...]] = {}
    for concept, words in content.items():
        for word in words:
            tokens = _TOKEN.findall(plain(str(word)))
            for key in {" ".join(tokens), _stem(tokens[0])} if len(tokens) == 1 else {" ".join(tokens)}:
                meanings[key] = (*meanings.get(key, ()), concept)
    return meanings
