"""Names and times that the server gives out."""

import secrets
import time
from typing import Final

_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def new_id(prefix: str, length: int = 24) -> str:
    """An unguessable identifier such as ``msg_4fQ…``: 24 characters hold 142 random bits."""
    return f"{prefix}{''.join(secrets.choice(_ALPHABET) for _ in range(length))}"


def now_ms() -> int:
    """Milliseconds since 1970, UTC: the form in which the database keeps every time."""
    return time.time_ns() // 1_000_000


def servable_name(name: str) -> str:
    """The name of a model as clients may ask for it: in an address, in a list, on a screen.

    Raises:
        ValueError: it has characters that cannot be seen, or looks like a path.
    """
    if not name.isprintable():
        raise ValueError("the name has characters that cannot be seen; leave them out")
    if "\\" in name or not {"", ".", ".."}.isdisjoint(name.split("/")):
        raise ValueError("the name looks like a path; write it like qwen3 or qwen/qwen3")
    return name
