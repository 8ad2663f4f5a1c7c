"""The connection: SQLite in a file (WAL) by default, PostgreSQL by URL, and two ways in: ``read`` and ``write``."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Connection, event, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from chatwright.errors import ConfigError, StorageError
from chatwright.server.database.migrations import migrate

_BUSY_TIMEOUT_S: Final = 30.0
_DRIVERS: Final = {
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
    "sqlite": "sqlite+aiosqlite",
}


class Database:
    """A database with its tables.

    Args:
        engine: of SQLAlchemy.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self._sessions = async_sessionmaker(engine, expire_on_commit=False)

    @property
    def is_sqlite(self) -> bool:
        """Whether it is a file of ours; else it is PostgreSQL."""
        return self.engine.dialect.name == "sqlite"

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        """A transaction that changes nothing; readers never wait for a writer."""
        async with self._sessions() as session:
            yield session

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncSession]:
        """A transaction, committed at the end of the block and rolled back when the block raises.

        Keep it short, and await nothing but the database in it: SQLite has one writer at a time. It takes the write
        lock at the start: a transaction that begins by reading and then wants to write could not wait for another
        writer, it would fail.
        """
        async with self._sessions() as session:
            await session.connection(execution_options={"chatwright_write": True})
            yield session
            await session.commit()

    async def empty_log(self) -> None:
        """Move everything from SQLite's write-ahead log to the file and empty it: deleted text would stay in it.

        Where a reader holds it, it is emptied the next time.
        """
        async with self.engine.connect() as connection:
            driver = (await connection.get_raw_connection()).driver_connection
            assert driver is not None
            await driver.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # not within a transaction, where it cannot be

    async def close(self) -> None:
        """Close every connection."""
        await self.engine.dispose()


def parse_database_url(text: str) -> URL:
    """``postgresql://…`` or ``sqlite:///…`` with the asynchronous driver that we use.

    Raises:
        ConfigError: it is no URL of these two.
    """
    try:
        url = make_url(text)
        driver = _DRIVERS[url.get_backend_name()]
    except (ArgumentError, KeyError):  # the URL may hold a password: it is not repeated
        raise ConfigError(
            "DATABASE_URL is not one that Chatwright knows; write postgresql://user:password@host/name or "
            "sqlite:////absolute/path.db"
        ) from None
    return url.set(drivername=driver)


async def open_database(url: str | URL, *, backups: Path | None = None) -> Database:
    """Connect, and bring the tables to the form that this version of Chatwright wants.

    Args:
        url: as for :func:`parse_database_url`.
        backups: folder for a copy of an SQLite file before it is migrated; None makes none.

    Raises:
        ConfigError: the URL is not one.
        StorageError: the database cannot be reached, belongs to a newer version, or could not be migrated.
    """
    parsed = parse_database_url(url) if isinstance(url, str) else url
    # Parameters are what people write: they stay out of errors, and so out of logs.
    if parsed.get_backend_name() == "sqlite":
        if parsed.database and parsed.database != ":memory:":
            _make_private(Path(parsed.database))
        engine = create_async_engine(parsed, hide_parameters=True, connect_args={"timeout": _BUSY_TIMEOUT_S})
        _prepare_sqlite(engine)
    else:
        engine = create_async_engine(parsed, hide_parameters=True, pool_size=10, max_overflow=20, pool_pre_ping=True)
    try:
        await migrate(engine, backups=backups)
    except BaseException:
        await engine.dispose()
        raise
    return Database(engine)


def _make_private(path: Path) -> None:
    """Let nobody but the server's own account read the file: SQLite would make it as the umask says, for everybody.

    Its log takes over the rights of the file. A file that is there already keeps its own: they may be chosen.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
    except OSError as error:
        raise StorageError(f"the database {path} cannot be opened: {error.strerror}") from error


def _prepare_sqlite(engine: AsyncEngine) -> None:
    """WAL, foreign keys, and transactions that SQLAlchemy rather than the driver begins."""

    @event.listens_for(engine.sync_engine, "connect")
    def connected(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # the driver begins nothing by itself
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute("PRAGMA secure_delete=ON")  # what people delete is overwritten, not only unlinked
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def began(connection: Connection) -> None:
        write = connection.get_execution_options().get("chatwright_write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
