"""What ends with somebody's access: requests and streams, in this and in other server processes."""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from chatwright.server.accounts.in_flight import Access, InFlight
from chatwright.server.accounts.sessions import DAY_MS
from chatwright.server.database import Database
from chatwright.server.database.tables import EndedAccess
from chatwright.server.identifiers import new_id, now_ms

log = logging.getLogger(__name__)

Hook = Callable[[str], Awaitable[None] | None]
_LOOK_EVERY_S: Final = 1.0
_LOOK_BACK_MS: Final = 120_000  # the clocks of two machines may differ by so much


class Ending:
    """Ends what an account started when its access ends.

    Args:
        database: by which processes tell each other.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.in_flight = InFlight()
        self._end_hooks: list[Hook] = []
        self._delete_hooks: list[Hook] = []
        self._seen: dict[str, int] = {}  # announcements that were obeyed here, with their time

    def on_end(self, hook: Hook) -> None:
        """Have ``hook(user_id)`` called when all access of an account ends: it signed out everywhere, changed its
        password or role, was disabled or deleted. What the account started and that goes on without a request, such as
        an answer that the server owns, is stopped there; open requests and streams need no hook, they are cancelled.
        """
        self._end_hooks.append(hook)

    def on_delete(self, hook: Hook) -> None:
        """Have ``hook(user_id)`` called when an account is deleted, before its row is: for what is not in rows that
        refer to it, such as files on disk. Where a hook fails, the account stays, disabled, and can be deleted again.
        """
        self._delete_hooks.append(hook)

    async def deleting(self, user_id: str) -> None:
        """Call what was given to :meth:`on_delete`."""
        for hook in self._delete_hooks:
            await _call(hook, user_id)

    async def end(self, access: Access) -> None:
        """End the requests of an account, session or key: here at once, in other processes within a second or so.

        Call it after the change is committed: a request that comes in between is refused by the database's state.
        """
        now, row_id = now_ms(), new_id("end_")
        self._seen[row_id] = now
        async with self._database.write() as db:
            await db.execute(delete(EndedAccess).where(EndedAccess.at_ms < now - DAY_MS))
            db.add(
                EndedAccess(
                    id=row_id,
                    user_id=access.user_id,
                    session_id=access.session_id,
                    key_id=access.key_id,
                    at_ms=now,
                )
            )
        await self._end_here(access, before_ms=now_ms())

    async def watch(self, stop: asyncio.Event) -> None:
        """End here what other processes announce, until ``stop``: a query that is cancelled costs its connection."""
        async with self._database.read() as db:
            self._seen.update((row.id, row.at_ms) for row in await _recent(db))
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_EVERY_S):
                    await stop.wait()
                    return
            try:
                await self._look()
            except Exception:  # a database that is away for a moment must not end the watch
                log.exception("other processes' ended accesses could not be read; trying again")

    async def _look(self) -> None:
        async with self._database.read() as db:
            rows = await _recent(db)
        fresh = [row for row in rows if row.id not in self._seen]
        oldest = now_ms() - 2 * _LOOK_BACK_MS
        self._seen = {key: at_ms for key, at_ms in self._seen.items() if at_ms > oldest}
        for row in fresh:
            self._seen[row.id] = row.at_ms
            await self._end_here(Access(row.user_id, row.session_id, row.key_id), before_ms=row.at_ms)

    async def _end_here(self, access: Access, *, before_ms: int) -> None:
        self.in_flight.end(access, before_ms=before_ms)
        if access.session_id is not None or access.key_id is not None:
            return
        for hook in self._end_hooks:
            try:
                await _call(hook, access.user_id)
            except Exception:  # one room's bug must not keep another room's streams open
                log.exception("a hook at the end of an account failed")


async def _call(hook: Hook, user_id: str) -> None:
    waiting = hook(user_id)
    if inspect.isawaitable(waiting):
        await waiting


async def _recent(db: AsyncSession) -> list[EndedAccess]:
    return list(await db.scalars(select(EndedAccess).where(EndedAccess.at_ms > now_ms() - _LOOK_BACK_MS)))
