"""The service of jobs, and the supervisor that does them while the server runs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from chatwright.server.database import Database
from chatwright.server.files import Files
from chatwright.server.jobs.base_model import BaseModels
from chatwright.server.jobs.folder import JobFolder
from chatwright.server.jobs.jobs import Jobs
from chatwright.server.jobs.supervision import Workshop
from chatwright.server.jobs.supervisor import Supervisor
from chatwright.server.models.pool import ModelPool
from chatwright.server.privacy import PrivacyPolicy
from chatwright.server.settings import ServerSettings


@asynccontextmanager
async def open_jobs(
    settings: ServerSettings, database: Database, files: Files, models: ModelPool, privacy: PrivacyPolicy
) -> AsyncIterator[Jobs]:
    """Jobs, done while the block lasts.

    Args:
        settings: where runs lie, and how many at a time.
        database, files: of the server.
        models: that can be trained, and to which those are added that come of it.
        privacy: what may be trained on.
    """
    runs = (settings.runs_dir or settings.home / "runs").expanduser().resolve()
    workshop = Workshop(
        database=database,
        files=files,
        models=BaseModels(models),
        folder_of=lambda job_id: JobFolder(runs / job_id),
        device=settings.device,
        redact=privacy.for_training,
    )
    supervisor = Supervisor(workshop, runs, max_training=settings.max_fine_tuning_jobs)
    jobs = Jobs(workshop, supervisor)
    models.on_remove.append(jobs.model_removed)
    if not settings.max_fine_tuning_jobs:  # another machine does them
        yield jobs
        return
    working = asyncio.create_task(supervisor.run())
    try:
        yield jobs
    finally:
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working
