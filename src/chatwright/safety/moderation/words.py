"""Lists of words in text, thousands at a time: the automaton of Aho and Corasick.

Source:
    Aho and Corasick 1975, "Efficient string matching: an aid to bibliographic search".
"""

from collections import deque
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from chatwright.safety.moderation.reading import plain

Label = TypeVar("Label", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Match(Generic[Label]):
    """A word that was found, and whose it is."""

    word: str
    label: Label


class WordMatcher(Generic[Label]):
    """Finds words whatever their case, width and spacing.

    A word of letters and digits of the Latin, Greek or Cyrillic scripts is found as a whole word only (``ass`` is not
    in ``class``); Chinese has no spaces, so a Chinese word is found wherever its characters stand.

    Args:
        words: each with what is to be known when it is found; empty ones are ignored.
    """

    def __init__(self, words: Iterable[tuple[str, Label]]) -> None:
        self._next: list[dict[str, int]] = [{}]
        self._found: list[list[tuple[str, int, Label]]] = [[]]
        for word, label in words:
            read = plain(word)
            if read:
                self._found[self._add(read)].append((word, len(read), label))
        self._fallback = self._link()

    @property
    def labels(self) -> set[Label]:
        """What is known of the words, each once."""
        return {label for found in self._found for _, _, label in found}

    def __bool__(self) -> bool:
        return len(self._next) > 1

    def find(self, text: str) -> Iterator[Match[Label]]:
        """Every match, in order of where it ends. Takes time proportional to the text, however many words there are."""
        read = plain(text)
        state = 0
        for position, char in enumerate(read):
            while state and char not in self._next[state]:
                state = self._fallback[state]
            state = self._next[state].get(char, 0)
            for word, length, label in self._found[state]:
                start, end = position + 1 - length, position + 1
                if not (_joined(read, start) or _joined(read, end)):
                    yield Match(word, label)

    def _add(self, word: str) -> int:
        state = 0
        for char in word:
            if char not in self._next[state]:
                self._next[state][char] = len(self._next)
                self._next.append({})
                self._found.append([])
            state = self._next[state][char]
        return state

    def _link(self) -> list[int]:
        """For each state, that of the longest end of what was read which is the beginning of another word."""
        fallback = [0] * len(self._next)
        queue = deque(self._next[0].values())
        while queue:
            state = queue.popleft()
            for char, following in self._next[state].items():
                back = fallback[state]
                while back and char not in self._next[back]:
                    back = fallback[back]
                fallback[following] = self._next[back].get(char, 0)
                self._found[following] += self._found[fallback[following]]
                queue.append(following)
        return fallback


def _joined(text: str, position: int) -> bool:
    """Whether the characters before and at a position belong to one word."""
    return 0 < position < len(text) and _spaced(text[position - 1]) and _spaced(text[position])


def _spaced(char: str) -> bool:
    """Whether it is a letter or digit of a script that puts spaces between words."""
    return char.isalnum() and char < "\u2e80"
