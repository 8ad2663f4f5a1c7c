"""Brings a database to the newest form, step by step, with a copy of the file before."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from filelock import AsyncFileLock
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from chatwright.errors import StorageError
from chatwright.server.identifiers import now_ms

_LOCK_NUMBER: Final = 0x43_48_41_54  # of PostgreSQL's advisory lock: any number that nobody else takes


def script_directory() -> ScriptDirectory:
    """The steps, oldest first by ``walk_revisions`` reversed."""
    return ScriptDirectory.from_config(alembic_config())


async def migrate(engine: AsyncEngine, *, backups: Path | None) -> None:
    """Take every step that is missing. Several processes may call it at once: one migrates, the others wait.

    Raises:
        StorageError: the database cannot be reached, was made by a newer version, or a step failed; then nothing of
            that step is kept.
    """
    try:
        if engine.dialect.name != "sqlite":
            async with engine.begin() as connection:
                await connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK_NUMBER})"))
                await connection.run_sync(_upgrade, None)
            return
        path = engine.url.database
        if not path or path == ":memory:":
            async with engine.begin() as connection:
                await connection.run_sync(_upgrade, None)
            return
        async with AsyncFileLock(f"{path}.migration-lock"), engine.connect() as connection:
            await connection.execution_options(chatwright_write=True)
            await connection.run_sync(_upgrade, (Path(path), backups) if backups is not None else None)
            await connection.commit()
    except (SQLAlchemyError, OSError) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        raise StorageError(f"the database could not be opened or migrated: {cause}; nothing was changed") from error


def current_revision(connection: Connection) -> str | None:
    """The step that the database has reached; None for an empty one."""
    return MigrationContext.configure(connection).get_current_revision()


def _upgrade(connection: Connection, backup: tuple[Path, Path] | None) -> None:
    reached = current_revision(connection)
    directory = script_directory()
    newest = directory.get_current_head()
    if reached == newest:
        return
    try:
        directory.get_revision(reached or "base")
    except CommandError:
        raise StorageError(
            f"the database was made by a newer version of Chatwright (its form is {reached}); install that version, "
            "or restore a backup with `chatwright admin restore`"
        ) from None
    if backup is not None and reached is not None:
        _copy(backup[0], backup[1], reached)
    config = alembic_config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _copy(path: Path, folder: Path, revision: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    safe = re.sub(r"[^\w-]", "", revision)
    target = folder / f"before-migration-from-{safe}-{now_ms()}.db"
    target.touch(mode=0o600)  # as private as the original
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(target)) as copy:
        source.backup(copy)


def alembic_config() -> Config:
    """Alembic's configuration; its commands want ``attributes["connection"]`` set."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
