"""A limiter without a server, and a clock that is turned by hand."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from chatwright.server.database import open_database
from chatwright.server.limits import Limiter, open_limiter
from chatwright.server.principal import Principal
from chatwright.server.settings import Limits, ServerSettings

OpenLimiter = Callable[..., AbstractAsyncContextManager[Limiter]]

UNLIMITED = dict.fromkeys(Limits.model_fields)
ANNA = Principal(user_id="usr_anna", name="anna", role="user", channel="session")
BERT = Principal(user_id="usr_bert", name="bert", role="user", channel="session", language="zh")


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now_s = 1_800_000_010.0

    def time(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The time that limits in memory see."""
    clock = Clock()
    module = SimpleNamespace(time=clock.time, monotonic=time.monotonic)
    monkeypatch.setattr("limits.aio.storage.memory.time", module)
    monkeypatch.setattr("limits.aio.strategies.time", module)
    monkeypatch.setattr("chatwright.server.limits.windows.time", module)
    return clock


@pytest.fixture
def limiter(tmp_path: Path) -> OpenLimiter:
    """``async with limiter(requests_per_hour=2) as limits``: without any other limit."""

    @asynccontextmanager
    async def open_one(
        *,
        url: str | None = None,
        redis_url: str | None = None,
        max_queue: int = 256,
        max_concurrent: int = 64,
        **limits: int,
    ) -> AsyncIterator[Limiter]:
        database = await open_database(url or f"sqlite:///{tmp_path / 'limits.db'}")
        settings = ServerSettings(
            home=tmp_path,
            limits=Limits.model_validate(UNLIMITED | limits),
            redis_url=redis_url,
            max_queue=max_queue,
            max_concurrent=max_concurrent,
        )
        try:
            async with open_limiter(settings, database) as limiter:
                yield limiter
        finally:
            await database.close()

    return open_one
