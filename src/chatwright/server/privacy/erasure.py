"""Complete deletion: what an account leaves in rows that do not go with it, and in the files of the database itself."""

import asyncio
import logging
from typing import Final

from sqlalchemy import ColumnElement, delete, select, text, update

from chatwright.server.database import Database
from chatwright.server.database.search_index import TABLE
from chatwright.server.database.tables import (
    ApiKey,
    AuditEntry,
    Conversation,
    Invitation,
    LimitRule,
    ModerationEntry,
    ServedModel,
    Usage,
)

log = logging.getLogger(__name__)

GONE: Final = "(deleted)"
_BATCH: Final = 50


class Erasure:
    """Deletes people's data.

    Rows that refer to the account go with it (``ON DELETE CASCADE``); this is about all others. What stays is that an
    account existed and was deleted: the audit log keeps its random id and no name, address or detail.

    Args:
        database: to delete from.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def forget(self, user_id: str) -> None:
        """Delete everything of an account but its row; may be repeated. A hook of ``Accounts.on_delete``."""
        await self.conversations(Conversation.user_id == user_id)
        keys = select(ApiKey.id).where(ApiKey.user_id == user_id)
        about = (AuditEntry.target == user_id) | AuditEntry.target.in_(keys)
        async with self._database.write() as session:
            await session.execute(delete(Usage).where(Usage.user_id == user_id))
            await session.execute(delete(ModerationEntry).where(ModerationEntry.user_id == user_id))
            await session.execute(
                update(ModerationEntry).where(ModerationEntry.reviewed_by == user_id).values(reviewed_by=None)
            )
            own_rule = (LimitRule.subject == "user") & (LimitRule.subject_id == user_id)
            key_rule = (LimitRule.subject == "key") & LimitRule.subject_id.in_(keys)
            await session.execute(delete(LimitRule).where(own_rule | key_rule))
            await session.execute(delete(ServedModel).where(ServedModel.owner_id == user_id))
            await session.execute(update(AuditEntry).where(about).values(detail={}))
            await session.execute(
                update(AuditEntry).where(AuditEntry.actor_id == user_id).values(actor_name=GONE, address="")
            )
            # Who invited is nobody any more, and what nobody answers for is not to be used.
            await session.execute(delete(Invitation).where(Invitation.created_by == user_id))
        await self.scrub()

    async def conversations(self, *which: ColumnElement[bool]) -> int:
        """Delete the conversations for which all of ``which`` holds, in short transactions: nobody waits long.

        Returns:
            How many were deleted.
        """
        query = select(Conversation.id).where(*which).limit(_BATCH)
        deleted = 0
        while True:
            async with self._database.write() as session:
                ids = list(await session.scalars(query))
                await session.execute(delete(Conversation).where(Conversation.id.in_(ids)))
            deleted += len(ids)
            if len(ids) < _BATCH:
                return deleted
            await asyncio.sleep(0)  # writers take turns

    async def scrub(self) -> None:
        """Overwrite what SQLite has marked as deleted: in the search index, and in the write-ahead log.

        The pages of tables are overwritten as rows are deleted (``secure_delete``). PostgreSQL does the same in its own
        time (vacuum).
        """
        if not self._database.is_sqlite:
            return
        async with self._database.write() as session:
            await session.execute(text(f"INSERT INTO {TABLE} ({TABLE}) VALUES ('optimize')"))
        await self._database.empty_log()
