"""Names of accounts: what is allowed, and which two count as the same."""

import unicodedata
from typing import Final

from chatwright.server.accounts.local import LOCAL_USER_NAME
from chatwright.server.errors import ApiError
from chatwright.server.principal import Principal

MAX_LENGTH: Final = 64
_RESERVED: Final = frozenset({LOCAL_USER_NAME})


def normal_name(name: str) -> str:
    """The form in which a name is shown: full-width letters and the like as their plain forms, no spaces around."""
    return unicodedata.normalize("NFKC", name).strip()


def name_key(name: str) -> str:
    """What makes a name unique: ``Alice``, ``alice`` and ``Ａｌｉｃｅ`` are one."""
    return normal_name(normal_name(name).casefold())


def checked_name(name: str, caller: Principal) -> str:
    """A name as it may be given to an account.

    Raises:
        ApiError: 400 when it is empty, too long, reserved, or has characters that cannot be seen.
    """
    normal = normal_name(name)
    if not 0 < len(normal) <= MAX_LENGTH or not normal.isprintable() or "  " in normal:
        raise ApiError(
            400,
            caller.say(
                f"a name has 1 to {MAX_LENGTH} visible characters and no two spaces in a row",
                f"用户名为 1 到 {MAX_LENGTH} 个可见字符，且不含连续空格",
            ),
            code="invalid_name",
            param="name",
        )
    if name_key(normal) in _RESERVED:
        raise name_taken(normal, caller)
    return normal


def name_taken(name: str, caller: Principal) -> ApiError:
    """409: another account has the name."""
    return ApiError(
        409,
        caller.say(f"the name {name!r} is taken; choose another", f"用户名“{name}”已被使用，请换一个"),
        code="name_taken",
        param="name",
    )
