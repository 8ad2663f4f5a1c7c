"""Everything about a person in one ZIP, made as it is sent: nothing of it is kept."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO, Any, Final

import anyio
from sqlalchemy import select

from chatwright.server.database import Database
from chatwright.server.database.tables import StoredFile
from chatwright.server.files.vault import Vault
from chatwright.server.portability import exporter
from chatwright.server.portability.forms import FORMS
from chatwright.server.portability.store import load_all
from chatwright.server.portability.zip_stream import ZipStream
from chatwright.server.principal import Principal
from chatwright.server.privacy.personal_data import TABLES, PersonalTable

_CHUNK_BYTES: Final = 1 << 20
_README: Final = (
    "Everything that this server keeps about your account.\n\n"
    "conversations.json  your conversations with all branches and your ratings; can be imported again\n"
    "data/               the account, sessions, keys (without the keys themselves), usage and all other records\n"
    "files/              the files that you uploaded\n",
    "本服务器保存的与你的账号有关的全部数据。\n\n"
    "conversations.json  你的全部对话（含所有分支与评价），可重新导入\n"
    "data/               账号、登录会话、密钥信息（不含密钥本身）、用量及其他全部记录\n"
    "files/              你上传的文件\n",
)


async def personal_export(database: Database, vault: Vault, principal: Principal) -> AsyncIterator[bytes]:
    """The ZIP, in pieces.

    Args:
        database: holds the records.
        vault: holds the files.
        principal: whose data, and the language of the note in it.
    """
    with ZipStream() as archive:
        yield archive.add("README.txt", principal.say(*_README).encode())
        for table in TABLES:
            rows = await _rows(database, table, principal.user_id)
            if rows:
                data = json.dumps(rows, ensure_ascii=False, indent=2).encode()
                yield await anyio.to_thread.run_sync(archive.add, f"data/{table.name}.json", data)
        conversations = exporter.many(load_all(database, principal.user_id), FORMS["json"], principal.language)
        with archive.open("conversations.json") as part:
            async for piece in conversations:
                await anyio.to_thread.run_sync(part.write, piece)
                yield archive.take()
        for name, path in await _files(database, vault, principal.user_id):
            with archive.open(name) as part:
                async for piece in _read(path):
                    await anyio.to_thread.run_sync(part.write, piece)
                    yield archive.take()
        yield archive.finish()


async def _rows(database: Database, table: PersonalTable, user_id: str) -> list[dict[str, Any]]:
    async with database.read() as session:
        return [table.shown(row) for row in await session.scalars(table.rows_of(user_id))]


async def _files(database: Database, vault: Vault, user_id: str) -> list[tuple[str, Path]]:
    """Names within the ZIP, which are ours: an id and a name without anything that could be a path."""
    async with database.read() as session:
        rows = list(await session.scalars(select(StoredFile).where(StoredFile.user_id == user_id)))
    named = []
    for row in rows:
        stem, dot, suffix = row.filename.rpartition(".")
        kept = exporter.file_name(stem if dot else suffix) or "file"
        ending = f".{suffix}" if dot and suffix.isalnum() and len(suffix) <= 10 else ""
        named.append((f"files/{row.id} {kept}{ending}", vault.path(row.id)))
    return named


async def _read(path: Path) -> AsyncIterator[bytes]:
    """The content of a file; nothing where it has been deleted meanwhile."""
    try:
        file: IO[bytes] = await anyio.to_thread.run_sync(path.open, "rb")
    except FileNotFoundError:
        return
    with file:
        while chunk := await anyio.to_thread.run_sync(file.read, _CHUNK_BYTES):
            yield chunk
