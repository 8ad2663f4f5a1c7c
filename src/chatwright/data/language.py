"""English, Chinese or neither, by the scripts and the commonest words of a text; and how many words it has."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

Language = Literal["en", "zh", "other"]

# Words that are frequent in one language and rare in the others that share its letters.
_ENGLISH = """
the and to that for with you are not this have from they which be it as by he she we at were been but what there their
if would when will who can do how your my about could should does i'm it's
"""
_FOREIGN = """
de la le les et des est une dans que pour pas qui sur der die das und ist nicht ein eine mit den dem von zu auf el los
las por una del con para se il di che non per della het een van dat niet os da em não um uma og att det som på är och
nie się jest ve bir bu dan yang untuk
"""
_ENGLISH_WORDS = frozenset(_ENGLISH.split())
_FOREIGN_WORDS = frozenset(_FOREIGN.split())
_FEW_WORDS = 20
_ENGLISH_SHARE = 0.06
_SAMPLE = 1000  # characters from the start, the middle and the end

_BITS = 6  # scripts are told apart by blocks of 64 code points


def _blocks(first: int, last: int) -> slice:
    return slice(first >> _BITS, (last >> _BITS) + 1)


_LATIN = (_blocks(0x40, 0x7F), _blocks(0xC0, 0x27F))
_KANA = _blocks(0x3040, 0x30FF)
_HAN = _blocks(0x3400, 0x9FFF)
_HANGUL = _blocks(0xAC00, 0xD7BF)
_OTHERS = (_blocks(0x380, 0x1FFF), _blocks(0xA000, 0xABFF))  # Greek, Cyrillic, Arabic, Indic …
_LETTERS_PER_WORD = 5


@dataclass(frozen=True, slots=True)
class Script:
    """How many characters of each script a text has. Characters beyond U+FFFF count as two of none of them."""

    latin: int
    han: int
    kana: int
    hangul: int
    others: int

    @classmethod
    def of(cls, text: str) -> "Script":
        """Count them."""
        units = np.frombuffer(text.encode("utf-16-le"), np.uint16)
        counts = np.bincount(units >> _BITS, minlength=1 << (16 - _BITS))

        def total(*parts: slice) -> int:
            return sum(int(counts[part].sum()) for part in parts)

        return cls(total(*_LATIN), total(_HAN), total(_KANA), total(_HANGUL), total(*_OTHERS))


def language_of(text: str, script: Script | None = None) -> Language:
    """The language of most of a text. Japanese and Korean are ``other``, and so is computer code."""
    script = script or Script.of(text)
    latin_words = script.latin / _LETTERS_PER_WORD
    if script.hangul > script.han or script.kana > 0.1 * (script.han + script.kana) > 0:
        return "other" if script.hangul + script.kana > latin_words else _latin_language(text)
    if script.others / _LETTERS_PER_WORD > max(script.han, latin_words):
        return "other"
    if script.han >= latin_words:
        return "zh" if script.han else "other"
    return _latin_language(text)


def count_words(text: str, script: Script) -> int:
    """Words between spaces, where each Chinese character counts as one."""
    return len(text.split()) + script.han + script.kana


def _latin_language(text: str) -> Language:
    middle = len(text) // 2
    sample = text if len(text) <= 3 * _SAMPLE else text[:_SAMPLE] + text[middle : middle + _SAMPLE] + text[-_SAMPLE:]
    words = [word.strip(".,;:!?\"'()") for word in sample.lower().split()]
    english = sum(map(_ENGLISH_WORDS.__contains__, words))
    foreign = sum(map(_FOREIGN_WORDS.__contains__, words))
    if foreign > english:
        return "other"
    is_short_english = len(words) < _FEW_WORDS and (english > 0 or text.isascii())
    return "en" if is_short_english or english > _ENGLISH_SHARE * len(words) else "other"
