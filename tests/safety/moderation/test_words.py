"""Lists of words are found however they are written, and nowhere else."""

import random

import pytest

from chatwright.safety.moderation import WordMatcher
from chatwright.safety.moderation.reading import plain

WORDS = WordMatcher([("kill", "k"), ("ass", "a"), ("杀人", "s"), ("法轮", "f"), ("bad phrase", "b"), ("", "empty")])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("to KILL a mockingbird", ["k"]),
        ("k.i.l.l him", ["k"]),
        ("k i l l", ["k"]),
        ("Ｋｉｌｌ", ["k"]),
        ("ki\u200bll", ["k"]),
        ("kіll", ["k"]),  # a Cyrillic і
        ("kiiiill", []),  # another word, as far as anybody can tell
        ("skill, killer, painkiller", []),
        ("assess the class", []),
        ("kick-ass", ["a"]),
        ("他要杀人了", ["s"]),
        ("杀 人", ["s"]),
        ("杀**人", ["s"]),
        ("杀。人", []),  # the end of one sentence, and the beginning of the next
        ("这个方法，轮流使用", []),
        ("他说kill了", ["k"]),
        ("a bad\n phrase, and a bad phrasebook", ["b"]),
        ("", []),
    ],
)
def test_words_are_found_whatever_they_are_dressed_up_as(text: str, found: list[str]) -> None:
    assert [match.label for match in WORDS.find(text)] == found


def test_the_automaton_finds_what_a_naive_search_finds() -> None:
    rng = random.Random(0)
    words = {"".join(rng.choices("杀人放火", k=rng.randint(1, 5))) for _ in range(60)}
    text = "".join(rng.choices("杀人放火", k=500))
    naive = sorted((end, word) for word in words for end in range(501) if text[:end].endswith(word))
    found = [match.word for match in WordMatcher((word, None) for word in words).find(text)]
    assert sorted(found) == sorted(word for _, word in naive)
    assert len(found) > 100


def test_reading_keeps_what_is_ordinary() -> None:
    for text in ("3.14 is not 314", "a b", "e-mail me at 5 p.m.", "你好。再见", "café", "c++ and c#"):
        assert plain(text) == text
