"""Deleting what is older than the retention time: by one process for all that share the database."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from sqlalchemy import delete, exists

from chatwright.server.accounts import Accounts
from chatwright.server.database import Database, leases
from chatwright.server.database.tables import Conversation, ImportJob, MessageRow, ModerationEntry, StoredResponse
from chatwright.server.identifiers import new_id, now_ms
from chatwright.server.privacy.erasure import Erasure
from chatwright.server.privacy.policy import PrivacyPolicy

log = logging.getLogger(__name__)

_EVERY_S: Final = 3600.0
_DAY_MS: Final = 86_400_000


class Retention:
    """Applies the retention time.

    A conversation's time counts from its last message, and from its import where it was imported. Pinned ones are no
    exception: the time is a promise to whoever is written about.

    Args:
        database: to delete from.
        policy: says how long.
        erasure: deletes.
    """

    def __init__(self, database: Database, policy: PrivacyPolicy, erasure: Erasure) -> None:
        self._database = database
        self._policy = policy
        self._erasure = erasure
        self._owner = new_id("retention_")

    async def run(self) -> None:
        """Sweep now and every hour; runs until it is cancelled."""
        while True:
            try:
                if await leases.take(self._database, "retention", self._owner, seconds=2 * _EVERY_S):
                    await self.sweep()
            except Exception:  # a database that is away for a moment must not end it
                log.exception("what is past its retention time could not be deleted; trying again")
            await asyncio.sleep(_EVERY_S)

    async def sweep(self) -> int:
        """Delete what is past its time now; how many conversations that were."""
        now = now_ms()
        async with self._database.write() as session:
            await session.execute(delete(StoredResponse).where(StoredResponse.expires_ms < now))
        days = await self._policy.retention_days()
        if days is None:
            return 0
        before = now - days * _DAY_MS
        newer = exists().where(MessageRow.conversation_id == Conversation.id, MessageRow.updated_ms >= before)
        deleted = await self._erasure.conversations(Conversation.updated_ms < before, ~newer)
        async with self._database.write() as session:
            await session.execute(delete(StoredResponse).where(StoredResponse.created_ms < before))
            await session.execute(delete(ModerationEntry).where(ModerationEntry.at_ms < before))
            finished = (ImportJob.status != "running", ImportJob.updated_ms < before)
            await session.execute(delete(ImportJob).where(*finished))
        if deleted:
            await self._erasure.scrub()
            log.info("deleted %d conversations after %d days", deleted, days)
        return deleted


@asynccontextmanager
async def open_erasure(database: Database, accounts: Accounts, policy: PrivacyPolicy) -> AsyncIterator[Erasure]:
    """Deletion with accounts and by age, while the block lasts. Of the hooks of deletion it is the last: others' rows
    say what they have on disk.
    """
    erasure = Erasure(database)
    accounts.on_delete(erasure.forget)
    sweeping = asyncio.create_task(Retention(database, policy, erasure).run(), name="retention")
    try:
        yield erasure
    finally:
        sweeping.cancel()
        with suppress(asyncio.CancelledError):
            await sweeping
