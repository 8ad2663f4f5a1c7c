"""Names of accounts: what is allowed, and which two count as the same."""

import re
import unicodedata
from typing import Final

from chatwright.server.accounts.local import LOCAL_USER_NAME
from chatwright.server.errors import ApiError
from chatwright.server.principal import Principal

MAX_LENGTH: Final = 64
_RESERVED: Final = frozenset({LOCAL_USER_NAME})
# Alphabets with letters that look like those of another one, by the first word of their letters' Unicode names. Two of
# them in one name are a disguise; Chinese, Japanese and Korean names with Latin letters are usual.
_LOOKALIKES: Final = frozenset(
    {"LATIN", "CYRILLIC", "GREEK", "COPTIC", "ARMENIAN", "CHEROKEE", "GEORGIAN", "LISU", "OSAGE", "DESERET", "WARANG"}
)
# Letters, marks and symbols to Unicode, nothing to the eye: joiners, fillers, the empty Braille pattern.
_INVISIBLE: Final = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\U000e0100-\U000e01ef]")
_VARIATIONS: Final = re.compile("[\ufe00-\ufe0f]")  # how the character before is drawn, such as an emoji in colour


def normal_name(name: str) -> str:
    """The form in which a name is shown: full-width letters and the like as their plain forms, no spaces around."""
    return unicodedata.normalize("NFKC", _VARIATIONS.sub("", name)).strip()


def name_key(name: str) -> str:
    """What makes a name unique: ``Alice``, ``alice`` and ``Ａｌｉｃｅ`` are one."""
    return normal_name(normal_name(name).casefold())


def checked_name(name: str, caller: Principal) -> str:
    """A name as it may be given to an account.

    Raises:
        ApiError: 400 when it is empty, too long, has characters that cannot be seen, or mixes alphabets whose letters
            look alike; 409 when it is reserved.
    """
    normal = normal_name(name)
    if not 0 < len(normal) <= MAX_LENGTH or _cannot_be_seen(normal) or "  " in normal:
        raise ApiError(
            400,
            caller.say(
                f"a name has 1 to {MAX_LENGTH} visible characters and no two spaces in a row",
                f"用户名为 1 到 {MAX_LENGTH} 个可见字符，且不含连续空格",
            ),
            code="invalid_name",
            param="name",
        )
    if _is_disguised(normal):
        raise ApiError(
            400,
            caller.say(
                "the name mixes alphabets whose letters look alike, such as Latin and Cyrillic; write it in one",
                "用户名混用了外形相似的字母（例如拉丁字母与西里尔字母），请只使用其中一种",
            ),
            code="invalid_name",
            param="name",
        )
    if name_key(normal) in _RESERVED:
        raise name_taken(normal, caller)
    return normal


def offered_name(name: str) -> str:
    """A name that somebody else gave a person, made into one that :func:`checked_name` allows; may be empty."""
    normal = normal_name("".join(c for c in name if not _cannot_be_seen(c)))
    normal = " ".join(normal.split())[:MAX_LENGTH].strip()
    return "" if _is_disguised(normal) or name_key(normal) in _RESERVED else normal


def _cannot_be_seen(text: str) -> bool:
    return not text.isprintable() or _INVISIBLE.search(text) is not None


def _is_disguised(name: str) -> bool:
    scripts = {unicodedata.name(letter, "").partition(" ")[0] for letter in name if letter.isalpha()}
    return len(scripts & _LOOKALIKES) > 1


def name_taken(name: str, caller: Principal) -> ApiError:
    """409: another account has the name."""
    return ApiError(
        409,
        caller.say(f"the name {name!r} is taken; choose another", f"用户名“{name}”已被使用，请换一个"),
        code="name_taken",
        param="name",
    )
