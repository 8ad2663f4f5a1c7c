"""``/v1/fine_tuning/jobs``: OpenAI's Fine-tuning API, with pause and resume."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request

from chatwright.server.errors import REFUSALS, ApiError
from chatwright.server.fields import PathId, QueryId
from chatwright.server.jobs.jobs import Jobs
from chatwright.server.jobs.schemas import (
    CheckpointList,
    CheckpointObject,
    EventList,
    EventObject,
    JobDeleted,
    JobList,
    JobObject,
    NewJob,
)
from chatwright.server.policy import allow
from chatwright.server.principal import Principal
from chatwright.server.services import Services, services

router = APIRouter(prefix="/v1/fine_tuning/jobs", tags=["fine-tuning"], responses=REFUSALS)

Caller = Annotated[Principal, allow("user", scope="fine_tuning")]
Limit = Annotated[int, Query(ge=1, le=100)]


def _jobs(all_services: Annotated[Services, Depends(services)]) -> Jobs:
    return all_services.jobs


TheJobs = Annotated[Jobs, Depends(_jobs)]


def _wanted_metadata(request: Request) -> dict[str, str]:
    """``metadata[k]=v`` of the query."""
    wanted = {
        name[len("metadata[") : -1]: value
        for name, value in request.query_params.items()
        if name.startswith("metadata[") and name.endswith("]")
    }
    if any("\0" in part or not 0 < len(name) <= 64 for name, value in wanted.items() for part in (name, value)):
        raise ApiError(400, "metadata has a key or value that no job can have", code="invalid_value", param="metadata")
    return wanted


@router.post("", response_model=JobObject)
async def create(principal: Caller, jobs: TheJobs, body: NewJob) -> JobObject:
    """Have a model fine-tuned. Its files are checked first: where a line is of no use, the job fails and says which."""
    return JobObject.of(await jobs.create(principal, body))


@router.get("", response_model=JobList)
async def list_jobs(
    principal: Caller,
    jobs: TheJobs,
    metadata: Annotated[dict[str, str], Depends(_wanted_metadata)],
    limit: Limit = 20,
    after: QueryId = None,
) -> JobList:
    """List jobs, the newest first."""
    rows, has_more = await jobs.listed(principal, limit=limit, after=after, metadata=metadata)
    return JobList(data=[JobObject.of(row) for row in rows], has_more=has_more)


@router.get("/{job_id}", response_model=JobObject)
async def retrieve(principal: Caller, jobs: TheJobs, job_id: PathId) -> JobObject:
    """One job."""
    return JobObject.of(await jobs.get(principal, job_id))


@router.get("/{job_id}/events", response_model=EventList)
async def list_events(
    principal: Caller, jobs: TheJobs, job_id: PathId, limit: Limit = 20, after: QueryId = None
) -> EventList:
    """What happened to a job, the newest first; steps and evaluations are events of type metrics."""
    rows, has_more = await jobs.events(principal, job_id, limit=limit, after=after)
    return EventList(data=[EventObject.of(row) for row in rows], has_more=has_more)


@router.get("/{job_id}/checkpoints", response_model=CheckpointList)
async def list_checkpoints(
    principal: Caller, jobs: TheJobs, job_id: PathId, limit: Limit = 10, after: QueryId = None
) -> CheckpointList:
    """The states of training that are kept, the newest first."""
    job, found = await jobs.checkpoints(principal, job_id)
    data = [CheckpointObject.of(job, checkpoint) for checkpoint in found]
    if after is not None:
        ids = [checkpoint.id for checkpoint in data]
        if after not in ids:
            raise ApiError(400, f"after: the job has no checkpoint {after!r}", code="invalid_value", param="after")
        data = data[ids.index(after) + 1 :]
    page = data[:limit]
    first, last = (page[0].id, page[-1].id) if page else (None, None)
    return CheckpointList(data=page, first_id=first, last_id=last, has_more=len(data) > limit)


@router.post("/{job_id}/cancel", response_model=JobObject)
async def cancel(principal: Caller, jobs: TheJobs, job_id: PathId) -> JobObject:
    """Give a job up."""
    return JobObject.of(await jobs.cancel(principal, job_id))


@router.post("/{job_id}/pause", response_model=JobObject)
async def pause(principal: Caller, jobs: TheJobs, job_id: PathId) -> JobObject:
    """Let a job rest; what it has learned is kept."""
    return JobObject.of(await jobs.pause(principal, job_id))


@router.post("/{job_id}/resume", response_model=JobObject)
async def resume(principal: Caller, jobs: TheJobs, job_id: PathId) -> JobObject:
    """Let a paused job go on where it stopped."""
    return JobObject.of(await jobs.resume(principal, job_id))


@router.delete("/{job_id}", response_model=JobDeleted)
async def delete(principal: Caller, jobs: TheJobs, job_id: PathId) -> JobDeleted:
    """Remove a job with its model and everything on disk. OpenAI has nothing like it."""
    await jobs.delete(principal, job_id)
    return JobDeleted(id=job_id)
