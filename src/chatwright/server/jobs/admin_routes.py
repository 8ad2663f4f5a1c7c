"""Everybody's fine-tuning jobs, for administrators: what is trained, how far it is, and a way to stop it.

Nothing here says what anybody wrote: events hold figures, and the numbers of lines that cannot be used. Samples, which
quote the data, are for whoever may read it.
"""

from dataclasses import replace
from typing import Annotated, Self

from fastapi import APIRouter, Query, Request
from sqlalchemy import select

from chatwright.server.accounts.shapes import Page
from chatwright.server.database.tables import FineTuningJob, User
from chatwright.server.errors import REFUSALS, not_found
from chatwright.server.fields import PageSize, PathId, QueryId
from chatwright.server.jobs import repository
from chatwright.server.jobs.schemas import EventList, EventObject, JobDeleted, JobObject, JobSample, SampleList
from chatwright.server.policy import allow
from chatwright.server.principal import Principal
from chatwright.server.services import Services, services

router = APIRouter(prefix="/api/admin/jobs", tags=["administration"], responses=REFUSALS)

Admin = Annotated[Principal, allow("admin", scope="admin")]


class OwnedJob(JobObject):
    """A job, and whose it is."""

    user_id: str
    user_name: str

    @classmethod
    def owned(cls, row: FineTuningJob, owner: User) -> Self:
        """The job in a row."""
        return cls(**JobObject.of(row).model_dump(), user_id=owner.id, user_name=owner.name)


@router.get("")
async def list_all_jobs(request: Request, _: Admin, limit: PageSize = 50, after: QueryId = None) -> Page[OwnedJob]:
    """Jobs of everybody, the newest first."""
    async with services(request).database.read() as session:
        rows = await repository.list_everybodys(session, limit=limit + 1, after=after)
    jobs = [OwnedJob.owned(job, owner) for job, owner in rows]
    return Page[OwnedJob].of(jobs, [job.id for job in jobs], limit)


@router.get("/{job_id}")
async def read_job(request: Request, _: Admin, job_id: PathId) -> OwnedJob:
    """One job."""
    return OwnedJob.owned(*await _owned(services(request), job_id))


@router.get("/{job_id}/events")
async def list_job_events(
    request: Request,
    admin: Admin,
    job_id: PathId,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    after: QueryId = None,
) -> EventList:
    """What happened to a job, the newest first; steps and evaluations are events of type metrics."""
    found = services(request)
    owner = await _in_place_of_owner(found, admin, job_id)
    rows, has_more = await found.jobs.events(owner, job_id, limit=limit, after=after)
    return EventList(data=[EventObject.of(row) for row in rows], has_more=has_more)


@router.get("/{job_id}/samples")
async def list_job_samples(request: Request, admin: Admin, job_id: PathId) -> SampleList:
    """What the model answered to some questions of its data as it learned, where the administrator may read them."""
    found = services(request)
    owner = await _in_place_of_owner(found, admin, job_id)
    if owner.user_id != admin.user_id and not await found.privacy.admins_may_read():
        return SampleList(data=[], may_read=False)
    samples = await found.jobs.samples(owner, job_id)
    return SampleList(data=[JobSample.model_validate(sample) for sample in samples], may_read=True)


@router.post("/{job_id}/pause")
async def pause_job(request: Request, admin: Admin, job_id: PathId) -> OwnedJob:
    """Let a job rest; what it has learned is kept."""
    found = services(request)
    await found.jobs.pause(await _in_place_of_owner(found, admin, job_id), job_id)
    return await _noted(found, admin, "job.pause", job_id)


@router.post("/{job_id}/resume")
async def resume_job(request: Request, admin: Admin, job_id: PathId) -> OwnedJob:
    """Let a paused job go on where it stopped."""
    found = services(request)
    await found.jobs.resume(await _in_place_of_owner(found, admin, job_id), job_id)
    return await _noted(found, admin, "job.resume", job_id)


@router.post("/{job_id}/cancel")
async def cancel_job(request: Request, admin: Admin, job_id: PathId) -> OwnedJob:
    """Give a job up; what it has learned is lost."""
    found = services(request)
    await found.jobs.cancel(await _in_place_of_owner(found, admin, job_id), job_id)
    return await _noted(found, admin, "job.cancel", job_id)


@router.delete("/{job_id}")
async def delete_job(request: Request, admin: Admin, job_id: PathId) -> JobDeleted:
    """Remove a job with its model and everything on disk."""
    found = services(request)
    await found.jobs.delete(await _in_place_of_owner(found, admin, job_id), job_id)
    await found.audit.record(admin, "job.delete", job_id)
    return JobDeleted(id=job_id)


async def _owned(found: Services, job_id: str) -> tuple[FineTuningJob, User]:
    async with found.database.read() as session:
        query = select(FineTuningJob, User).join(User, User.id == FineTuningJob.user_id)
        row = (await session.execute(query.where(FineTuningJob.id == job_id))).first()
    if row is None:
        raise not_found("fine-tuning job", job_id)
    return row[0], row[1]


async def _in_place_of_owner(found: Services, admin: Principal, job_id: str) -> Principal:
    """The administrator with the owner's rights to the job: the service knows only people's own jobs."""
    _, owner = await _owned(found, job_id)
    return replace(admin, user_id=owner.id)


async def _noted(found: Services, admin: Principal, action: str, job_id: str) -> OwnedJob:
    await found.audit.record(admin, action, job_id)
    return OwnedJob.owned(*await _owned(found, job_id))
