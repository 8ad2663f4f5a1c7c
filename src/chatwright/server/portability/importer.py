"""Imports in the background: a file is read in a thread, batch by batch, and each batch is a transaction.

A job holds a lease while it runs. When its server is gone, another (or the same, started anew) takes the job over and
reads the file from the start: what is there already is not written twice.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, Final

import anyio
from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError

from chatwright.errors import InputError
from chatwright.server.database import Database
from chatwright.server.database.tables import ImportJob
from chatwright.server.errors import ApiError, not_found
from chatwright.server.identifiers import new_id, now_ms
from chatwright.server.portability.archive import Archive
from chatwright.server.portability.conversation import PortableConversation
from chatwright.server.portability.parse import parse_entry
from chatwright.server.portability.report import Skipped
from chatwright.server.portability.store import store
from chatwright.server.principal import Principal
from chatwright.server.privacy import PrivacyPolicy

log = logging.getLogger(__name__)

MAX_CONVERSATIONS: Final = 100_000
_LEASE_MS: Final = 60_000
_LOOK_EVERY_S: Final = 30.0
_KEPT_REPORTS: Final = 20
_BATCH_MESSAGES: Final = 1_000
_BATCH_S: Final = 0.5


class Importer:
    """Imports files for people, one at a time for each of them and two at a time for all.

    Args:
        database: where conversations go.
        privacy: what is taken out of texts before they are stored.
        folder: for files until they are imported.
    """

    def __init__(self, database: Database, privacy: PrivacyPolicy, folder: Path) -> None:
        self._database = database
        self._privacy = privacy
        self._folder = folder
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._places = asyncio.Semaphore(2)

    def new_path(self) -> tuple[str, Path]:
        """The id of a job to be, and where its file is to be written."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        job_id = new_id("import_")
        return job_id, self._folder / job_id

    async def begin(self, principal: Principal, job_id: str, filename: str) -> ImportJob:
        """Start to import the file that lies at the job's path.

        Raises:
            ApiError: 409 while another import of this person runs.
        """
        now = now_ms()
        job = ImportJob(
            id=job_id,
            user_id=principal.user_id,
            filename=filename,
            status="running",
            total_bytes=(self._folder / job_id).stat().st_size,
            read_bytes=0,
            conversations=0,
            grown=0,
            messages=0,
            skipped={},
            error="",
            lease_until_ms=now + _LEASE_MS,
            created_ms=now,
            updated_ms=now,
        )
        async with self._database.write() as session:
            own = select(ImportJob).where(ImportJob.user_id == principal.user_id)
            if await session.scalar(
                select(func.count()).select_from(own.where(ImportJob.status == "running").subquery())
            ):
                raise ApiError(
                    409,
                    principal.say("another import is running; wait until it ends", "已有导入正在进行，请等待其完成"),
                    code="import_running",
                )
            old = own.order_by(ImportJob.created_ms.desc()).offset(_KEPT_REPORTS)
            for row in await session.scalars(old):
                await session.delete(row)
            session.add(job)
        self._start(job_id)
        return job

    async def jobs(self, user_id: str) -> list[ImportJob]:
        """A person's imports, the newest first."""
        query = select(ImportJob).where(ImportJob.user_id == user_id).order_by(ImportJob.created_ms.desc())
        async with self._database.read() as session:
            return list(await session.scalars(query))

    async def job(self, user_id: str, job_id: str) -> ImportJob:
        """One of a person's imports. Raises ApiError (404)."""
        async with self._database.read() as session:
            row = await session.get(ImportJob, job_id)
        if row is None or row.user_id != user_id:
            raise not_found("import", job_id)
        return row

    async def cancel(self, user_id: str, job_id: str) -> ImportJob:
        """Stop an import; what is imported stays. Raises ApiError (404)."""
        await self.job(user_id, job_id)
        running = (ImportJob.id == job_id, ImportJob.user_id == user_id, ImportJob.status == "running")
        async with self._database.write() as session:
            await session.execute(update(ImportJob).where(*running).values(status="cancelled", updated_ms=now_ms()))
        return await self.job(user_id, job_id)

    async def watch(self) -> None:
        """Take over what other servers left behind; runs until it is cancelled."""
        while True:
            try:
                await self.take_over()
            except Exception:  # a database that is away for a moment must not end the watch
                log.exception("abandoned imports could not be looked for; trying again")
            await asyncio.sleep(_LOOK_EVERY_S)

    async def take_over(self) -> None:
        """Go on with imports whose server is gone, and remove files that belong to none."""
        now = now_ms()
        abandoned = (ImportJob.status == "running", ImportJob.lease_until_ms < now)
        if self._tasks:  # those that wait for a place or for a slow file are not abandoned
            async with self._database.write() as session:
                own = update(ImportJob).where(ImportJob.id.in_(list(self._tasks)))
                await session.execute(own.values(lease_until_ms=now + _LEASE_MS))
        async with self._database.read() as session:
            found = list(await session.scalars(select(ImportJob.id).where(*abandoned)))
        for job_id in found:
            if not (self._folder / job_id).exists():
                continue  # another machine has the file
            async with self._database.write() as session:
                claim = update(ImportJob).where(ImportJob.id == job_id, *abandoned)
                claimed = await session.execute(claim.values(lease_until_ms=now + _LEASE_MS).returning(ImportJob.id))
                mine = claimed.first() is not None
            if mine:
                self._start(job_id)
        await self._remove_orphans()

    async def _remove_orphans(self) -> None:
        """Files of accounts that were deleted and of jobs that ended as their server did."""
        files = await anyio.to_thread.run_sync(self._old_files)
        if not files:
            return
        async with self._database.read() as session:
            running = set(
                await session.scalars(
                    select(ImportJob.id).where(ImportJob.id.in_(list(files)), ImportJob.status == "running")
                )
            )
        for name, path in files.items():
            if name not in running:
                path.unlink(missing_ok=True)

    def _old_files(self) -> dict[str, Path]:
        """Files by name that are not just being written: a file is there before its job is."""
        if not self._folder.is_dir():
            return {}
        before = time.time() - _LEASE_MS / 1000
        return {path.name: path for path in self._folder.iterdir() if path.stat().st_mtime < before}

    async def close(self) -> None:
        """Stop; whoever takes the jobs over goes on with them."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _start(self, job_id: str) -> None:
        task = asyncio.create_task(self._run(job_id), name=f"import {job_id}")
        self._tasks[job_id] = task
        task.add_done_callback(lambda _: self._tasks.pop(job_id, None))

    async def _run(self, job_id: str) -> None:
        path = self._folder / job_id
        async with self._places:
            try:
                await self._import(job_id, path)
                ending: dict[str, Any] = {"status": "complete"}
            except InputError as error:
                ending = {"status": "failed", "error": str(error)}
            except IntegrityError:  # the account was deleted in the middle
                ending = {"status": "cancelled"}
            except _Over:
                ending = {}
            except Exception:
                log.exception("an import failed")
                ending = {"status": "failed", "error": "this is a bug of the server; its log has the details"}
            if ending:
                async with self._database.write() as session:
                    running = update(ImportJob).where(ImportJob.id == job_id, ImportJob.status == "running")
                    await session.execute(running.values(**ending, updated_ms=now_ms()))
            path.unlink(missing_ok=True)

    async def _import(self, job_id: str, path: Path) -> None:
        async with self._database.read() as session:
            job = await session.get(ImportJob, job_id)
        if job is None or job.status != "running":
            raise _Over
        before = job.conversations + job.grown  # of an attempt that was cut off; now they count as imported before
        reader = await anyio.to_thread.run_sync(_Reader, path, self._privacy)
        try:
            counts = {"conversations": job.conversations, "grown": job.grown, "messages": job.messages}
            while batch := await anyio.to_thread.run_sync(reader.batch):
                stored = await store(self._database, job.user_id, batch)
                for name in counts:
                    counts[name] += getattr(stored, name)
                known = min(before, stored.duplicates)
                before -= known
                reader.skipped.count("already_imported", stored.duplicates - known)
                reader.skipped.count("too_many_messages", stored.too_large)
                await self._progress(job_id, reader, counts)
            await self._progress(job_id, reader, counts)
        finally:
            reader.archive.close()

    async def _progress(self, job_id: str, reader: "_Reader", counts: dict[str, int]) -> None:
        """Say how far it is. Raises _Over when nobody wants it any more."""
        values = {
            **counts,
            "skipped": dict(reader.skipped),
            "read_bytes": reader.archive.read_bytes,
            "total_bytes": max(reader.archive.total_bytes, reader.archive.read_bytes),
        }
        now = now_ms()
        running = update(ImportJob).where(ImportJob.id == job_id, ImportJob.status == "running")
        async with self._database.write() as session:
            updated = await session.execute(
                running.values(**values, lease_until_ms=now + _LEASE_MS, updated_ms=now).returning(ImportJob.id)
            )
            wanted = updated.first() is not None
        if not wanted:
            raise _Over


class _Over(Exception):
    """The import was cancelled, or its account is gone."""


class _Reader:
    """The conversations of a file, in batches. Used in threads, by one at a time."""

    def __init__(self, path: Path, privacy: PrivacyPolicy) -> None:
        self.archive = Archive(path)
        self.skipped = Skipped()
        self._privacy = privacy
        self._conversations = islice(self._parsed(), MAX_CONVERSATIONS)

    def batch(self) -> list[PortableConversation]:
        """What half a second, or a thousand messages, bring; empty at the end of the file."""
        batch: list[PortableConversation] = []
        num_messages, until = 0, time.monotonic() + _BATCH_S
        for conversation in self._conversations:
            batch.append(conversation)
            num_messages += len(conversation.messages)
            if num_messages >= _BATCH_MESSAGES or time.monotonic() > until:
                break
        return batch

    def _parsed(self) -> Iterator[PortableConversation]:
        for entry in self.archive.entries(self.skipped):
            conversation = parse_entry(entry, self.skipped)
            if conversation is not None:
                yield self._for_storage(conversation)

    def _for_storage(self, conversation: PortableConversation) -> PortableConversation:
        keep = self._privacy.for_storage
        return replace(
            conversation,
            title=keep(conversation.title),
            system_prompt=keep(conversation.system_prompt),
            messages=tuple(
                replace(
                    message,
                    content=keep(message.content),
                    reasoning=keep(message.reasoning),
                    attachments=tuple({**item, "text": keep(item["text"])} for item in message.attachments),
                )
                for message in conversation.messages
            ),
        )


@asynccontextmanager
async def open_importer(database: Database, privacy: PrivacyPolicy, folder: Path) -> AsyncIterator[Importer]:
    """The imports of a running server."""
    importer = Importer(database, privacy, folder)
    watching = asyncio.create_task(importer.watch(), name="abandoned imports")
    try:
        yield importer
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await importer.close()
