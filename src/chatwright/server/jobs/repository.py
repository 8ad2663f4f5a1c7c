"""The tables of jobs and their events."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from chatwright.server.database.tables import FineTuningEvent, FineTuningJob, User
from chatwright.server.identifiers import new_id, now_ms

VALIDATING, QUEUED, RUNNING, PAUSED = "validating_files", "queued", "running", "paused"
SUCCEEDED, FAILED, CANCELLED = "succeeded", "failed", "cancelled"
ACTIVE: Final = (VALIDATING, QUEUED, RUNNING)  # a supervisor has something to do
ENDED: Final = (SUCCEEDED, FAILED, CANCELLED)
RUN, PAUSE, CANCEL = "run", "pause", "cancel"  # wishes


async def find_job(session: AsyncSession, user_id: str, job_id: str) -> FineTuningJob | None:
    """Somebody's job."""
    query = select(FineTuningJob).where(FineTuningJob.id == job_id, FineTuningJob.user_id == user_id)
    return await session.scalar(query)


async def list_jobs(
    session: AsyncSession, user_id: str, *, limit: int, after: FineTuningJob | None, metadata: Mapping[str, str]
) -> list[FineTuningJob]:
    """Somebody's jobs, the newest first: those after ``after`` that have all of ``metadata``."""
    query = (
        select(FineTuningJob)
        .where(FineTuningJob.user_id == user_id)
        .order_by(FineTuningJob.created_ms.desc(), FineTuningJob.id.desc())
    )
    if after is not None:
        query = query.where(_older(after))
    if not metadata:
        return list(await session.scalars(query.limit(limit)))
    # A person has few jobs, and paths into JSON are quoted differently by each database.
    rows = [row for row in await session.scalars(query) if metadata.items() <= row.details.items()]
    return rows[:limit]


async def list_everybodys(session: AsyncSession, *, limit: int, after: str | None) -> list[tuple[FineTuningJob, User]]:
    """Jobs with their owners, the newest first: those after the job ``after``; an unknown one begins at the newest."""
    query = (
        select(FineTuningJob, User)
        .join(User, User.id == FineTuningJob.user_id)
        .order_by(FineTuningJob.created_ms.desc(), FineTuningJob.id.desc())
    )
    if after is not None and (last := await session.get(FineTuningJob, after)) is not None:
        query = query.where(_older(last))
    return [(job, owner) for job, owner in await session.execute(query.limit(limit))]


async def jobs_to_do(session: AsyncSession) -> list[FineTuningJob]:
    """Jobs that are to be validated, trained or watched, the oldest first."""
    query = select(FineTuningJob).where(FineTuningJob.status.in_(ACTIVE)).order_by(FineTuningJob.created_ms)
    return list(await session.scalars(query))


async def jobs_with_folder(session: AsyncSession, job_ids: Sequence[str]) -> set[str]:
    """Those of some jobs that exist and were not cancelled."""
    query = select(FineTuningJob.id).where(FineTuningJob.id.in_(job_ids), FineTuningJob.status != CANCELLED)
    return set(await session.scalars(query))


async def claim(session: AsyncSession, job_id: str, owner: str, *, until_ms: int) -> bool:
    """Take a job, or keep it, until a time; False where another machine has it."""
    free = or_(
        FineTuningJob.lease_owner.is_(None),
        FineTuningJob.lease_owner == owner,
        FineTuningJob.lease_until_ms < now_ms(),
    )
    claimed = await session.execute(
        update(FineTuningJob)
        .where(FineTuningJob.id == job_id, FineTuningJob.status.in_(ACTIVE), free)
        .values(lease_owner=owner, lease_until_ms=until_ms)
        .returning(FineTuningJob.id)
    )
    return claimed.scalar() is not None


async def change(session: AsyncSession, job_id: str, expected: Sequence[str], **values: Any) -> bool:
    """Change a job that is in one of the expected states; False where it is not."""
    changed = await session.execute(
        update(FineTuningJob)
        .where(FineTuningJob.id == job_id, FineTuningJob.status.in_(expected))
        .values(**values)
        .returning(FineTuningJob.id)
    )
    return changed.scalar() is not None


async def add_event(
    session: AsyncSession,
    job_id: str,
    message: str,
    *,
    level: str = "info",
    data: Mapping[str, Any] | None = None,
    event_id: str | None = None,
) -> None:
    """Tell what happened. With ``data`` of metrics the event is one of metrics.

    Args:
        session: of the database.
        job_id: to which it happened.
        message: for people.
        level: "info", "warn" or "error".
        data: figures.
        event_id: makes it one of a kind: the same is told once.
    """
    if event_id is not None and await session.get(FineTuningEvent, event_id) is not None:
        return
    last = select(func.coalesce(func.max(FineTuningEvent.position), 0)).where(FineTuningEvent.job_id == job_id)
    session.add(
        FineTuningEvent(
            id=event_id or new_id("ftevent-"),
            job_id=job_id,
            position=int(await session.scalar(last) or 0) + 1,
            level=level,
            kind="message" if data is None else "metrics",
            message=message,
            data=dict(data or {}),
            created_ms=now_ms(),
        )
    )
    await session.flush()


async def find_event(session: AsyncSession, job_id: str, event_id: str) -> FineTuningEvent | None:
    """An event of a job."""
    query = select(FineTuningEvent).where(FineTuningEvent.id == event_id, FineTuningEvent.job_id == job_id)
    return await session.scalar(query)


async def list_events(
    session: AsyncSession, job_id: str, *, limit: int, before: FineTuningEvent | None
) -> list[FineTuningEvent]:
    """Events of a job, the newest first: those that came before ``before``."""
    query = (
        select(FineTuningEvent)
        .where(FineTuningEvent.job_id == job_id)
        .order_by(FineTuningEvent.position.desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(FineTuningEvent.position < before.position)
    return list(await session.scalars(query))


def _older(job: FineTuningJob) -> ColumnElement[bool]:
    """Created before a job; of those created together, the one with the smaller id is older."""
    together = (FineTuningJob.created_ms == job.created_ms) & (FineTuningJob.id < job.id)
    return or_(FineTuningJob.created_ms < job.created_ms, together)
