"""A server to test: its application with a tiny real model, called in process or over a real socket."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from pwdlib.hashers.argon2 import Argon2Hasher

from chatwright.server.app import create_app
from chatwright.server.settings import ServerSettings
from tests.server.real_servers import PostgreSQL, running_postgres, running_redis

MakeSettings = Callable[..., ServerSettings]
Client = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture(autouse=True)
def cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords are hashed as in earnest, only with less work: tests make many accounts."""
    cheap = partial(Argon2Hasher, time_cost=1, memory_cost=64, parallelism=1)
    monkeypatch.setattr("chatwright.server.accounts.passwords.Argon2Hasher", cheap)


@pytest.fixture
def make_settings(tmp_path: Path, tiny_model_dir: Path) -> MakeSettings:
    """``make_settings(sign_up="open")``: settings of a server with the tiny model that keeps all in a fresh folder."""

    def make(**changes: Any) -> ServerSettings:
        given: dict[str, Any] = {
            "home": tmp_path / "home",
            "model": str(tiny_model_dir),
            "served_model_name": "tiny",
            "device": "cpu",
            "dtype": "float32",
            "models_memory_bytes": 256 << 20,
        }
        return ServerSettings(**(given | changes))

    return make


@asynccontextmanager
async def running(app: FastAPI) -> AsyncIterator[FastAPI]:
    """The application between its start and its end."""
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture
def client(make_settings: MakeSettings) -> Client:
    """``async with client(accounts=False) as http``: an HTTP client of a running server, without a socket."""

    @asynccontextmanager
    async def open_client(**changes: Any) -> AsyncIterator[httpx.AsyncClient]:
        app = create_app(make_settings(**changes))
        async with running(app):
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as http:
                yield http

    return open_client


@contextmanager
def live(settings: ServerSettings) -> Iterator[str]:
    """A server on a free port of loopback, in a thread: its address."""
    server = uvicorn.Server(uvicorn.Config(create_app(settings), host="127.0.0.1", port=0, log_config=None))
    ready = threading.Event()
    started = server.startup

    async def startup(sockets: Any = None) -> None:
        await started(sockets)
        ready.set()

    server.startup = startup  # type: ignore[method-assign]
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
    thread.start()
    try:
        while not ready.wait(0.1):
            assert thread.is_alive(), "the server did not start"
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(30)


@pytest.fixture
def live_server(make_settings: MakeSettings) -> Iterator[str]:
    """The address of a server without accounts."""
    with live(make_settings(accounts=False)) as address:
        yield address


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Asynchronous tests run on asyncio, as the server does."""
    return "asyncio"


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgreSQL]:
    """A real PostgreSQL for the whole session."""
    with running_postgres() as server:
        yield server


@pytest.fixture
def postgres_url(postgres: PostgreSQL) -> str:
    """A new, empty database of a real PostgreSQL."""
    return postgres.new_database()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new, empty database; a test that takes it runs twice, on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'chatwright.db'}"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture(scope="session")
def redis_server() -> Iterator[str]:
    """A real Redis for the whole session."""
    with running_redis() as url:
        yield url


@pytest.fixture
def redis_url(redis_server: str) -> str:
    """A real Redis with nothing in it."""
    from redis import Redis

    with Redis.from_url(redis_server) as connection:
        connection.flushall()
    return redis_server
