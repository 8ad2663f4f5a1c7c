"""Small words and phrases in the other language. Pairs of a colour and a thing are held out, in both directions."""

from random import Random

from chatwright.data.quickstart.exchange import Combination, Exchange
from chatwright.data.quickstart.words import ANIMALS, COLOURS, FOODS, THINGS, Language, Noun, Word, with_colour

_TO_CHINESE = {
    "en": (
        "How do you say “{en}” in Chinese?",
        "What is “{en}” in Chinese?",
        "Translate “{en}” into Chinese.",
        "What is the Chinese for “{en}”?",
        "Please say “{en}” in Chinese.",
    ),
    "zh": (
        "“{en}”用中文怎么说？",
        "“{en}”是什么意思？",
        "请把“{en}”翻译成中文。",
        "“{en}”的中文是什么？",
        "“{en}”翻译成中文是什么？",
    ),
}
_TO_ENGLISH = {
    "en": (
        "How do you say “{zh}” in English?",
        "What does “{zh}” mean?",
        "Translate “{zh}” into English.",
        "What is “{zh}” in English?",
        "Please say “{zh}” in English.",
    ),
    "zh": (
        "“{zh}”用英语怎么说？",
        "“{zh}”的英文是什么？",
        "请把“{zh}”翻译成英语。",
        "“{zh}”翻译成英语是什么？",
        "“{zh}”英语怎么讲？",
    ),
}


def translation(random: Random, language: Language) -> Exchange:
    """``a red cup`` is 一个红色的杯子, and the other way round."""
    colour, noun = random.choice(COLOURS), random.choice((*THINGS, *ANIMALS))
    other_colour = random.choice([other for other in COLOURS if other != colour])
    return _translate(
        random, language, _phrase(colour, noun), _phrase(other_colour, noun), ("translate", colour.en, noun.en)
    )


def word_translation(random: Random, language: Language) -> Exchange:
    """Single words. None is held out: a word says nothing about another."""
    kind: tuple[Word | Noun, ...] = random.choice((COLOURS, FOODS, THINGS, ANIMALS))
    word, other = random.sample(kind, 2)
    return _translate(random, language, Word(word.en, word.zh), Word(other.en, other.zh), None)


def _phrase(colour: Word, noun: Noun) -> Word:
    return Word(with_colour(colour, noun, "en"), with_colour(colour, noun, "zh"))


def _translate(
    random: Random, language: Language, phrase: Word, other: Word, combination: Combination | None
) -> Exchange:
    to_english = random.random() < 0.5
    source, target, wrong = (phrase.zh, phrase.en, other.en) if to_english else (phrase.en, phrase.zh, other.zh)
    templates = _TO_ENGLISH if to_english else _TO_CHINESE
    if language == "en":
        said = f"In {'English' if to_english else 'Chinese'}, “{source}” is “{{}}”."
    else:
        said = f"“{source}”的{'英文' if to_english else '中文'}是“{{}}”。"
    return Exchange(
        "translation",
        language,
        random.choice(templates[language]).format(en=phrase.en, zh=phrase.zh),
        said.format(target),
        target,
        said.format(wrong),
        () if combination is None else (combination,),
    )
