"""What moderation found, for administrators to review."""

from collections.abc import Mapping, Sequence
from typing import Literal

from sqlalchemy import select

from chatwright.server.database import Database
from chatwright.server.database.tables import ModerationEntry
from chatwright.server.errors import not_found
from chatwright.server.identifiers import new_id, now_ms
from chatwright.server.moderation.word_lists import Action
from chatwright.server.principal import Principal

Direction = Literal["input", "output"]


class ModerationRecord:
    """Writes and reads the entries.

    Args:
        database: where they are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(
        self,
        principal: Principal,
        model: str,
        direction: Direction,
        action: Action,
        categories: Mapping[str, float],
        excerpt: str,
    ) -> None:
        """Write an entry.

        Args:
            principal: whose question or answer it was.
            model: which was asked.
            direction, action: what was read, and what was done with it.
            categories: found, with their scores.
            excerpt: of the text; empty where administrators may not read chats.
        """
        entry = ModerationEntry(
            id=new_id("mod_"),
            at_ms=now_ms(),
            user_id=principal.user_id or None,
            direction=direction,
            action=action,
            categories={name: round(score, 4) for name, score in categories.items()},
            model=model,
            excerpt=excerpt,
        )
        async with self._database.write() as session:
            session.add(entry)

    async def list(
        self,
        *,
        limit: int,
        after: str | None,
        action: Action | None,
        reviewed: bool | None,
        user_id: str | None,
    ) -> Sequence[ModerationEntry]:
        """Entries from the newest to the oldest, only those that match what is not None."""
        order = (ModerationEntry.at_ms.desc(), ModerationEntry.id.desc())
        query = select(ModerationEntry).order_by(*order).limit(limit)
        if action is not None:
            query = query.where(ModerationEntry.action == action)
        if user_id is not None:
            query = query.where(ModerationEntry.user_id == user_id)
        if reviewed is not None:
            seen = ModerationEntry.reviewed_ms
            query = query.where(seen.is_not(None) if reviewed else seen.is_(None))
        async with self._database.read() as session:
            if after is not None and (last := await session.get(ModerationEntry, after)) is not None:
                older = ModerationEntry.at_ms < last.at_ms
                query = query.where(older | ((ModerationEntry.at_ms == last.at_ms) & (ModerationEntry.id < last.id)))
            return (await session.scalars(query)).all()

    async def review(self, principal: Principal, entry_id: str) -> ModerationEntry:
        """Note that an administrator has seen an entry. Raises ApiError (404)."""
        async with self._database.write() as session:
            entry = await session.get(ModerationEntry, entry_id)
            if entry is None:
                raise not_found("moderation entry", entry_id)
            entry.reviewed_ms = now_ms()
            entry.reviewed_by = principal.user_id
        return entry
