"""How text is read before anything is looked for in it: as a person would, whatever it is dressed up as."""

import re
import unicodedata
from typing import Final

# Letters of other scripts that look Latin are written to slip past, within words that are Latin otherwise.
_LOOKALIKES: Final = str.maketrans("аеорсухіѕјԁԛһοαενι", "aeopcyxisjdqhoaevi")
_LATIN_NEIGHBOUR: Final = re.compile(r"(?<=[a-z])[^\W\d_a-z]|[^\W\d_a-z](?=[a-z])")

HAN: Final = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_BETWEEN_HAN: Final = re.compile(rf"(?<=[{HAN}])[\s*._~|·•\-+/\\^#@&=]{{1,4}}(?=[{HAN}])")
_SPELLED_OUT: Final = re.compile(r"(?<![a-z])[a-z](?:[\s*._~|·•\-+]{1,2}[a-z](?![a-z])){2,}")
_SEPARATORS: Final = re.compile(r"[\s*._~|·•\-+]+")
_DRAWN_OUT: Final = re.compile(r"([a-z])\1{2,}")
_SPACES: Final = re.compile(r"\s+")


def plain(text: str) -> str:
    """The text in one width and case, without invisible characters, with words put together that were pulled apart.

    ``Ｋ.Ｉ.Ｌ.Ｌ`` becomes ``kill``, ``杀 * 人`` becomes ``杀人``. Punctuation between sentences stays: what stands on
    its two sides does not belong together.
    """
    text = unicodedata.normalize("NFKC", text).casefold()
    text = "".join(char for char in text if unicodedata.category(char) not in ("Cf", "Mn"))
    text = _LATIN_NEIGHBOUR.sub(lambda found: found[0].translate(_LOOKALIKES), text)
    text = _BETWEEN_HAN.sub("", text)
    text = _SPELLED_OUT.sub(lambda found: _SEPARATORS.sub("", found[0]), text)
    text = _DRAWN_OUT.sub(r"\1\1", text)
    return _SPACES.sub(" ", text).strip()
