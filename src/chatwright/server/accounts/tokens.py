"""Secrets that the server gives out: cookies, API keys, invitations. Only their hashes are kept.

They are random and long, so one round of SHA-256 is enough: there is nothing to guess, unlike with passwords. They
are looked up by their hash, so the time of the look-up says nothing about the secret.
"""

import hashlib
import hmac
from typing import Final

from chatwright.server.identifiers import new_id

API_KEY_PREFIX: Final = "sk-cw-"
_SHOWN_CHARACTERS: Final = len(API_KEY_PREFIX) + 4
MAX_LENGTH: Final = 512  # what is longer is none of ours, and not worth hashing


def new_session_token() -> str:
    """The value of a session's cookie."""
    return new_id("cws_", 43)


def new_api_key() -> str:
    """A key for programs; its prefix lets scanners of source code find one that was published by mistake."""
    return new_id(API_KEY_PREFIX, 43)


def new_invitation_code() -> str:
    """What an invited person types in or opens as a link."""
    return new_id("", 24)


def shown_prefix(key: str) -> str:
    """The part of an API key by which its owner recognises it."""
    return key[:_SHOWN_CHARACTERS]


def token_hash(token: str) -> str:
    """What the database keeps of a secret: SHA-256 as 64 hexadecimal digits."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def same_secret(given: str, right: str) -> bool:
    """Whether two secrets are equal, in a time that does not depend on where they differ."""
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), right.encode("utf-8", "surrogatepass"))
