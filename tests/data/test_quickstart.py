"""What the quickstart is trained on, and that it never saw what it is asked."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import chain, islice
from random import Random

import pytest

from chatwright.data.quickstart import chats, preferences, questions, sums, texts
from chatwright.data.quickstart.exchange import Exchange, held_out
from chatwright.data.quickstart.facts import RELATIONS
from chatwright.data.quickstart.numbers import pair, takes_two_steps
from chatwright.data.quickstart.reading import belongings, whereabouts
from chatwright.data.quickstart.words import ANIMALS, COLOURS, LANGUAGES, THINGS, Language, with_colour

_SUM = re.compile(r"(\d+) ?(?:\+|plus|加上?) ?(\d+)|Add (\d+) and (\d+)|add (\d+) to (\d+)")
_DIFFERENCE = re.compile(r"(\d+) ?(?:-|minus|减去?) ?(\d+)")


def _training_messages() -> Iterator[str]:
    """Everything that training reads, a text or message at a time."""
    yield from (row.text for row in texts())
    for dialogue in chats():
        yield from (message.content or "" for message in dialogue.messages)
    for prompt in sums():
        yield from (message.content or "" for message in prompt.messages)
    for row in preferences():
        yield from (message.content or "" for message in chain(row.prompt, row.chosen, row.rejected))


@pytest.fixture(scope="module")
def trained_on() -> list[str]:
    return list(_training_messages())


def test_the_same_seed_makes_the_same_rows() -> None:
    for make in (texts, chats, preferences, sums):
        assert list(make(50)) == list(make(50))
        assert list(make(50)) != list(make(50, seed=1))


def test_no_held_out_pair_of_numbers_is_trained_on(trained_on: list[str]) -> None:
    seen: Counter[str] = Counter()
    for kind, pattern in (("sum", _SUM), ("difference", _DIFFERENCE)):
        for found in chain.from_iterable(map(pattern.finditer, trained_on)):
            a, b = (int(number) for number in found.groups() if number)
            assert not takes_two_steps(a, b) or not held_out(pair(kind, a, b)), found.group()
            seen[kind] += 1
    assert min(seen["sum"], seen["difference"]) > 10_000


def test_no_held_out_phrase_is_translated_in_training(trained_on: list[str]) -> None:
    phrases = [
        (with_colour(colour, noun, "en"), with_colour(colour, noun, "zh"))
        for colour in COLOURS
        for noun in (*THINGS, *ANIMALS)
        if held_out(("translate", colour.en, noun.en))
    ]
    pairs = {(en, zh) for en, zh in phrases} | {(zh, en) for en, zh in phrases}
    said = re.compile("“([^”]*)”(?: is |的[中英]文是)“([^”]*)”")
    found = {match.groups() for match in chain.from_iterable(map(said.finditer, trained_on))}
    assert len(found) > 1_000
    assert not found & pairs


def test_a_fact_is_asked_for_in_ways_that_no_chat_uses() -> None:
    spoken = {message.content for dialogue in chats() for message in dialogue.messages}
    kept_back = [
        relation.say(question, subject, object_, language)
        for relation in RELATIONS
        for subject, object_ in relation.facts
        for language in ("en", "zh")
        for number, question in enumerate(relation.questions[language])
        if held_out(("question", relation.name, subject.en, number, language))
    ]
    assert len(kept_back) > 50
    assert not spoken.intersection(kept_back)


def test_every_skill_is_examined_in_both_languages_and_no_question_is_trained_on() -> None:
    examined = Counter((row.extra["skill"], row.extra["language"]) for row in questions(per_skill=5))
    assert {language for _, language in examined} == {"en", "zh"}
    skills = {skill for skill, _ in examined}
    assert {"addition", "translation", "memory", "honesty", "reading", "facts"} <= skills
    assert all(examined[skill, "en"] == examined[skill, "zh"] for skill in skills)
    asked = {tuple(message.content for message in row.messages) for row in questions(per_skill=20)}
    for dialogue in chats():
        said = [message.content for message in dialogue.messages]
        assert not any(tuple(said[:end]) in asked for end in range(1, len(said), 2))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("skill", [belongings, whereabouts])
def test_a_scene_is_told_once_and_asked_about_more_often(skill: Callable[..., Exchange], language: Language) -> None:
    for seed in range(20):
        exchange = skill(Random(seed), language, earlier=3)
        (first, _), *later = exchange.before
        asked = [*(question for question, _ in later), exchange.question]
        assert len(asked) == 3
        assert all(who in first for _, who, *_ in exchange.combinations)
        assert all(len(question) < len(first) for question in asked)


def test_chats_ask_again_about_what_was_told() -> None:
    asked = [m.content or "" for row in islice(chats(), 500) for m in row.messages if m.role == "user"]
    assert sum(bool(re.fullmatch(r"[Ww]here is \w+\??|\w{2,4}在哪里？?", text)) for text in asked) > 20


def test_a_preference_is_for_the_whole_true_sentence() -> None:
    for row in preferences(200):
        chosen, rejected = row.chosen[0].content, row.rejected[0].content
        assert chosen != rejected
        assert chosen is not None
        assert chosen[-1] in ".!。！"


def test_both_languages_come_equally_often() -> None:
    chinese = sum(bool(re.search("[一-鿿]", row.text)) for row in texts(2_000))
    assert 900 < chinese < 1_400  # English vocabulary lists hold Chinese words too
