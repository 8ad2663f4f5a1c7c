"""Accounts as the rest of the server sees them: who asks, and what is to end with somebody's access."""

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

from fastapi import Request
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from chatwright.server.accounts.identify import Identification
from chatwright.server.accounts.in_flight import Access, InFlight
from chatwright.server.accounts.local import ensure_local_user
from chatwright.server.accounts.sessions import DAY_MS
from chatwright.server.database import Database
from chatwright.server.database.tables import EndedAccess
from chatwright.server.identifiers import new_id, now_ms
from chatwright.server.principal import Principal
from chatwright.server.settings import ServerSettings

log = logging.getLogger(__name__)

EndHook = Callable[[str], Awaitable[None] | None]
_LOOK_EVERY_S: Final = 1.0
_LOOK_BACK_MS: Final = 120_000  # the clocks of two machines may differ by so much


class Accounts:
    """Recognises callers, and ends what they started when their access ends.

    Args:
        database: knows who there is.
        settings: of the start.
    """

    def __init__(self, database: Database, settings: ServerSettings) -> None:
        self._database = database
        self.in_flight = InFlight()
        self.identification = Identification(database, settings, self.in_flight)
        self._end_hooks: list[EndHook] = []
        self._seen: dict[str, int] = {}  # announcements that were obeyed here, with their time

    async def identify(self, request: Request) -> Principal:
        """Who sends a request; see :class:`~chatwright.server.accounts.identify.Identification`."""
        return await self.identification(request)

    def on_end(self, hook: EndHook) -> None:
        """Have ``hook(user_id)`` called when all access of an account ends: it signed out everywhere, changed its
        password or role, was disabled or deleted. What the account started and that goes on without a request, such as
        an answer that the server owns, is stopped there; open requests and streams need no hook, they are cancelled.
        """
        self._end_hooks.append(hook)

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

    async def watch(self) -> None:
        """End here what other processes announce; runs until it is cancelled."""
        async with self._database.read() as db:
            self._seen.update((row.id, row.at_ms) for row in await _recent(db))
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
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
                waiting = hook(access.user_id)
                if inspect.isawaitable(waiting):
                    await waiting
            except Exception:  # one room's bug must not keep another room's streams open
                log.exception("a hook at the end of an account failed")


async def _recent(db: AsyncSession) -> list[EndedAccess]:
    return list(await db.scalars(select(EndedAccess).where(EndedAccess.at_ms > now_ms() - _LOOK_BACK_MS)))


@asynccontextmanager
async def open_accounts(database: Database, settings: ServerSettings) -> AsyncIterator[Accounts]:
    """The accounts of a running server."""
    if not settings.accounts or settings.api_key is not None or settings.engine_key is not None:
        await ensure_local_user(database)
    accounts = Accounts(database, settings)
    watching = asyncio.create_task(accounts.watch(), name="ended accesses")
    try:
        yield accounts
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
