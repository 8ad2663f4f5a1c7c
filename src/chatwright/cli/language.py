"""English or Chinese: the language in which the command line speaks, and the one function that chooses."""

import os
from functools import cache
from typing import Literal

Language = Literal["en", "zh"]


@cache
def language() -> Language:
    """``CHATWRIGHT_LANG`` if set, else the locale (``LC_ALL``, ``LC_MESSAGES``, ``LANG``, in this order)."""
    for variable in ("CHATWRIGHT_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        if value := os.environ.get(variable):
            return "zh" if value.lower().startswith("zh") else "en"
    return "en"


def say(english: str, chinese: str) -> str:
    """The text in the person's language. Both stand side by side in the code, so neither is forgotten."""
    return chinese if language() == "zh" else english
