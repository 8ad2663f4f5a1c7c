"""API keys as their owners manage them."""

from dataclasses import dataclass
from typing import Any

from chatwright.server.accounts import keys
from chatwright.server.accounts.audit import AuditLog
from chatwright.server.accounts.ending import Ending
from chatwright.server.accounts.in_flight import Access
from chatwright.server.accounts.keys import MOST_PER_USER, NewKey
from chatwright.server.accounts.sessions import DAY_MS
from chatwright.server.database import Database
from chatwright.server.database.tables import ApiKey
from chatwright.server.errors import ApiError, not_found
from chatwright.server.identifiers import now_ms
from chatwright.server.principal import Principal, Role


@dataclass(frozen=True, slots=True)
class KeyRing:
    """Makes, changes and revokes API keys.

    Attributes:
        database: keeps what is kept of them.
        audit, ending: what it works with.
    """

    database: Database
    audit: AuditLog
    ending: Ending

    async def create(
        self,
        caller: Principal,
        user_id: str,
        role: Role,
        *,
        name: str,
        scopes: tuple[str, ...],
        expires_in_days: int | None = None,
    ) -> NewKey:
        """Make a key.

        Args:
            caller: who does it.
            user_id: whose it is to be.
            role: of that account: only administrators' keys may administer.
            name: by which its owner knows it.
            scopes: what it is for.
            expires_in_days: None holds until it is revoked.

        Raises:
            ApiError: 403 for a scope that the account does not have, 409 for too many keys.
        """
        _check_scopes(caller, role, scopes)
        expires_ms = now_ms() + expires_in_days * DAY_MS if expires_in_days is not None else None
        async with self.database.write() as db:
            if await keys.count(db, user_id) >= MOST_PER_USER:
                raise ApiError(
                    409,
                    caller.say(
                        f"there are {MOST_PER_USER} keys already; revoke one that is not used",
                        f"密钥已达 {MOST_PER_USER} 个，请先撤销不用的",
                    ),
                    code="too_many_keys",
                )
            new = await keys.create(db, user_id, name=name, scopes=scopes, expires_ms=expires_ms)
            await self.audit.record(
                caller, "key.create", new.row.id, {"user": user_id, "scopes": new.row.scopes}, session=db
            )
        return new

    async def page(self, user_id: str, *, limit: int, after: str | None = None) -> list[ApiKey]:
        """Somebody's keys, newest first."""
        async with self.database.read() as db:
            return await keys.of_user(db, user_id, limit=limit, after=after)

    async def change(
        self, principal: Principal, key_id: str, *, name: str | None, scopes: tuple[str, ...] | None
    ) -> ApiKey:
        """Rename one of one's keys, or change what it is for; with fewer scopes, what it is doing ends.

        Raises:
            ApiError: 404 for a key that is not the caller's; 403 as :meth:`create`.
        """
        detail: dict[str, Any] = {}
        async with self.database.write() as db:
            row = await keys.one(db, principal.user_id, key_id)
            if row is None:
                raise not_found("API key", key_id)
            if name is not None:
                row.name = name
            if scopes is not None:
                assert principal.role != "anonymous"
                _check_scopes(principal, principal.role, scopes)
                detail["scopes"] = row.scopes = sorted(scopes)
            await self.audit.record(principal, "key.change", key_id, detail, session=db)
        if scopes is not None:
            await self.ending.end(Access(principal.user_id, key_id=key_id))
        return row

    async def revoke(self, principal: Principal, key_id: str) -> None:
        """Make one of one's keys useless, and end what it is doing.

        Raises:
            ApiError: 404 for a key that is not the caller's.
        """
        async with self.database.write() as db:
            row = await keys.one(db, principal.user_id, key_id)
            if row is None:
                raise not_found("API key", key_id)
            row.revoked_ms = now_ms()
            await self.audit.record(principal, "key.revoke", key_id, session=db)
        await self.ending.end(Access(principal.user_id, key_id=key_id))


def _check_scopes(caller: Principal, role: Role, scopes: tuple[str, ...]) -> None:
    if "admin" in scopes and role != "admin":
        raise ApiError(
            403,
            caller.say("only an administrator's key can have the scope admin", "仅管理员的密钥可拥有 admin 权限"),
            code="insufficient_scope",
            param="scopes",
        )
