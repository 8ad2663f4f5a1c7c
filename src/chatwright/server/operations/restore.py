"""Restoring: a backup's rows and files take the place of what a server has, in one transaction."""

import json
import os
import shutil
import zipfile
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from alembic import command
from alembic.util import CommandError
from sqlalchemy import JSON, Connection, MetaData, Table, create_engine, delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from chatwright.errors import InputError, StorageError
from chatwright.server.conversations import search
from chatwright.server.database import Database, open_database
from chatwright.server.database.base import Base
from chatwright.server.database.migrations import alembic_config, script_directory
from chatwright.server.database.tables import Conversation, MessageRow, User
from chatwright.server.operations.backup import BackupReport, files_of, open_backup, tables
from chatwright.server.settings import FILE_NAME, ServerSettings

_TOGETHER: Final = 500  # rows in one statement
Row = dict[str, Any]


async def restore(database: Database, settings: ServerSettings, source: Path, *, replace: bool) -> BackupReport:
    """Put a backup in place of what there is. Run it while the server is stopped: it does not look again.

    Args:
        database: open, of the newest form.
        settings: of the server that is restored; its ``server.yaml`` stays as it is.
        source: of :func:`~chatwright.server.operations.backup.back_up`.
        replace: whether what there is may be lost.

    Raises:
        InputError: it is no backup, or there is something that would be lost.
        StorageError: it is of a newer version, or a file cannot be written.
    """
    async with database.read() as db:
        if not replace and await db.scalar(select(func.count()).select_from(User)):
            raise InputError("this server has accounts already; add --replace to lose them and all their data")
    with open_backup(source) as (archive, manifest):
        files = list(files_of(archive, settings))
        with TemporaryDirectory(prefix="chatwright-restore-") as folder:
            older = await _brought_up(archive, manifest["revision"], Path(folder))
            try:
                rows = await _replace_rows(database, archive if older is None else older)
            finally:
                if older is not None:
                    await older.close()
        written = sum(_write_file(archive, entry, path) for entry, path in files)
    return BackupReport(source, rows, written, source.stat().st_size)


async def _brought_up(archive: zipfile.ZipFile, revision: str, folder: Path) -> Database | None:
    """A database with the rows of an older release in the newest form; None where they have it already."""
    directory = script_directory()
    if revision == directory.get_current_head():
        return None
    try:
        directory.get_revision(revision)
    except CommandError:
        raise StorageError(
            f"the backup was made by a newer version of Chatwright (its form is {revision}); install that version"
        ) from None
    path = folder / "older.db"
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config = alembic_config()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        _fill(connection, archive)
    engine.dispose()
    return await open_database(f"sqlite:///{path}")


def _fill(connection: Connection, archive: zipfile.ZipFile) -> None:
    """Rows of an older release into tables of that release, which only the database knows."""
    metadata = MetaData()
    names = [Path(name).stem for name in archive.namelist() if name.startswith("tables/")]
    metadata.reflect(connection, only=names)
    for table in metadata.sorted_tables:
        for batch in _batches(table, _rows(archive, table)):
            connection.execute(insert(table), batch)


async def _replace_rows(database: Database, source: zipfile.ZipFile | Database) -> int:
    count = 0
    async with database.write() as db:
        for table in reversed(Base.metadata.sorted_tables):
            await db.execute(delete(table))
        for table in tables():
            rows = _rows(source, table) if isinstance(source, zipfile.ZipFile) else await _read(source, table)
            for batch in _batches(table, rows):
                await db.execute(insert(table), batch)
                count += len(batch)
        await _index(db)
    return count


async def _index(db: AsyncSession) -> None:
    """Let the search find what was restored: the index is the one thing that the two databases keep differently."""
    statement = select(MessageRow.id, MessageRow.conversation_id, MessageRow.content, Conversation.user_id)
    statement = statement.join(Conversation, Conversation.id == MessageRow.conversation_id).order_by(
        MessageRow.created_ms, MessageRow.id
    )
    for message_id, conversation_id, content, user_id in (await db.execute(statement)).all():
        await search.add(db, user_id, conversation_id, message_id, search.terms_of(content))


async def _read(database: Database, table: Table) -> list[Row]:
    async with database.read() as db:
        return [dict(row._mapping) for row in await db.execute(select(table))]


def _rows(archive: zipfile.ZipFile, table: Table) -> Iterator[Row]:
    name = f"tables/{table.name}.jsonl"
    if name not in archive.namelist():
        return
    with archive.open(name) as member:
        for number, line in enumerate(member, 1):
            row = json.loads(line)
            if not isinstance(row, dict) or not row.keys() <= set(table.columns.keys()):
                raise InputError(f"the backup is damaged: {name}, line {number}")
            yield row


def _batches(table: Table, rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Rows that one statement can insert: alike in their columns.

    Where nothing is in a column of JSON, the column is left out: None would become JSON's null, which is a value.
    """
    optional = {column.name for column in table.columns if isinstance(column.type, JSON) and column.nullable}
    given = ({k: v for k, v in row.items() if v is not None or k not in optional} for row in rows)
    for _, alike in groupby(given, key=lambda row: row.keys()):
        batch: list[Row] = []
        for row in alike:
            batch.append(row)
            if len(batch) == _TOGETHER:
                yield batch
                batch = []
        if batch:
            yield batch


def _write_file(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path) -> int:
    if path.name == FILE_NAME and path.exists():
        return 0
    partial = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(entry) as source, partial.open("wb") as target:
            shutil.copyfileobj(source, target)
        os.replace(partial, path)
    except OSError as error:
        raise StorageError(f"{path} could not be written: {error.strerror or error}") from error
    return 1
