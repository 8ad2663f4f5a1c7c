"""The record of what was done to accounts, settings, models and other people's data. Never holds what people wrote."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from chatwright.server.database import Database
from chatwright.server.database.tables import AuditEntry
from chatwright.server.identifiers import new_id, now_ms
from chatwright.server.principal import Principal


class AuditLog:
    """Writes and reads the record.

    Args:
        database: that holds it.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(
        self,
        principal: Principal,
        action: str,
        target: str = "",
        detail: Mapping[str, Any] | None = None,
        *,
        session: AsyncSession | None = None,
    ) -> None:
        """Write down what was done.

        Args:
            principal: who did it.
            action: such as ``user.role``.
            target: id or name of what it was done to.
            detail: the change in JSON; no secrets, nothing that people wrote.
            session: a transaction to write it in, so that deed and record stand or fall together; None takes its own.
        """
        entry = AuditEntry(
            id=new_id("audit_"),
            at_ms=now_ms(),
            actor_id=principal.user_id or None,
            actor_name=principal.name,
            action=action,
            target=target[:255],
            detail=dict(detail or {}),
            address=principal.address,
        )
        if session is not None:
            session.add(entry)
            return
        async with self._database.write() as own:
            own.add(entry)

    async def entries(
        self, *, limit: int, after: str | None = None, action: str | None = None, target: str | None = None
    ) -> list[AuditEntry]:
        """Entries from the newest to the oldest.

        Args:
            limit: how many at most.
            after: id of the entry before the first; an unknown one begins at the newest.
            action, target: only those of this action or target.
        """
        query = select(AuditEntry).order_by(AuditEntry.at_ms.desc(), AuditEntry.id.desc()).limit(limit)
        async with self._database.read() as session:
            if after is not None and (last := await session.get(AuditEntry, after)) is not None:
                query = query.where(
                    (AuditEntry.at_ms < last.at_ms) | ((AuditEntry.at_ms == last.at_ms) & (AuditEntry.id < last.id))
                )
            if action is not None:
                query = query.where(AuditEntry.action == action)
            if target is not None:
                query = query.where(AuditEntry.target == target)
            return list(await session.scalars(query))

    async def of_actions(self, *actions: str, limit: int) -> list[AuditEntry]:
        """The newest entries of some actions, from the newest to the oldest."""
        query = (
            select(AuditEntry)
            .where(AuditEntry.action.in_(actions))
            .order_by(AuditEntry.at_ms.desc(), AuditEntry.id.desc())
            .limit(limit)
        )
        async with self._database.read() as session:
            return list(await session.scalars(query))
