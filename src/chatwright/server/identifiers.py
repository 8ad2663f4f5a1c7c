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
