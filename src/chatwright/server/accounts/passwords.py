"""Passwords: Argon2id, off the event loop, and never more than a few at once: each takes 64 MiB and a core."""

import secrets
import unicodedata
from typing import Final

import anyio
from anyio import to_thread
from pwdlib import PasswordHash
from pwdlib.exceptions import UnknownHashError
from pwdlib.hashers.argon2 import Argon2Hasher

from chatwright.server.errors import ApiError
from chatwright.server.principal import Principal

MIN_LENGTH: Final = 8
MAX_LENGTH: Final = 1024
_AT_ONCE: Final = 2


def checked_password(password: str, name: str, caller: Principal) -> str:
    """A password as an account may have it.

    Length is all that is asked for: rules about digits and signs make people choose worse ones.

    Raises:
        ApiError: 400 when it is too short, too long, or the account's name.
    Source:
        NIST SP 800-63B, section 5.1.1.
    """
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH or password.casefold() == name.casefold():
        raise ApiError(
            400,
            caller.say(
                f"a password has at least {MIN_LENGTH} characters and is not the name",
                f"密码至少 {MIN_LENGTH} 个字符，且不能与用户名相同",
            ),
            code="invalid_password",
            param="password",
        )
    return password


class Passwords:
    """Hashes and checks passwords."""

    def __init__(self) -> None:
        self._hasher = PasswordHash((Argon2Hasher(),))
        self._limiter = anyio.CapacityLimiter(_AT_ONCE)
        self._nobodys_hash: str | None = None

    async def hash(self, password: str) -> str:
        """What the database keeps of a password."""
        return await to_thread.run_sync(self._hasher.hash, _normal(password), limiter=self._limiter)

    async def check(self, password: str, stored: str | None) -> tuple[bool, str | None]:
        """Whether a password is right, and a new hash where the stored one was made with weaker parameters.

        Without a stored hash as much work is done: the time must not tell which names have an account.
        """
        if stored is None:
            self._nobodys_hash = self._nobodys_hash or await self.hash(secrets.token_hex())
            await to_thread.run_sync(self._verify, _normal(password), self._nobodys_hash, limiter=self._limiter)
            return False, None
        return await to_thread.run_sync(self._verify, _normal(password), stored, limiter=self._limiter)

    def _verify(self, password: str, stored: str) -> tuple[bool, str | None]:
        try:
            return self._hasher.verify_and_update(password, stored)
        except UnknownHashError:  # of another program's database
            return False, None


def _normal(password: str) -> str:
    """The same characters typed on another keyboard or system are the same password."""
    return unicodedata.normalize("NFKC", password)
