"""Texts that are no prose: lists, menus, tables of symbols, what is left of a broken encoding.

The rules are those of Gopher (Rae et al. 2021, arXiv 2112.11446, appendix A1.1) and their likes for Chinese, where
words are not set apart, and commonest characters stand for commonest words.
"""

from chatwright.data.language import Language, Script

_STOP_WORDS = frozenset(("the", "be", "to", "of", "and", "that", "have", "with"))
_STOP_CHARACTERS = "的一是不了在有人我他这這也之其而以者为為于於与與"
_MIN_STOP_WORDS = 2
_FEW_WORDS = 20  # in fewer, none of the commonest words need occur
_FEW_CHARACTERS = 100  # the same for Chinese; poems do without

_MEAN_WORD_LENGTH = (3, 10)
_MAX_SYMBOLS = 0.10  # hash signs and ellipses for each word
_MIN_ALPHABETIC = 0.80  # part of the words with a letter in them
_MIN_LETTERS = 0.50  # part of the characters, spaces apart; of a Chinese text, Chinese ones, Latin letters apart
_MAX_BULLETS = 0.90  # part of the lines
_MAX_ELLIPSES = 0.30  # part of the lines that end in one
_MAX_BROKEN = 0.001  # part of the characters
_FEW_LINES = 4

_BULLETS = ("•", "●", "○", "▪", "■", "◆", "·", "- ", "* ")
_ELLIPSES = ("...", "…", "。。。")
_LOST = "\ufffd"  # what a decoder writes for bytes it cannot read
_LOST_IN_GBK = "锟斤拷"  # the same, taken for GBK


def flaw(text: str, language: Language, script: Script) -> str | None:
    """What is wrong with a text as prose; None where nothing is. Of other languages only lines and letters count."""
    broken = text.count(_LOST) + 3 * text.count(_LOST_IN_GBK)
    if broken > _MAX_BROKEN * len(text):
        return "broken encoding"
    lines = [line for line in map(str.strip, text.split("\n")) if line]
    if len(lines) >= _FEW_LINES:
        if sum(line.startswith(_BULLETS) for line in lines) > _MAX_BULLETS * len(lines):
            return "bullet list"
        if sum(line.endswith(_ELLIPSES) for line in lines) > _MAX_ELLIPSES * len(lines):
            return "cut-off lines"
    match language:
        case "en":
            return _english_flaw(text)
        case "zh":
            return _chinese_flaw(text, script)
    letters = script.latin + script.han + script.kana + script.hangul + script.others
    return "few letters" if letters < _MIN_LETTERS * _solid(text) else None


def _solid(text: str) -> int:
    """Characters other than spaces."""
    return len(text) - sum(map(text.count, " \n\t\u3000"))


def _english_flaw(text: str) -> str | None:
    words = text.split()
    if not _MEAN_WORD_LENGTH[0] <= sum(map(len, words)) / len(words) <= _MEAN_WORD_LENGTH[1]:
        return "word length"
    if text.count("#") + text.count("...") + text.count("…") > _MAX_SYMBOLS * len(words):
        return "symbols"
    enough = _MIN_ALPHABETIC * len(words)
    if sum(map(str.isalpha, words)) < enough and sum(map(_has_letter, words)) < enough:  # the first is the quicker test
        return "few letters"
    if len(words) >= _FEW_WORDS and len(_STOP_WORDS.intersection(map(str.lower, words))) < _MIN_STOP_WORDS:
        return "no sentences"
    return None


def _has_letter(word: str) -> bool:
    return any(map(str.isalpha, word))


def _chinese_flaw(text: str, script: Script) -> str | None:
    if script.han < _MIN_LETTERS * (_solid(text) - script.latin):
        return "few letters"
    if text.count("#") + text.count("...") + text.count("…") > _MAX_SYMBOLS * script.han:
        return "symbols"
    if script.han >= _FEW_CHARACTERS and sum(char in text for char in _STOP_CHARACTERS) < _MIN_STOP_WORDS:
        return "no sentences"
    return None
