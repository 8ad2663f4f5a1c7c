"""The end of a job that went well: its model is served, its figures are a file, its person is told; or none of it."""

import io
from pathlib import Path
from typing import Any

import anyio.to_thread
from sqlalchemy.dialects import postgresql, sqlite

from chatwright.model.digest import weights_digest
from chatwright.server.database import Database
from chatwright.server.database.tables import FineTuningJob, ServedModel
from chatwright.server.files import Files
from chatwright.server.identifiers import now_ms
from chatwright.server.jobs import repository
from chatwright.server.jobs.folder import JobFolder, MetricsTail
from chatwright.server.jobs.naming import checkpoint_name, model_name
from chatwright.server.jobs.results import metrics_csv


async def complete(database: Database, files: Files, job: FineTuningJob, folder: JobFolder) -> None:
    """Let a job succeed.

    Args:
        database, files: of the server.
        job: whose training has come to its end.
        folder: of the job.

    Raises:
        ApiError: 507 when the disk is too full for the file of the figures.
    """
    version = await anyio.to_thread.run_sync(weights_digest, folder.model)
    tokens = await anyio.to_thread.run_sync(folder.trained_tokens)
    checkpoints = await anyio.to_thread.run_sync(folder.keep_checkpoints)
    table = await anyio.to_thread.run_sync(lambda: metrics_csv(MetricsTail(folder.metrics).read()))
    result = await files.result(job.user_id, io.BytesIO(table), filename="step_metrics.csv")
    name, now = model_name(job), now_ms()
    rows = [_served(job, name, folder.model, version)]
    rows += [_served(job, checkpoint_name(job, each.step), each.path, "") for each in checkpoints]
    insert = (sqlite if database.is_sqlite else postgresql).insert(ServedModel)
    async with database.write() as session:
        ended = await repository.change(
            session,
            job.id,
            (repository.RUNNING,),
            status=repository.SUCCEEDED,
            fine_tuned_model=name,
            trained_tokens=tokens,
            result_files=[result.id],
            finished_ms=now,
            estimated_finish_ms=None,
        )
        if not ended:  # cancelled at the last moment; the sweep removes the file
            return
        session.add(result)
        await session.execute(insert.values(rows).on_conflict_do_nothing())
        await repository.add_event(session, job.id, f"New fine-tuned model created: {name}")
        await repository.add_event(session, job.id, "The job has successfully completed")
    await anyio.to_thread.run_sync(folder.tidy)


def _served(job: FineTuningJob, name: str, source: Path, version: str) -> dict[str, Any]:
    return {
        "name": name,
        "kind": "local",
        "source": str(source),
        "owner_id": job.user_id,
        "parent": job.model,
        "job_id": job.id,
        "version": version,
        "enabled": True,
        "options": {},
        "created_ms": now_ms(),
    }
