"""Backups: one ZIP with every row and every file of a server, made while it runs, readable by either database.

``manifest.json`` says what it is; ``tables/NAME.jsonl`` holds rows, one JSON object a line; ``home/…`` and ``runs/…``
hold files. Rows rather than a copy of the database file: a server on SQLite can so move to PostgreSQL and back, and
a backup of an older release is brought to the newest form when it is restored.
"""

import json
import os
import zipfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any, Final

from sqlalchemy import Table, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from chatwright import __version__
from chatwright.errors import ChatwrightError, InputError, StorageError
from chatwright.server.database import Database
from chatwright.server.database.migrations import current_revision
from chatwright.server.database.tables import User
from chatwright.server.settings import ServerSettings

MANIFEST: Final = "manifest.json"
_FORM: Final = 1
# Of the home folder: the database itself, what can be made or fetched again, other backups.
_LEFT_OUT: Final = ("chatwright.db", "backups", "cache", "logs", "models")
_COMPRESSED_ALREADY: Final = (".safetensors", ".gguf", ".zip", ".gz", ".png", ".jpg", ".pdf")
# What processes tell each other while they run.
VOLATILE: Final = frozenset({"leases"})


@dataclass(frozen=True, slots=True)
class BackupReport:
    """What a backup holds, or what was restored."""

    path: Path
    rows: int
    files: int
    size_bytes: int


async def back_up(database: Database, settings: ServerSettings, target: Path) -> BackupReport:
    """Write a backup; the server may go on working.

    Rows are those of one moment. Files are read after that: one that is deleted meanwhile is missing, as its row
    would be a moment later.

    Raises:
        StorageError: it cannot be written; nothing is left at ``target`` then.
    """
    rows = files = 0
    with _appearing_when_complete(target) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
        async with _snapshot(database) as connection:
            manifest = {
                "chatwright": __version__,
                "form": _FORM,
                "revision": await connection.run_sync(current_revision),
                "made": datetime.now(UTC).isoformat(timespec="seconds"),
            }
            archive.writestr(MANIFEST, json.dumps(manifest, indent=2))
            for table in tables():
                rows += await _write_rows(connection, table, archive)
        for name, path in _files(settings):
            files += _write_file(archive, name, path)
    return BackupReport(target, rows, files, target.stat().st_size)


def tables() -> list[Table]:
    """Every table that is kept, those that others refer to first."""
    # Of a table's own metadata: whoever has that table has imported all. Those of Base alone may be none yet.
    return [table for table in User.metadata.sorted_tables if table.name not in VOLATILE]


def roots(settings: ServerSettings) -> dict[str, Path]:
    """The folders whose files are kept, by their name in the archive."""
    home = settings.home.expanduser().resolve()
    kept = {"home": home}
    if settings.runs_dir is not None and not settings.runs_dir.expanduser().resolve().is_relative_to(home):
        kept["runs"] = settings.runs_dir.expanduser().resolve()
    return kept


@contextmanager
def open_backup(path: Path) -> Iterator[tuple[zipfile.ZipFile, dict[str, Any]]]:
    """A backup and its manifest.

    Raises:
        InputError: it is no backup of ours, or damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            manifest = json.loads(archive.read(MANIFEST))
            if manifest["form"] != _FORM:
                raise InputError(f"{path} was written by a newer version of Chatwright ({manifest['chatwright']})")
            archive.getinfo(
                f"tables/{User.__tablename__}.jsonl"
            )  # without rows it would replace what is there by nothing
            yield archive, manifest
    except ChatwrightError:
        raise
    except FileNotFoundError:
        raise InputError(f"there is no file {path}") from None
    except (zipfile.BadZipFile, EOFError, KeyError, TypeError, ValueError, SQLAlchemyError) as error:
        raise InputError(f"{path} is no backup of Chatwright, or it is damaged") from error


def files_of(archive: zipfile.ZipFile, settings: ServerSettings) -> Iterator[tuple[zipfile.ZipInfo, Path]]:
    """The files of a backup and where they belong.

    Raises:
        InputError: a name leads out of the folders of this server.
    """
    folders = roots(settings)
    for entry in archive.infolist():
        parts = PurePosixPath(entry.filename).parts
        if parts[0] not in ("home", "runs"):
            continue
        root = folders.get(parts[0], folders["home"] / "runs")
        if entry.is_dir() or ".." in parts or "\\" in entry.filename or "\0" in entry.filename or len(parts) < 2:
            raise InputError(f"the backup names a file outside its folders: {entry.filename[:200]!r}")
        yield entry, root.joinpath(*parts[1:])


@contextmanager
def _appearing_when_complete(target: Path) -> Iterator[Path]:
    """A file beside ``target`` that only its owner can read, and that takes its place at the end of the block."""
    partial = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial.unlink(missing_ok=True)
        os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        yield partial
        os.replace(partial, target)
    except OSError as error:
        raise StorageError(f"the backup could not be written to {target}: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)


@asynccontextmanager
async def _snapshot(database: Database) -> AsyncIterator[AsyncConnection]:
    """A transaction that sees one moment throughout; SQLite's always do."""
    async with database.engine.connect() as connection:
        if not database.is_sqlite:
            await connection.execution_options(isolation_level="REPEATABLE READ")
        async with connection.begin():
            yield connection


async def _write_rows(connection: AsyncConnection, table: Table, archive: zipfile.ZipFile) -> int:
    count = 0
    with archive.open(f"tables/{table.name}.jsonl", "w", force_zip64=True) as member:
        async for row in await connection.stream(select(table)):
            member.write(json.dumps(dict(row._mapping), separators=(",", ":")).encode() + b"\n")
            count += 1
    return count


def _files(settings: ServerSettings) -> Iterator[tuple[str, Path]]:
    """What is kept, by name in the archive. Links are not followed: they may lead anywhere."""
    for kind, root in roots(settings).items():
        for folder, names, files in os.walk(root):
            here = Path(folder)
            if kind == "home" and here == root:
                names[:] = [name for name in names if name not in _LEFT_OUT]
                files = [name for name in files if not name.startswith(_LEFT_OUT[0])]
            for name in sorted(files):
                path = here / name
                if path.is_file() and not path.is_symlink():
                    yield f"{kind}/{path.relative_to(root).as_posix()}", path


def _write_file(archive: zipfile.ZipFile, name: str, path: Path) -> int:
    packing = zipfile.ZIP_STORED if path.suffix in _COMPRESSED_ALREADY else zipfile.ZIP_DEFLATED
    try:
        archive.write(path, name, packing)
    except FileNotFoundError:
        return 0
    return 1
