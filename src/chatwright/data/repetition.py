"""Texts that say the same thing over and over.

The rules are those of Gopher (Rae et al. 2021, arXiv 2112.11446, table A1). Words are words in English and pairs of
characters in Chinese. Counting n-grams of every text in Python would take longer than tokenising it, so they are
counted only where a text compresses suspiciously well: no text that breaks a rule about n-grams does not.
"""

import re
import zlib
from collections import Counter
from collections.abc import Sequence

_DUPLICATE_CHARACTERS = 0.20  # part of the characters in lines, or paragraphs, that came before
_FEW_PIECES = 4
_TOP_NGRAM = {2: 0.20, 3: 0.18, 4: 0.16}  # part of the characters in the commonest n-gram
_DUPLICATE_NGRAMS = {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.10}  # part in n-grams that occur twice

# Prose compresses (zlib, level 1) by 1.5 to 2.8 in either language, text with a fifth of it repeated by more than 3.
_SUSPICIOUS_RATIO = 3.0
_SHORT_BYTES = 256
_COMPRESSED_BYTES = 1 << 18  # of long texts, their start

_TOKEN = re.compile("[\u3400-\u9fff]|[^\\s\u3400-\u9fff]+")


def repetition(text: str, *, is_chinese: bool) -> str | None:
    """What repeats itself in a text; None where too little does to matter."""
    for name, separator in (("lines", "\n"), ("paragraphs", "\n\n")):
        pieces = [piece.strip() for piece in text.split(separator) if piece and not piece.isspace()]
        if len(pieces) >= _FEW_PIECES and _repeats(pieces):
            return f"repeated {name}"
    data = text[:_COMPRESSED_BYTES].encode()
    if len(data) >= _SHORT_BYTES and len(data) > _SUSPICIOUS_RATIO * len(zlib.compress(data, 1)):
        return _repeated_ngrams(_TOKEN.findall(text[:_COMPRESSED_BYTES]), 2 if is_chinese else 1)
    return None


def _repeats(pieces: Sequence[str]) -> bool:
    """By characters only: Gopher's rule by number would drop plays, where speakers' names return, and code."""
    total = sum(map(len, pieces))
    return total - sum(map(len, set(pieces))) > _DUPLICATE_CHARACTERS * total


def _repeated_ngrams(tokens: Sequence[str], tokens_per_word: int) -> str | None:
    total = sum(map(len, tokens))
    for words, share in _TOP_NGRAM.items():
        ngrams = Counter(_ngrams(tokens, words * tokens_per_word))
        if ngrams:
            ngram, times = max(ngrams.items(), key=lambda item: item[1] * sum(map(len, item[0])))
            if times > 1 and times * sum(map(len, ngram)) > share * total * len(ngram):
                return "repeated phrase"
    for words, share in _DUPLICATE_NGRAMS.items():
        if _duplicate_characters(tokens, words * tokens_per_word) > share * total:
            return "repeated passages"
    return None


def _ngrams(tokens: Sequence[str], n: int) -> list[tuple[str, ...]]:
    return list(zip(*(tokens[start:] for start in range(n)), strict=False))


def _duplicate_characters(tokens: Sequence[str], n: int) -> int:
    """Characters in n-grams that came before, each counted once."""
    seen: set[tuple[str, ...]] = set()
    covered = characters = 0  # tokens before `covered` have been counted
    for start, ngram in enumerate(_ngrams(tokens, n)):
        if ngram in seen:
            characters += sum(map(len, tokens[max(covered, start) : start + n]))
            covered = start + n
        seen.add(ngram)
    return characters
