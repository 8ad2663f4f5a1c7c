"""What people may do with jobs."""

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio.to_thread
from sqlalchemy import delete, select

from chatwright.server.database import Database
from chatwright.server.database.tables import FineTuningEvent, FineTuningJob, ServedModel
from chatwright.server.errors import ApiError, not_found
from chatwright.server.files import Files
from chatwright.server.identifiers import new_id, now_ms
from chatwright.server.jobs import repository
from chatwright.server.jobs.child import TrainingProcess
from chatwright.server.jobs.folder import Checkpoint, MetricsTail
from chatwright.server.jobs.schemas import NewJob
from chatwright.server.jobs.supervision import Workshop
from chatwright.server.jobs.supervisor import Supervisor
from chatwright.server.principal import Principal


class Jobs:
    """Fine-tuning jobs of people.

    Args:
        workshop: what jobs are done with.
        supervisor: is told that there is something to do.
    """

    def __init__(self, workshop: Workshop, supervisor: Supervisor) -> None:
        self._shop = workshop
        self._supervisor = supervisor

    @property
    def _database(self) -> Database:
        return self._shop.database

    @property
    def _files(self) -> Files:
        return self._shop.files

    async def create(self, principal: Principal, wanted: NewJob) -> FineTuningJob:
        """Ask for a model to be fine-tuned.

        Raises:
            ApiError: 400 or 404: model or files cannot be used. What is in the files is checked later: the job fails.
        """
        await self._shop.models.check(principal, wanted.model)
        await self._check_file(principal, wanted.training_file, "training_file")
        if wanted.validation_file is not None:
            await self._check_file(principal, wanted.validation_file, "validation_file")
        method = wanted.chosen_method
        job = FineTuningJob(
            id=new_id("ftjob-"),
            user_id=principal.user_id,
            model=wanted.model,
            training_file=wanted.training_file,
            validation_file=wanted.validation_file,
            method={"type": method.type, "hyperparameters": method.hyperparameters.model_dump()},
            seed=secrets.randbelow(2**31 - 1) if wanted.seed is None else wanted.seed,
            suffix=wanted.suffix,
            details=wanted.metadata or {},
            status=repository.VALIDATING,
            wish=repository.RUN,
            result_files=[],
            created_ms=now_ms(),
        )
        async with self._database.write() as session:
            session.add(job)
            await session.flush()
            await repository.add_event(session, job.id, f"Created fine-tuning job: {job.id}")
            await repository.add_event(session, job.id, f"Validating training file: {job.training_file}")
        self._supervisor.wake()
        return job

    async def get(self, principal: Principal, job_id: str) -> FineTuningJob:
        """Somebody's job.

        Raises:
            ApiError: 404 where it is not theirs, or not at all.
        """
        async with self._database.read() as session:
            job = await repository.find_job(session, principal.user_id, job_id)
        if job is None:
            raise not_found("fine-tuning job", job_id)
        return job

    async def listed(
        self, principal: Principal, *, limit: int, after: str | None, metadata: Mapping[str, str]
    ) -> tuple[list[FineTuningJob], bool]:
        """Somebody's jobs, the newest first, and whether there are more."""
        last = None if after is None else await self.get(principal, after)
        async with self._database.read() as session:
            rows = await repository.list_jobs(
                session, principal.user_id, limit=limit + 1, after=last, metadata=metadata
            )
        return rows[:limit], len(rows) > limit

    async def events(
        self, principal: Principal, job_id: str, *, limit: int, after: str | None
    ) -> tuple[list[FineTuningEvent], bool]:
        """What happened to a job, the newest first, and whether there is more."""
        job = await self.get(principal, job_id)
        async with self._database.read() as session:
            last = None if after is None else await repository.find_event(session, job.id, after)
            if after is not None and last is None:
                raise not_found("event", after)
            rows = await repository.list_events(session, job.id, limit=limit + 1, before=last)
        return rows[:limit], len(rows) > limit

    async def checkpoints(self, principal: Principal, job_id: str) -> tuple[FineTuningJob, list[Checkpoint]]:
        """The job, and the states of its training that are kept, the newest first."""
        job = await self.get(principal, job_id)
        found = await anyio.to_thread.run_sync(self._shop.folder_of(job.id).checkpoints)
        return job, found[::-1]

    async def samples(self, principal: Principal, job_id: str) -> list[dict[str, Any]]:
        """What the model answered as it learned, the newest first. Raises ApiError: 404 for no job of theirs."""
        job = await self.get(principal, job_id)
        tail = MetricsTail(self._shop.folder_of(job.id).samples)
        return (await anyio.to_thread.run_sync(tail.read))[::-1]

    async def pause(self, principal: Principal, job_id: str) -> FineTuningJob:
        """Let a job rest. One that is being trained is "paused" as soon as its checkpoint is written.

        Raises:
            ApiError: 404 for no job of theirs, 400 for one that is paused already or has ended.
        """
        await self._changed(
            principal, job_id, "paused", {"wish": repository.PAUSE, "status": repository.PAUSED},
            (repository.VALIDATING, repository.QUEUED), {"wish": repository.PAUSE}, (repository.RUNNING,),
        )  # fmt: skip
        return await self.get(principal, job_id)

    async def resume(self, principal: Principal, job_id: str) -> FineTuningJob:
        """Let a paused job go on. Raises as :meth:`pause`."""
        await self._changed(
            principal, job_id, "resumed", {"wish": repository.RUN, "status": repository.QUEUED},
            (repository.PAUSED,), {"wish": repository.RUN}, (repository.RUNNING,),
        )  # fmt: skip
        return await self.get(principal, job_id)

    async def cancel(self, principal: Principal, job_id: str) -> FineTuningJob:
        """Give a job up; what it has learned is lost. Raises as :meth:`pause`."""
        values = {
            "wish": repository.CANCEL,
            "status": repository.CANCELLED,
            "finished_ms": now_ms(),
            "estimated_finish_ms": None,
        }
        await self._changed(principal, job_id, "cancelled", values, (*repository.ACTIVE, repository.PAUSED))
        return await self.get(principal, job_id)

    async def delete(self, principal: Principal, job_id: str) -> None:
        """Remove a job, the model that came of it, and all that is on disk. Raises ApiError: 404."""
        job = await self.get(principal, job_id)
        await self._remove([job.id])

    async def erase(self, user_id: str) -> None:
        """Remove all jobs of somebody and their models, before the account itself goes."""
        async with self._database.read() as session:
            ids = list(await session.scalars(select(FineTuningJob.id).where(FineTuningJob.user_id == user_id)))
        await self._remove(ids)

    async def model_removed(self, row: ServedModel) -> None:
        """Remove the files of a model that is served no longer: of a checkpoint its own, else all of the job's."""
        if row.job_id is None:
            return
        async with self._database.write() as session:
            job = await session.get(FineTuningJob, row.job_id)
            is_checkpoint = job is not None and job.fine_tuned_model != row.name
            if not is_checkpoint:
                await session.execute(delete(ServedModel).where(ServedModel.job_id == row.job_id))
        folder = self._shop.folder_of(row.job_id)
        if is_checkpoint:
            await anyio.to_thread.run_sync(folder.remove_checkpoint, Path(row.source).name)
        else:
            await anyio.to_thread.run_sync(folder.remove)

    async def _remove(self, job_ids: list[str]) -> None:
        async with self._database.write() as session:
            await session.execute(delete(ServedModel).where(ServedModel.job_id.in_(job_ids)))
            await session.execute(delete(FineTuningJob).where(FineTuningJob.id.in_(job_ids)))
        for job_id in job_ids:
            await anyio.to_thread.run_sync(self._discard, job_id)

    def _discard(self, job_id: str) -> None:
        folder = self._shop.folder_of(job_id)
        TrainingProcess.end(folder)
        folder.remove()

    async def _check_file(self, principal: Principal, file_id: str, param: str) -> None:
        try:
            file = await self._files.get(principal, file_id)
        except ApiError as error:
            raise ApiError(400, f"{param}: {error}", code="file_not_found", param=param) from None
        if file.purpose != "fine-tune":
            message = principal.say(
                f"{param}: the file is for {file.purpose!r}, not for 'fine-tune'",
                f"{param}：该文件的用途是 {file.purpose!r}，而不是 'fine-tune'",
            )
            raise ApiError(400, message, code="invalid_file", param=param)

    async def _changed(
        self,
        principal: Principal,
        job_id: str,
        verb: str,
        values: Mapping[str, Any],
        states: tuple[str, ...],
        other_values: Mapping[str, Any] | None = None,
        other_states: tuple[str, ...] = (),
    ) -> None:
        """Change a job that is in one of ``states``, or otherwise one that is in one of ``other_states``."""
        job = await self.get(principal, job_id)
        async with self._database.write() as session:
            moved = await repository.change(session, job.id, states, **values)
            if moved:
                await repository.add_event(session, job.id, f"Fine-tuning job {verb}")
            elif other_values is not None:
                moved = await repository.change(session, job.id, other_states, **other_values)
        if not moved:
            status = (await self.get(principal, job_id)).status
            message = principal.say(
                f"the job is {status} and cannot be {verb}", f"任务当前状态为 {status}，无法执行此操作"
            )
            raise ApiError(400, message, code="invalid_job_state")
        self._supervisor.wake()
