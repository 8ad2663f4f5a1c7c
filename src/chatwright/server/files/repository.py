"""The tables of files and uploads. What is past its time is as absent as what belongs to somebody else."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from chatwright.server.database.tables import StoredFile, Upload, UploadPart
from chatwright.server.identifiers import now_ms

PENDING, COMPLETED, CANCELLED = "pending", "completed", "cancelled"


async def find_file(session: AsyncSession, user_id: str, file_id: str) -> StoredFile | None:
    """Somebody's file."""
    return await session.scalar(select(StoredFile).where(StoredFile.id == file_id, *_files_of(user_id)))


async def list_files(
    session: AsyncSession,
    user_id: str,
    *,
    limit: int,
    after: StoredFile | None,
    newest_first: bool,
    purpose: str | None,
) -> list[StoredFile]:
    """Somebody's files by time.

    Args:
        session: of the database.
        user_id: whose.
        limit: how many at most.
        after: the file before the first.
        newest_first: the order.
        purpose: only files that are for this.
    """
    query = select(StoredFile).where(*_files_of(user_id)).limit(limit)
    if purpose is not None:
        query = query.where(StoredFile.purpose == purpose)
    columns = (StoredFile.created_ms, StoredFile.id)
    query = query.order_by(*(column.desc() if newest_first else column.asc() for column in columns))
    if after is not None:
        time, same_time = StoredFile.created_ms, StoredFile.created_ms == after.created_ms
        beyond = time < after.created_ms if newest_first else time > after.created_ms
        later = StoredFile.id < after.id if newest_first else StoredFile.id > after.id
        query = query.where(or_(beyond, same_time & later))
    return list(await session.scalars(query))


async def stored_bytes(session: AsyncSession, user_id: str) -> int:
    """What somebody's files take, parts of unfinished uploads included."""
    files = select(func.coalesce(func.sum(StoredFile.size_bytes), 0)).where(StoredFile.user_id == user_id)
    parts = (
        select(func.coalesce(func.sum(UploadPart.size_bytes), 0))
        .join(Upload, Upload.id == UploadPart.upload_id)
        .where(Upload.user_id == user_id)
    )
    return int(await session.scalar(files) or 0) + int(await session.scalar(parts) or 0)


async def find_upload(session: AsyncSession, user_id: str, upload_id: str) -> Upload | None:
    """Somebody's upload, whatever became of it."""
    return await session.scalar(select(Upload).where(Upload.id == upload_id, Upload.user_id == user_id))


async def parts_of(session: AsyncSession, upload_id: str) -> list[UploadPart]:
    """The parts that have arrived."""
    return list(await session.scalars(select(UploadPart).where(UploadPart.upload_id == upload_id)))


async def end_upload(session: AsyncSession, upload_id: str, status: str, *, file_id: str | None = None) -> bool:
    """Let a pending upload be completed or cancelled; False where another request was faster.

    Its parts are forgotten.
    """
    ended = await session.execute(
        update(Upload)
        .where(Upload.id == upload_id, Upload.status == PENDING)
        .values(status=status, file_id=file_id)
        .returning(Upload.id)
    )
    if ended.scalar() is None:
        return False
    await session.execute(delete(UploadPart).where(UploadPart.upload_id == upload_id))
    return True


async def forget_expired(session: AsyncSession) -> None:
    """Drop the rows of files that are past their time, and the parts of uploads that were never completed."""
    now = now_ms()
    await session.execute(delete(StoredFile).where(StoredFile.expires_ms <= now))
    stale = select(Upload.id).where(Upload.expires_ms <= now, Upload.status == PENDING)
    await session.execute(delete(UploadPart).where(UploadPart.upload_id.in_(stale)))


async def known_ids(session: AsyncSession, candidates: Sequence[str]) -> set[str]:
    """Those of some ids that a file or a part has."""
    files = await session.scalars(select(StoredFile.id).where(StoredFile.id.in_(candidates)))
    parts = await session.scalars(select(UploadPart.id).where(UploadPart.id.in_(candidates)))
    return {*files, *parts}


async def ids_of(session: AsyncSession, user_id: str) -> list[str]:
    """Every file and part of somebody, on disk under these names."""
    files = await session.scalars(select(StoredFile.id).where(StoredFile.user_id == user_id))
    parts = await session.scalars(
        select(UploadPart.id).join(Upload, Upload.id == UploadPart.upload_id).where(Upload.user_id == user_id)
    )
    return [*files, *parts]


def _files_of(user_id: str) -> tuple[ColumnElement[bool], ...]:
    in_time = or_(StoredFile.expires_ms.is_(None), StoredFile.expires_ms > now_ms())
    return StoredFile.user_id == user_id, in_time
