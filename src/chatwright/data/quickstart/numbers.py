"""Sums, differences, comparisons and little word problems. The same pair of numbers is held out in all of them."""

from random import Random

from chatwright.data.quickstart.exchange import Combination, Exchange
from chatwright.data.quickstart.words import COUNTED, NAMES, Language

LARGEST = 99

_ASK_SUM = {
    "en": (
        "What is {a} + {b}?",
        "What is {a} plus {b}?",
        "{a} + {b} = ?",
        "Add {a} and {b}.",
        "How much is {a} + {b}?",
        "Please add {b} to {a}.",
        "Can you tell me what {a} plus {b} is?",
        "{a}+{b}",
    ),
    "zh": (
        "{a}+{b}等于多少？",
        "{a}加{b}等于多少？",
        "{a}加{b}是多少？",
        "{a} + {b} = ?",
        "请算一下{a}加{b}。",
        "{a}加上{b}等于几？",
        "帮我算算{a}+{b}。",
        "{a}+{b}",
    ),
}
_ASK_DIFFERENCE = {
    "en": (
        "What is {a} - {b}?",
        "What is {a} minus {b}?",
        "{a} - {b} = ?",
        "Subtract {b} from {a}.",
        "How much is {a} - {b}?",
        "Take {b} away from {a}.",
        "Can you tell me what {a} minus {b} is?",
        "{a}-{b}",
    ),
    "zh": (
        "{a}-{b}等于多少？",
        "{a}减{b}等于多少？",
        "{a}减{b}是多少？",
        "{a} - {b} = ?",
        "请算一下{a}减{b}。",
        "{a}减去{b}等于几？",
        "帮我算算{a}-{b}。",
        "{a}-{b}",
    ),
}
_ASK_LARGER = {
    "en": ("Which is larger, {a} or {b}?", "Which number is bigger: {a} or {b}?", "{a} or {b}: which is more?"),
    "zh": ("{a}和{b}哪个大？", "{a}和{b}，哪个数更大？", "{a}跟{b}比，哪个大？"),
}
_ASK_SMALLER = {
    "en": ("Which is smaller, {a} or {b}?", "Which number is smaller: {a} or {b}?", "{a} or {b}: which is less?"),
    "zh": ("{a}和{b}哪个小？", "{a}和{b}，哪个数更小？", "{a}跟{b}比，哪个小？"),
}


def pair(kind: str, a: int, b: int) -> Combination:
    """The combination of two numbers; for a sum and a comparison their order does not matter."""
    return (kind, a, b) if kind == "difference" else (kind, min(a, b), max(a, b))


def addition(random: Random, language: Language) -> Exchange:
    """Add two numbers of one or two digits."""
    a, b = _operand(random), _operand(random)
    right, wrong = a + b, _near(random, a + b)
    said = "{a} plus {b} is {c}." if language == "en" else "{a}加{b}等于{c}。"
    return Exchange(
        "addition",
        language,
        random.choice(_ASK_SUM[language]).format(a=a, b=b),
        said.format(a=a, b=b, c=right),
        str(right),
        said.format(a=a, b=b, c=wrong),
        (pair("sum", a, b),),
    )


def subtraction(random: Random, language: Language) -> Exchange:
    """Take the smaller number from the larger."""
    b, a = sorted((_operand(random), _operand(random)))
    right, wrong = a - b, _near(random, a - b)
    said = "{a} minus {b} is {c}." if language == "en" else "{a}减{b}等于{c}。"
    return Exchange(
        "subtraction",
        language,
        random.choice(_ASK_DIFFERENCE[language]).format(a=a, b=b),
        said.format(a=a, b=b, c=right),
        str(right),
        said.format(a=a, b=b, c=wrong),
        (pair("difference", a, b),),
    )


def comparison(random: Random, language: Language) -> Exchange:
    """Say which of two numbers is larger, or smaller."""
    a, b = random.sample(range(LARGEST + 1), 2)
    low, high = min(a, b), max(a, b)
    if random.random() < 0.5:
        asked, (first, second) = _ASK_LARGER, (high, low)
        said = "{} is larger than {}." if language == "en" else "{}比{}大。"
    else:
        asked, (first, second) = _ASK_SMALLER, (low, high)
        said = "{} is smaller than {}." if language == "en" else "{}比{}小。"
    return Exchange(
        "comparison",
        language,
        random.choice(asked[language]).format(a=a, b=b),
        said.format(first, second),
        str(first),
        said.format(second, first),
        (pair("comparison", a, b),),
    )


def word_problem(random: Random, language: Language) -> Exchange:
    """Somebody is given things, or gives some away."""
    who, other = random.sample(NAMES[language], 2)
    thing = random.choice(COUNTED)
    a, b = random.randint(2, 20), random.randint(2, 20)
    gains = random.random() < 0.5
    if not gains:
        a, b = max(a, b) + 2, min(a, b)
    count = a + b if gains else a - b
    if language == "en":
        story, asks, said = _problem_en(random, gains)
    else:
        story, asks, said = _problem_zh(random, gains)
    noun = thing.plural if language == "en" else thing.zh
    words = {"who": who, "other": other, "things": noun, "measure": thing.measure, "a": a, "b": b}
    return Exchange(
        "word problems",
        language,
        (story + asks).format(**words),
        said.format(**words, c=count),
        str(count),
        said.format(**words, c=_near(random, count)),
        (pair("sum" if gains else "difference", a, b),),
    )


def _problem_en(random: Random, gains: bool) -> tuple[str, str, str]:
    if gains:
        story = random.choice(
            (
                "{who} has {a} {things}. {other} gives {who} {b} more. ",
                "{who} had {a} {things} and found {b} more. ",
                "There are {a} {things} in {who}'s box. {who} puts in {b} more. ",
            )
        )
        return story, "How many {things} does {who} have now?", "{who} has {c} {things} now."
    story = random.choice(
        (
            "{who} has {a} {things} and gives {b} to {other}. ",
            "{who} had {a} {things} and lost {b} of them. ",
            "There are {a} {things} in {who}'s box. {other} takes {b} of them. ",
        )
    )
    return story, "How many {things} does {who} have left?", "{who} has {c} {things} left."


def _problem_zh(random: Random, gains: bool) -> tuple[str, str, str]:
    if gains:
        story = random.choice(
            (
                "{who}有{a}{measure}{things}，{other}又给了{who}{b}{measure}。",
                "{who}原来有{a}{measure}{things}，后来又得到{b}{measure}。",
                "{who}的盒子里有{a}{measure}{things}，又放进去{b}{measure}。",
            )
        )
        return story, "{who}现在有多少{measure}{things}？", "{who}现在有{c}{measure}{things}。"
    story = random.choice(
        (
            "{who}有{a}{measure}{things}，送给{other}{b}{measure}。",
            "{who}原来有{a}{measure}{things}，丢了{b}{measure}。",
            "{who}的盒子里有{a}{measure}{things}，{other}拿走了{b}{measure}。",
        )
    )
    return story, "{who}还剩多少{measure}{things}？", "{who}还剩{c}{measure}{things}。"


def _operand(random: Random) -> int:
    """Small numbers are asked for more often than they are among all."""
    return random.randint(0, 9) if random.random() < 0.25 else random.randint(0, LARGEST)


def _near(random: Random, number: int) -> int:
    """A number that is easily mistaken for ``number``."""
    return random.choice([near for near in (number - 10, number - 1, number + 1, number + 10) if near >= 0])
