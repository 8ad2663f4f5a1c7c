"""What may be done with files: kept within a person's share of the disk, read and removed by their owner alone."""

import re
from pathlib import Path
from typing import IO, Final

import anyio.to_thread
from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession

from chatwright.server.database import Database
from chatwright.server.database.tables import StoredFile
from chatwright.server.errors import ApiError, not_found
from chatwright.server.files import repository
from chatwright.server.files.vault import Kept, Vault
from chatwright.server.identifiers import new_id, now_ms
from chatwright.server.principal import Principal

_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_NAME_LENGTH: Final = 255
RESULTS: Final = "fine-tune-results"  # the purpose of files that jobs leave behind


class Files:
    """Files of people.

    Args:
        database: whose they are.
        vault: their bytes.
        max_user_bytes: what the files of one person may take together.
    """

    def __init__(self, database: Database, vault: Vault, *, max_user_bytes: int) -> None:
        self._database = database
        self.vault = vault
        self._max_user_bytes = max_user_bytes

    async def create(
        self,
        principal: Principal,
        source: IO[bytes],
        *,
        filename: str,
        purpose: str,
        expires_after_s: int | None = None,
    ) -> StoredFile:
        """Keep a file.

        Args:
            principal: whose it becomes.
            source: its content, read in a thread.
            filename: as the person calls it.
            purpose: what it is for.
            expires_after_s: when it is deleted by itself; None: never.

        Raises:
            ApiError: 400 for an empty one, 413 for one that is too large, 507 when the disk is full.
        """
        file_id = new_id("file-")
        kept = await anyio.to_thread.run_sync(self.vault.put, file_id, source)
        return await self._entered(principal, file_id, kept, filename, purpose, expires_after_s)

    async def result(self, user_id: str, source: IO[bytes], *, filename: str) -> StoredFile:
        """A file that the server made for somebody: its bytes are kept, the row is for the caller's transaction.

        Raises:
            ApiError: 507 when the disk is full.
        """
        file_id = new_id("file-")
        kept = await anyio.to_thread.run_sync(self.vault.put, file_id, source)
        return _row(user_id, file_id, kept, filename, RESULTS, None)

    async def get(self, principal: Principal, file_id: str) -> StoredFile:
        """Somebody's file.

        Raises:
            ApiError: 404 where it is not theirs, or not at all.
        """
        async with self._database.read() as session:
            row = await repository.find_file(session, principal.user_id, file_id)
        if row is None:
            raise not_found("file", file_id)
        return row

    async def path(self, principal: Principal, file_id: str) -> tuple[StoredFile, Path]:
        """A file and where its content lies. Raises as :meth:`get`."""
        row = await self.get(principal, file_id)
        path = self.vault.path(file_id)
        if not await anyio.to_thread.run_sync(path.is_file):
            raise not_found("file", file_id)
        return row, path

    async def listed(
        self, principal: Principal, *, limit: int, after: str | None, newest_first: bool, purpose: str | None
    ) -> tuple[list[StoredFile], bool]:
        """Somebody's files, and whether there are more; ``after`` is the id before the first."""
        async with self._database.read() as session:
            last = None
            if after is not None:
                last = await repository.find_file(session, principal.user_id, after)
                if last is None:
                    raise ApiError(400, f"after: there is no file {after!r}", code="invalid_value", param="after")
            rows = await repository.list_files(
                session, principal.user_id, limit=limit + 1, after=last, newest_first=newest_first, purpose=purpose
            )
        return rows[:limit], len(rows) > limit

    async def delete(self, principal: Principal, file_id: str) -> None:
        """Remove a file; a job that trains on it has a copy. Raises as :meth:`get`."""
        async with self._database.write() as session:
            row = await repository.find_file(session, principal.user_id, file_id)
            if row is None:
                raise not_found("file", file_id)
            await session.delete(row)
        await anyio.to_thread.run_sync(self.vault.remove, [file_id])

    async def erase(self, user_id: str) -> None:
        """Remove everything that somebody uploaded, before the account itself goes."""
        async with self._database.write() as session:
            ids = await repository.ids_of(session, user_id)
            await session.execute(delete(StoredFile).where(StoredFile.user_id == user_id))
        await anyio.to_thread.run_sync(self.vault.remove, ids)

    async def sweep(self) -> None:
        """Remove what is past its time, and bytes that nobody owns: their request ended before its transaction."""
        async with self._database.write() as session:
            await repository.forget_expired(session)
        on_disk = sorted(await anyio.to_thread.run_sync(self.vault.ids))
        for start in range(0, len(on_disk), 500):
            some = on_disk[start : start + 500]
            async with self._database.read() as session:
                known = await repository.known_ids(session, some)
            await anyio.to_thread.run_sync(self.vault.sweep, set(some) - known)

    async def check_room(self, session: AsyncSession, principal: Principal, size_bytes: int) -> None:
        """Refuse what would not fit into somebody's share of the disk."""
        taken = await repository.stored_bytes(session, principal.user_id)
        if taken + size_bytes > self._max_user_bytes:
            raise ApiError(
                413,
                principal.say(
                    f"your files take {taken:,} bytes, and with {size_bytes:,} more they would exceed "
                    f"{self._max_user_bytes:,}; delete some",
                    f"你的文件已占用 {taken:,} 字节，再加 {size_bytes:,} 字节将超过上限 {self._max_user_bytes:,} 字节；"
                    "请先删除一些文件",
                ),
                code="storage_exceeded",
                param="file",
            )

    async def _entered(
        self, principal: Principal, file_id: str, kept: Kept, filename: str, purpose: str, expires_after_s: int | None
    ) -> StoredFile:
        row = _row(principal.user_id, file_id, kept, filename, purpose, expires_after_s)
        try:
            if not kept.size_bytes:
                raise ApiError(400, principal.say("the file is empty", "文件为空"), code="empty_file", param="file")
            async with self._database.write() as session:
                await self.check_room(session, principal, kept.size_bytes)
                session.add(row)
        except BaseException:
            await anyio.to_thread.run_sync(self.vault.remove, [file_id])
            raise
        return row


def _row(
    user_id: str, file_id: str, kept: Kept, filename: str, purpose: str, expires_after_s: int | None
) -> StoredFile:
    now = now_ms()
    return StoredFile(
        id=file_id,
        user_id=user_id,
        filename=shown_name(filename),
        purpose=purpose,
        size_bytes=kept.size_bytes,
        sha256=kept.sha256,
        created_ms=now,
        expires_ms=None if expires_after_s is None else now + expires_after_s * 1000,
    )


def shown_name(filename: str) -> str:
    """A name for people to read: the last part of what may be a path, without characters that show as nothing or
    turn the reading direction."""
    readable = filename.encode("utf-8", "replace").decode()
    last = re.split(r"[/\\]", readable)[-1]
    return _CONTROLS.sub("", last).strip()[:_NAME_LENGTH] or "file"
