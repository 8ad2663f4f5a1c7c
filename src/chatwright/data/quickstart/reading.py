"""Two or three people, each with something somewhere, and a question about one of them.

Some combinations of a name, a colour and a thing, and of a name and a place, are held out.
"""

from random import Random

from chatwright.data.quickstart.exchange import Combination, Exchange
from chatwright.data.quickstart.words import COLOURS, NAMES, PLACES, THINGS, Language, Noun, Word, with_colour


def belongings(random: Random, language: Language, *, earlier: int = 0) -> Exchange:
    """Who has what, and in which colour; after so many ``earlier`` questions about the same people."""
    count = random.choice((2, 2, 3))
    people = random.sample(NAMES[language], count)
    things = list(zip(random.sample(COLOURS, count), random.sample(THINGS, count), strict=True))
    scene = _scene(language, [_owns(random, language, *owned) for owned in zip(people, things, strict=True)])
    asked, questions = 0, []
    for _ in range(earlier + 1):
        asked = random.randrange(count)
        other = random.choice([index for index in range(count) if index != asked])
        questions.append(_ask_owner(random, language, people, things, asked, other))
    combinations: list[Combination] = [
        ("owns", who, colour.en, thing.en) for who, (colour, thing) in zip(people, things, strict=True)
    ]
    combinations.insert(0, combinations.pop(asked))
    return _exchange(language, scene, questions, combinations)


def whereabouts(random: Random, language: Language, *, earlier: int = 0) -> Exchange:
    """Who is where; after so many ``earlier`` questions about the same people."""
    count = random.choice((2, 2, 3))
    people, places = random.sample(NAMES[language], count), random.sample(PLACES, count)
    said = "{} is {}." if language == "en" else "{}在{}。"
    order = random.sample(range(count), count)
    scene = _scene(language, [said.format(people[index], places[index].in_(language)) for index in order])
    questions = []
    for asked in (*(random.randrange(count) for _ in range(earlier)), 0):
        who, place = people[asked], places[asked].in_(language)
        if random.random() < 0.5:
            question, curt = f"Where is {who}?" if language == "en" else f"{who}在哪里？", place
        else:
            question, curt = f"Who is {place}?" if language == "en" else f"谁在{place}？", who
        wrong = said.format(who, places[asked - 1].in_(language))
        questions.append((question, said.format(who, place), curt, wrong))
    return _exchange(
        language, scene, questions, [("is", who, place.en) for who, place in zip(people, places, strict=True)]
    )


def _exchange(
    language: Language, scene: str, questions: list[tuple[str, str, str, str]], combinations: list[Combination]
) -> Exchange:
    """The last of the questions, each with its answer, curt answer and wrong one; the scene comes before the first."""
    asked = [question for question, *_ in questions]
    asked[0] = _scene(language, [scene, asked[0]])
    before = tuple((question, answer) for question, (_, answer, _, _) in zip(asked[:-1], questions, strict=False))
    _, answer, curt, wrong = questions[-1]
    return Exchange("reading", language, asked[-1], answer, curt, wrong, tuple(combinations), before)


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
