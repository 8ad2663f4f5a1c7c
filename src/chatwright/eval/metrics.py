"""How near one text is to another: comparisons that treat Chinese and English alike. Pure functions on strings."""

import re
import string
import unicodedata
from collections import Counter
from decimal import Decimal, InvalidOperation

import numpy as np
from numpy.typing import NDArray

# Han, kana and hangul: scripts written without spaces, or (hangul) usually compared by syllable.
_SINGLE = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]")
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NUMBER = re.compile(r"[-+−]?(?:\d{1,3}(?:[,，]\d{3})+|\d+)(?:\.\d+)?|[-+−]?\.\d+")


def tidy(text: str) -> str:
    """Without the differences that nobody sees: full-width forms, runs of white space, spaces at both ends."""
    return " ".join(unicodedata.normalize("NFKC", text).split())


def loose(text: str) -> str:
    """As :func:`tidy`, and without case, punctuation and English articles.

    Source:
        Rajpurkar et al. 2016 (SQuAD), arXiv 1606.05250, section 6.1; extended to all Unicode punctuation.
    """
    kept = "".join(_unmarked(char) for char in tidy(text).lower())
    return " ".join(_ARTICLES.sub(" ", kept).split())


def _unmarked(char: str) -> str:
    """Punctuation of ASCII is dropped, as in SQuAD's own script; other punctuation parts words."""
    if char in string.punctuation:
        return ""
    return " " if unicodedata.category(char)[0] == "P" else char


def tokens(text: str) -> list[str]:
    """Words of :func:`loose` text; each Chinese, Japanese or Korean character is a word of its own."""
    return _SINGLE.sub(lambda found: f" {found[0]} ", loose(text)).split()


def token_f1(answer: str, reference: str) -> float:
    """Harmonic mean of precision and recall over :func:`tokens`; 1 where both have none.

    Source:
        Rajpurkar et al. 2016 (SQuAD), arXiv 1606.05250, section 6.1.
    """
    given, wanted = tokens(answer), tokens(reference)
    if not given or not wanted:
        return float(given == wanted)
    common = sum((Counter(given) & Counter(wanted)).values())
    return 2 * common / (len(given) + len(wanted))


def last_number(text: str) -> Decimal | None:
    """The last number in a text ("so it is 1,234.50 $" → 1234.50); None without any."""
    found = _NUMBER.findall(unicodedata.normalize("NFKC", text))
    if not found:
        return None
    try:
        return Decimal(re.sub("[,，]", "", found[-1]).replace("−", "-"))
    except InvalidOperation:
        return None


def macro_f1(predicted_N: NDArray[np.int64], true_N: NDArray[np.int64]) -> float:
    """Unweighted mean of each class's F1, over the classes that occur among the true ones or the predicted ones.

    Args:
        predicted_N, true_N: class indices, int64 [N].
    """
    classes = int(max(predicted_N.max(), true_N.max())) + 1
    hits = np.bincount(true_N[predicted_N == true_N], minlength=classes)
    seen = np.bincount(predicted_N, minlength=classes) + np.bincount(true_N, minlength=classes)
    return float((2 * hits[seen > 0] / seen[seen > 0]).mean())
