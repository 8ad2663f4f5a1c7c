"""The data of the quickstart: small bilingual text, chats, preferences and questions, made by rules.

Everything is a function of a seed. Training never sees the combinations that the questions ask for
(:mod:`~chatwright.data.quickstart.exchange`), so an answer to them is not recalled but found.

The chats are written by two hands, as real ones are by many: one answers in whole sentences, the other curtly. The
preferences say which of them people like, and that a true answer is better than a false one.
"""

from collections.abc import Iterator
from functools import partial
from random import Random

from chatwright.chat import Message
from chatwright.data.quickstart.exchange import Exchange, Skill, for_testing, for_training
from chatwright.data.quickstart.facts import facts, statement
from chatwright.data.quickstart.memory import greeting, honesty, memory
from chatwright.data.quickstart.numbers import addition, comparison, subtraction, word_problem
from chatwright.data.quickstart.reading import belongings, whereabouts
from chatwright.data.quickstart.smalltalk import beyond, small_talk
from chatwright.data.quickstart.stories import story_request
from chatwright.data.quickstart.translation import translation, word_translation
from chatwright.data.quickstart.words import (
    ANIMALS,
    COLOURS,
    FOODS,
    LANGUAGES,
    NAMES,
    PLACES,
    THINGS,
    Language,
    Noun,
    Word,
)
from chatwright.data.rows import Dialogue, Preference, Prompt, Text

# Skills whose answers can be right or wrong, with their weight in the chats.
_EXAMINED: dict[Skill, float] = {
    addition: 10,
    subtraction: 8,
    comparison: 5,
    word_problem: 4,
    belongings: 7,
    whereabouts: 4,
    translation: 3,
    facts: 5,
    greeting: 2,
    memory: 5,
    honesty: 7,
}
_UNEXAMINED: dict[Skill, float] = {word_translation: 2, small_talk: 4, beyond: 1.5, story_request: 1.5}
_ABOUT_THE_USER = (greeting, memory, honesty)  # two of them in one chat would contradict each other

# How many of the chats are curt. Half of them would be as many as a small model takes to answer at random.
_CURT = 0.1

# Kinds of sentences in running text, with their weight.
_SENTENCES: dict[Skill, float] = {
    addition: 8,
    subtraction: 8,
    comparison: 2,
    translation: 4,
    word_translation: 2,
}


def texts(count: int = 8_000, seed: int = 0) -> Iterator[Text]:
    """Running text: stories, facts, sums, vocabulary, scenes with questions, transcripts."""
    random = Random(f"quickstart texts {seed}")
    for _ in range(count):
        language = random.choice(LANGUAGES)
        kind = random.choices((_tales, _almanac, _exercises, _scenes, _echo, _transcript), (2, 4, 6, 4, 6, 0.5))[0]
        yield Text(kind(random, language))


def chats(count: int = 30_000, seed: int = 0) -> Iterator[Dialogue]:
    """Chats of one to five questions, now and then of a dozen."""
    random = Random(f"quickstart chats {seed}")
    for _ in range(count):
        language, curt = random.choice(LANGUAGES), random.random() < _CURT
        messages: list[Message] = []
        personal = random.random() < 0.4
        for turn in range(random.choice((1, 1, 2, 2, 3, 3, 4, 5, 12))):
            pool = {**_EXAMINED, **_UNEXAMINED}
            if turn or not personal:
                pool = {skill: weight for skill, weight in pool.items() if skill not in _ABOUT_THE_USER}
            else:
                pool = {skill: weight for skill, weight in pool.items() if skill in _ABOUT_THE_USER}
            skill = random.choices(list(pool), list(pool.values()))[0]
            exchange = for_training(skill if curt else _at_length(skill, random), random, language)
            messages += _prompt(exchange, random)
            messages.append(Message("assistant", exchange.curt if curt and skill in _EXAMINED else exchange.answer))
        yield Dialogue(tuple(messages))


def _at_length(skill: Skill, random: Random) -> Skill:
    """Some ask several things about what they told: each answer is learned, and the story is read but once."""
    if skill in (belongings, whereabouts):
        return partial(skill, earlier=random.randrange(4))
    return skill


def preferences(count: int = 2_000, seed: int = 0) -> Iterator[Preference]:
    """Pairs of answers: whole and true ones before curt ones and wrong ones."""
    random = Random(f"quickstart preferences {seed}")
    for _ in range(count):
        skill = random.choices(list(_EXAMINED), list(_EXAMINED.values()))[0]
        exchange = for_training(skill, random, random.choice(LANGUAGES))
        rejected = exchange.curt if random.random() < 0.7 else exchange.wrong
        yield Preference(
            _prompt(exchange, random), (Message("assistant", exchange.answer),), (Message("assistant", rejected),)
        )


def sums(count: int = 2_000, seed: int = 0) -> Iterator[Prompt]:
    """Questions about numbers that reinforcement learning may try its hand at; none of them is held out."""
    random = Random(f"quickstart sums {seed}")
    for _ in range(count):
        skill = random.choice((addition, subtraction, comparison))
        exchange = for_training(skill, random, random.choice(LANGUAGES))
        extra = {"skill": exchange.skill, "language": exchange.language}
        yield Prompt(_prompt(exchange), exchange.answer, extra)


def questions(per_skill: int = 20, seed: int = 0) -> Iterator[Prompt]:
    """Held-out questions, so many for each skill and language, each with its one right answer.

    ``extra`` says which ``skill`` and ``language`` it examines.
    """
    random = Random(f"quickstart questions {seed}")
    asked: dict[Exchange, None] = {}
    for skill in _EXAMINED:
        for language in LANGUAGES:
            wanted = len(asked) + per_skill
            while len(asked) < wanted:
                asked[for_testing(skill, random, language)] = None
    for exchange in random.sample(list(asked), len(asked)):  # the first few are of all skills, too
        extra = {"skill": exchange.skill, "language": exchange.language}
        yield Prompt(_prompt(exchange), exchange.answer, extra)


def _prompt(exchange: Exchange, random: Random | None = None) -> tuple[Message, ...]:
    """The turns up to the question; with ``random`` some are written as carelessly as people do."""
    messages: list[Message] = []
    for asked, answered in exchange.before:
        messages += [Message("user", _typed(asked, random)), Message("assistant", answered)]
    return (*messages, Message("user", _typed(exchange.question, random)))


def _typed(text: str, random: Random | None) -> str:
    if random is None:
        return text
    if random.random() < 0.2:
        text = text.replace("“", '"').replace("”", '"')
    if random.random() < 0.1:
        text = text[0].lower() + text[1:]
    if random.random() < 0.1 and len(text) > 1:
        text = text.rstrip("?？。.!！") or text
    return text


def _tales(random: Random, language: Language) -> str:
    return "\n\n".join(for_training(story_request, random, language).answer for _ in range(2))


def _almanac(random: Random, language: Language) -> str:
    return _joined([statement(random, language) for _ in range(random.randint(8, 14))], language)


def _exercises(random: Random, language: Language) -> str:
    skill = random.choices(list(_SENTENCES), list(_SENTENCES.values()))[0]
    return _joined([for_training(skill, random, language).answer for _ in range(random.randint(8, 14))], language)


def _scenes(random: Random, language: Language) -> str:
    lines = []
    for _ in range(random.randint(3, 5)):
        exchange = for_training(random.choice((belongings, whereabouts, word_problem)), random, language)
        lines.append(_joined([exchange.question, exchange.answer], language))
    return "\n".join(lines)


def _echo(random: Random, language: Language) -> str:
    """Lists said twice. Looking back and copying is what every answer about the conversation needs; a model learns it
    from these in a hundred steps, and from chats alone in a thousand."""
    words: list[Word | Noun] = [*COLOURS, *THINGS, *ANIMALS, *FOODS, *PLACES]
    known = [word.in_(language) for word in words]
    lines = []
    for _ in range(random.randint(3, 6)):
        items = [*random.sample(known, 4), *random.sample(NAMES[language], 4), *map(str, random.sample(range(200), 4))]
        random.shuffle(items)
        line = (", " if language == "en" else "，").join(items[: random.randint(3, 12)])
        lines.append(f"{line}. {line}." if language == "en" else f"{line}。{line}。")
    return "\n".join(lines)


def _transcript(random: Random, language: Language) -> str:
    exchanges = [small_talk(random, language) for _ in range(random.randint(3, 6))]
    return "\n".join(f"user: {exchange.question}\nassistant: {exchange.answer}" for exchange in exchanges)


def _joined(sentences: list[str], language: Language) -> str:
    return (" " if language == "en" else "").join(sentences)
