"""Two or three people, each with something somewhere, and a question about one of them.

Some combinations of a name, a colour and a thing, and of a name and a place, are held out.
"""

from random import Random

from chatwright.data.quickstart.exchange import Combination, Exchange
from chatwright.data.quickstart.words import COLOURS, NAMES, PLACES, THINGS, Language, Noun, Word, with_colour


def belongings(random: Random, language: Language) -> Exchange:
    """Who has what, and in which colour."""
    count = random.choice((2, 2, 3))
    people = random.sample(NAMES[language], count)
    things = list(zip(random.sample(COLOURS, count), random.sample(THINGS, count), strict=True))
    scene = _scene(language, [_owns(random, language, *owned) for owned in zip(people, things, strict=True)])
    asked = random.randrange(count)
    other = random.choice([index for index in range(count) if index != asked])
    question, answer, curt, wrong = _ask_owner(random, language, people, things, asked, other)
    combinations: list[Combination] = [
        ("owns", who, colour.en, thing.en) for who, (colour, thing) in zip(people, things, strict=True)
    ]
    combinations.insert(0, combinations.pop(asked))
    space = " " if language == "en" else ""
    return Exchange("reading", language, scene + space + question, answer, curt, wrong, tuple(combinations))


def whereabouts(random: Random, language: Language) -> Exchange:
    """Who is where."""
    count = random.choice((2, 2, 3))
    people, places = random.sample(NAMES[language], count), random.sample(PLACES, count)
    said = "{} is {}." if language == "en" else "{}在{}。"
    who, place = people[0], places[0]
    order = random.sample(range(count), count)
    scene = _scene(language, [said.format(people[index], places[index].in_(language)) for index in order])
    if random.random() < 0.5:
        question = f"Where is {who}?" if language == "en" else f"{who}在哪里？"
        curt = place.in_(language)
    else:
        question = f"Who is {place.en}?" if language == "en" else f"谁在{place.zh}？"
        curt = who
    space = " " if language == "en" else ""
    return Exchange(
        "reading",
        language,
        scene + space + question,
        said.format(who, place.in_(language)),
        curt,
        said.format(who, places[1].in_(language)),
        tuple(("is", person, where.en) for person, where in zip(people, places, strict=True)),
    )


def _scene(language: Language, sentences: list[str]) -> str:
    return (" " if language == "en" else "").join(sentences)


def _owns(random: Random, language: Language, who: str, owned: tuple[Word, Noun]) -> str:
    what = with_colour(*owned, language)
    if language == "en":
        return f"{who} {random.choice(('has', 'has got', 'is carrying', 'bought'))} {what}."
    return f"{who}{random.choice(('有', '带着', '拿着', '买了'))}{what}。"


def _ask_owner(
    random: Random, language: Language, people: list[str], things: list[tuple[Word, Noun]], asked: int, other: int
) -> tuple[str, str, str, str]:
    """Question, answer, curt answer, wrong answer."""
    who, somebody_else = people[asked], people[other]
    (colour, thing), (other_colour, _) = things[asked], things[other]
    what, something_else = with_colour(colour, thing, language), with_colour(*things[other], language)
    kind = random.choice(("who", "what", "colour"))
    if language == "en":
        if kind == "who":
            answer = f"{who} has the {colour.en} {thing.en}."
            wrong = f"{somebody_else} has the {colour.en} {thing.en}."
            return f"Who has the {thing.en}?", answer, who, wrong
        if kind == "what":
            return (
                f"What does {who} have?",
                f"{who} has {what}.",
                f"{colour.en} {thing.en}",
                f"{who} has {something_else}.",
            )
        question = random.choice((f"What colour is {who}'s {thing.en}?", f"What color is the {thing.en}?"))
        return question, f"The {thing.en} is {colour.en}.", colour.en, f"The {thing.en} is {other_colour.en}."
    if kind == "who":
        return f"{thing.zh}是谁的？", f"{thing.zh}是{who}的。", who, f"{thing.zh}是{somebody_else}的。"
    if kind == "what":
        return f"{who}有什么？", f"{who}有{what}。", f"{colour.zh}的{thing.zh}", f"{who}有{something_else}。"
    question = random.choice((f"{who}的{thing.zh}是什么颜色的？", f"{thing.zh}是什么颜色的？"))
    return question, f"{thing.zh}是{colour.zh}的。", colour.zh, f"{thing.zh}是{other_colour.zh}的。"
