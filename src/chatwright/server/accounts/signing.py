"""Texts that the server hands to a browser and later believes: signed with a secret of this installation."""

import hmac
import secrets
from hashlib import sha256
from typing import Final

from sqlalchemy.dialects import postgresql, sqlite

from chatwright.server.database import Database
from chatwright.server.database.tables import Singleton
from chatwright.server.identifiers import now_ms

_SECRET: Final = "signing_secret"


class Signer:
    """Signs and checks. The secret is made at first use and kept in the database, so all processes share it.

    Args:
        database: keeps the secret.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._secret: bytes | None = None

    async def sign(self, purpose: str, text: str) -> str:
        """``text`` with a signature that holds for this purpose only."""
        return f"{text}.{await self._signature(purpose, text)}"

    async def checked(self, purpose: str, signed: str) -> str | None:
        """The text that was signed for this purpose; None where it was not, or was changed."""
        text, _, signature = signed.rpartition(".")
        right = await self._signature(purpose, text)
        return text if hmac.compare_digest(signature.encode("utf-8", "replace"), right.encode()) else None

    async def _signature(self, purpose: str, text: str) -> str:
        if self._secret is None:
            self._secret = await self._read_secret()
        return hmac.new(self._secret, f"{purpose}\0{text}".encode("utf-8", "replace"), sha256).hexdigest()

    async def _read_secret(self) -> bytes:
        insert = (sqlite if self._database.is_sqlite else postgresql).insert(Singleton)
        row = {"name": _SECRET, "holder": secrets.token_hex(32), "taken_ms": now_ms()}
        async with self._database.write() as db:
            await db.execute(insert.values(row).on_conflict_do_nothing())
            kept = await db.get_one(Singleton, _SECRET)
            return bytes.fromhex(kept.holder)
