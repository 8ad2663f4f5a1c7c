"""Whether the server can do its work: the default model is there and the database answers."""

import asyncio
import logging
import time
from typing import Final

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from chatwright.errors import ChatwrightError
from chatwright.server.answering import Models, Served
from chatwright.server.backends.base import Health
from chatwright.server.database import Database
from chatwright.server.principal import Principal

log = logging.getLogger(__name__)

_FRESH_S: Final = 5.0  # so long a model's word is good: asking an upstream is a request to another machine
_PATIENCE_S: Final = 5.0
_NOBODY: Final = Principal(role="admin", channel="local")  # loading a model is nobody's request


class Readiness:
    """Loads the default model once, and says how things are.

    Args:
        models: that are served.
        database: of the server.
    """

    def __init__(self, models: Models, database: Database) -> None:
        self._models = models
        self._database = database
        self._loading: asyncio.Task[Served] | None = None
        self._known: tuple[float, Health] | None = None

    def begin(self) -> None:
        """Load the default model in the background; it is not loaded a second time."""
        if self._loading is None or _failed(self._loading):
            self._loading = asyncio.create_task(self._models.find(None, _NOBODY), name="load the default model")

    async def model(self) -> Health:
        """How the default model is. One that failed is tried again by whoever asks."""
        before = self._loading
        self.begin()
        assert self._loading is not None
        if before is not None and _failed(before):
            return Health("failed", "the default model cannot be loaded; the server's log says why")
        if not self._loading.done():
            return Health("loading")
        if self._known is None or time.monotonic() - self._known[0] > _FRESH_S:
            self._known = (time.monotonic(), await self._ask(self._loading))
        return self._known[1]

    async def _ask(self, loading: "asyncio.Task[Served]") -> Health:
        try:
            async with asyncio.timeout(_PATIENCE_S):
                return await loading.result().backend.health()
        except (TimeoutError, ChatwrightError):
            return Health("failed", "the default model does not answer")

    async def database(self) -> bool:
        """Whether the database answers."""
        try:
            async with asyncio.timeout(_PATIENCE_S), self._database.read() as db:
                await db.execute(text("SELECT 1"))
        except (TimeoutError, OSError, SQLAlchemyError) as error:
            log.warning("the database does not answer: %s", type(error).__name__)
            return False
        return True

    async def close(self) -> None:
        """Wait for nothing any more."""
        if self._loading is not None:
            self._loading.cancel()
            await asyncio.wait([self._loading])


def _failed(loading: "asyncio.Task[Served]") -> bool:
    return loading.done() and (loading.cancelled() or loading.exception() is not None)
