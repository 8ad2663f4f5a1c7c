"""Sums, differences, comparisons and little word problems. The same pair of numbers is held out in all of them.

The answers show their working, so that each step is easy: 27 + 58 is 27 + 50 = 77 and 77 + 8 = 85. Held out are pairs
that take two steps; a step never is such a pair, since one of its numbers is round or has one digit.
"""

from random import Random

from chatwright.data.quickstart.exchange import Combination, Exchange
from chatwright.data.quickstart.words import COUNTED, NAMES, Language

LARGEST = 99

# A bare formula belongs to one language: it could not be told otherwise in which to answer.
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
        "{a}+{b}得多少？",
        "请算一下{a}加{b}。",
        "{a}加上{b}等于几？",
        "帮我算算{a}+{b}。",
        "算一算：{a}+{b}。",
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
        "{a}-{b}得多少？",
        "请算一下{a}减{b}。",
        "{a}减去{b}等于几？",
        "帮我算算{a}-{b}。",
        "算一算：{a}-{b}。",
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


def takes_two_steps(a: int, b: int) -> bool:
    """Whether neither number is round or has one digit."""
    return min(a, b) > 10 and bool(a % 10 and b % 10)


def addition(random: Random, language: Language) -> Exchange:
    """Add two numbers of one or two digits."""
    return _calculation(random, language, "sum", _operand(random), _operand(random))


def subtraction(random: Random, language: Language) -> Exchange:
    """Take the smaller number from the larger."""
    b, a = sorted((_operand(random), _operand(random)))
    return _calculation(random, language, "difference", a, b)


def _calculation(random: Random, language: Language, kind: str, a: int, b: int) -> Exchange:
    is_sum = kind == "sum"
    ways, sign, right = (_ASK_SUM, "+", a + b) if is_sum else (_ASK_DIFFERENCE, "-", a - b)

    def said(result: int) -> str:
        steps = _steps(a, b, sign, result)
        if len(steps) > 1:
            steps.append(f"{'so ' if language == 'en' else '所以'}{a} {sign} {b} = {result}")
        return _listed(steps, language)

    return Exchange(
        "addition" if is_sum else "subtraction",
        language,
        random.choice(ways[language]).format(a=a, b=b),
        said(right),
        _curt(_steps(a, b, sign, right), language),
        said(_near(random, right)),
        (pair(kind, a, b),) if takes_two_steps(a, b) else (),
    )


def _steps(a: int, b: int, sign: str, result: int) -> list[str]:
    """The working: first the tens of ``b``, then its ones."""
    if not takes_two_steps(a, b):
        return [f"{a} {sign} {b} = {result}"]
    tens, ones = b - b % 10, b % 10
    between = a + tens if sign == "+" else a - tens
    return [f"{a} {sign} {tens} = {between}", f"{between} {sign} {ones} = {result}"]


def _listed(steps: list[str], language: Language) -> str:
    return ", ".join(steps) + "." if language == "en" else "，".join(steps) + "。"


def _curt(steps: list[str], language: Language) -> str:
    """The working without a word; of a single step its result alone."""
    return _listed(steps, language)[:-1] if len(steps) > 1 else steps[0].rpartition(" ")[2]


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
    a, b = random.randint(2, 49), random.randint(2, 49)
    gains = random.random() < 0.5
    if not gains:
        a, b = max(a, b) + 2, min(a, b)
    sign, right = ("+", a + b) if gains else ("-", a - b)
    if language == "en":
        story, asks, said = _problem_en(random, gains)
    else:
        story, asks, said = _problem_zh(random, gains)
    noun = thing.plural if language == "en" else thing.zh
    words = {"who": who, "other": other, "things": noun, "measure": thing.measure, "a": a, "b": b}

    def solved(result: int) -> str:
        working = _listed(_steps(a, b, sign, result), language)
        return working + (" " if language == "en" else "") + said.format(**words, c=result)

    return Exchange(
        "word problems",
        language,
        (story + asks).format(**words),
        solved(right),
        _curt(_steps(a, b, sign, right), language),
        solved(_near(random, right)),
        (pair("sum" if gains else "difference", a, b),) if takes_two_steps(a, b) else (),
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
    return random.randint(0, 9) if random.random() < 0.2 else random.randint(0, LARGEST)


def _near(random: Random, number: int) -> int:
    """A number that is easily mistaken for ``number``."""
    return random.choice([near for near in (number - 10, number - 1, number + 1, number + 10) if near >= 0])
