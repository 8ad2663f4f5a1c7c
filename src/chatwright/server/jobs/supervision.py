"""One job, from its files to its model: prepared, trained, told about, ended.

Everything is decided anew from what the database and the folder say, so that whoever takes over in the middle of it,
after a crash of the server or of the training process, goes on as if nothing had been.
"""

import asyncio
import logging
import re
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import anyio.to_thread
from sqlalchemy.exc import SQLAlchemyError

from chatwright.errors import ChatwrightError, StorageError
from chatwright.server.database import Database
from chatwright.server.database.tables import FineTuningJob, StoredFile
from chatwright.server.errors import ApiError
from chatwright.server.files import Files
from chatwright.server.identifiers import now_ms
from chatwright.server.jobs import repository
from chatwright.server.jobs.base_model import BaseModels
from chatwright.server.jobs.child import TrainingProcess
from chatwright.server.jobs.completion import complete
from chatwright.server.jobs.folder import JobFolder, MetricsTail
from chatwright.server.jobs.preparation import Interrupted, Order, Prepared, UnusableFileError, prepare
from chatwright.server.jobs.progress import reported

log = logging.getLogger(__name__)

_LOOK_EVERY_S: Final = 0.5
_STOP_PATIENCE_S: Final = 300.0  # a step of a large model may take long, and ends before its checkpoint
_MOST_DEATHS: Final = 3  # in a row, without a checkpoint in between
_STOPPED: Final = re.compile(r"stopped by SIG")  # how a run says that it was asked to stop, and has saved


@dataclass(frozen=True, slots=True)
class Workshop:
    """What jobs are done with.

    Attributes:
        database, files, models: of the server.
        folder_of: the folder of a job by its id.
        device: to train on.
        redact: see :class:`~chatwright.server.jobs.preparation.Order`.
        stopping: set when the server is being stopped.
    """

    database: Database
    files: Files
    models: BaseModels
    folder_of: Callable[[str], JobFolder]
    device: str
    redact: Callable[[str], str]
    stopping: threading.Event = field(default_factory=threading.Event)


class Supervision:
    """Sees one job through.

    Args:
        workshop: of the server.
        job_id: which.
    """

    def __init__(self, workshop: Workshop, job_id: str) -> None:
        self._shop = workshop
        self._id = job_id
        self._folder = workshop.folder_of(job_id)
        self._tail = MetricsTail(self._folder.metrics)
        self._epochs = 1
        self._saved: int | None = None  # the newest checkpoint that was told of

    async def validate(self) -> None:
        """Check the files; the job is queued then, or has failed."""
        async with self._bugs_end_the_job():
            if await self._prepare():
                message = "Files validated, moving job to queued state"
                await self._move((repository.VALIDATING,), message, status=repository.QUEUED)

    async def train(self) -> None:
        """Train until the job has ended or is paused. Cancelled, it leaves the training process to save and stop."""
        async with self._bugs_end_the_job():
            if await anyio.to_thread.run_sync(lambda: self._folder.is_prepared) or await self._prepare():
                await self._train()

    @asynccontextmanager
    async def _bugs_end_the_job(self) -> AsyncIterator[None]:
        """What nobody has thought of would happen again and again; a database that is away will be back."""
        try:
            yield
        except (SQLAlchemyError, OSError):
            raise
        except Exception as error:
            log.exception("a bug of Chatwright ended the fine-tuning job %s: %s", self._id, type(error).__name__)
            await self._fail("internal_error", "this is a bug of the server; its log has the details")

    async def _train(self) -> None:
        began = await self._move((repository.QUEUED,), "Fine-tuning job started", status=repository.RUNNING)
        deaths = 0
        while (job := await self._job()) is not None and job.status == repository.RUNNING:
            self._epochs = job.method["hyperparameters"]["n_epochs"]
            if deaths and not began:
                await self._tell("The training process ended; going on from the last checkpoint", level="warn")
            began, saved = False, await self._newest_step()
            process = await self._process()
            if process is None:
                return
            asked = await self._watch(process)
            if await self._settled(process, asked):
                return
            deaths = 1 if await self._newest_step() > saved else deaths + 1
            if deaths > _MOST_DEATHS:
                await self._fail(
                    "training_interrupted",
                    f"the training process ended {deaths} times without getting on; its memory may not suffice: "
                    "try a smaller batch_size or shorter examples",
                )
                return

    async def _prepare(self) -> bool:
        job = await self._job()
        if job is None:
            return False
        try:
            order = await self._order(job)
            prepared: Prepared = await anyio.to_thread.run_sync(prepare, self._folder, order, self._shop.stopping)
        except Interrupted:
            return False
        except UnusableFileError as error:
            await self._fail("invalid_file", str(error), param=error.param)
            return False
        except ApiError as error:
            await self._fail(error.code or "invalid_job", str(error), param=error.param)
            return False
        except StorageError:
            await self._fail("disk_full", "the server has no room for the job's data")
            return False
        except ChatwrightError as error:  # about the model, and names its folder
            log.warning("fine-tuning job %s cannot be prepared: %s", self._id, error)
            await self._fail("model_not_trainable", "the model cannot be trained here; the server's log says why")
            return False
        except OSError as error:
            await self._fail("disk_full", f"the server cannot keep the job's data: {error.strerror or error}")
            return False
        for note in prepared.notes:
            await self._tell(note)
        method = {"type": job.method["type"], "hyperparameters": prepared.hyperparameters}
        async with self._shop.database.write() as session:
            return await repository.change(session, self._id, repository.ACTIVE, method=method)

    async def _order(self, job: FineTuningJob) -> Order:
        base = await self._shop.models.source(job.model)
        vault = self._shop.files.vault
        for param in ("training_file", "validation_file"):
            file_id = getattr(job, param)
            async with self._shop.database.read() as session:
                if file_id is not None and await session.get(StoredFile, file_id) is None:
                    raise UnusableFileError(param, f"the file {file_id!r} was deleted")
        return Order(
            name=job.id,
            base=base,
            method=job.method["type"],
            hyperparameters=job.method["hyperparameters"],
            seed=job.seed,
            training=vault.path(job.training_file),
            validation=None if job.validation_file is None else vault.path(job.validation_file),
            device=self._shop.device,
            redact=self._shop.redact,
        )

    async def _process(self) -> TrainingProcess | None:
        """The process that trains already, or a new one; None where none can be started."""
        if (found := await anyio.to_thread.run_sync(TrainingProcess.find, self._folder)) is not None:
            return found
        try:
            process = await anyio.to_thread.run_sync(TrainingProcess.start, self._folder)
        except OSError as error:
            await self._fail("training_failed", f"training cannot be started: {error.strerror or error}")
            return None
        async with self._shop.database.write() as session:
            await repository.change(session, self._id, (repository.RUNNING,), pid=process.pid)
        return process

    async def _watch(self, process: TrainingProcess) -> bool:
        """Tell how training goes, and do what the person wants, until the process ends; whether it was asked to."""
        asked_s: float | None = None
        try:
            while process.is_alive:
                await self._tell_news()
                job = await self._job()
                if job is None or job.status != repository.RUNNING:
                    await anyio.to_thread.run_sync(process.kill)
                elif job.wish == repository.PAUSE and asked_s is None:
                    asked_s = time.monotonic()
                    process.ask_to_stop()
                elif asked_s is not None and time.monotonic() - asked_s > _STOP_PATIENCE_S:
                    await anyio.to_thread.run_sync(process.kill)
                await asyncio.sleep(_LOOK_EVERY_S)
        except asyncio.CancelledError:  # the server stops; the next one goes on
            process.ask_to_stop()
            raise
        await anyio.to_thread.run_sync(process.kill)  # helpers, if it was killed from outside
        await self._tell_news()
        return asked_s is not None

    async def _settled(self, process: TrainingProcess, asked: bool) -> bool:
        """Whether the job is over for now, and made so."""
        job = await self._job()
        if job is None or job.status != repository.RUNNING:
            return False
        if await anyio.to_thread.run_sync(lambda: self._folder.is_finished):
            await complete(self._shop.database, self._shop.files, job, self._folder)
            return True
        words = await anyio.to_thread.run_sync(self._folder.last_words)
        failed = (process.exit_code or 0) > 0 and not asked and not _STOPPED.match(words)
        if failed:
            await self._fail("training_failed", words or "training failed, and did not say why")
        elif job.wish == repository.PAUSE:
            await self._move((repository.RUNNING,), "Fine-tuning job paused", status=repository.PAUSED)
        return failed or job.wish == repository.PAUSE

    async def _tell_news(self) -> None:
        """Events for what training has added to its metrics, and for new checkpoints."""
        records = await anyio.to_thread.run_sync(self._tail.read)
        news = [event for record in records if (event := reported(record, self._epochs)) is not None]
        saved = await self._newest_step()
        if not news and saved == self._saved:
            return
        self._saved = saved
        async with self._shop.database.write() as session:
            for event in news:
                key = f"{self._id}-{event.key}"
                await repository.add_event(session, self._id, event.message, data=event.data, event_id=key)
            if saved:
                key = f"{self._id}-saved-{saved}"
                await repository.add_event(session, self._id, f"Checkpoint created at step {saved}", event_id=key)
            if finish_ms := next((event.finish_ms for event in reversed(news) if event.finish_ms), None):
                await repository.change(session, self._id, (repository.RUNNING,), estimated_finish_ms=finish_ms)

    async def _newest_step(self) -> int:
        checkpoints = await anyio.to_thread.run_sync(self._folder.checkpoints)
        return checkpoints[-1].step if checkpoints else 0

    async def _job(self) -> FineTuningJob | None:
        async with self._shop.database.read() as session:
            return await session.get(FineTuningJob, self._id)

    async def _tell(self, message: str, *, level: str = "info") -> None:
        async with self._shop.database.write() as session:
            if await session.get(FineTuningJob, self._id) is not None:
                await repository.add_event(session, self._id, message, level=level)

    async def _move(self, expected: tuple[str, ...], message: str, *, level: str = "info", **values: Any) -> bool:
        """Change the job's state and tell of it; False, and nothing told, where the state is another by now."""
        async with self._shop.database.write() as session:
            moved = await repository.change(session, self._id, expected, **values)
            if moved:
                await repository.add_event(session, self._id, message, level=level)
        return moved

    async def _fail(self, code: str, message: str, *, param: str | None = None) -> None:
        log.warning("fine-tuning job %s failed: %s", self._id, code)
        message = message[:2000]
        await self._move(
            repository.ACTIVE,
            f"The job failed: {message}",
            level="error",
            status=repository.FAILED,
            error={"code": code, "message": message, "param": param},
            finished_ms=now_ms(),
            estimated_finish_ms=None,
        )
        await anyio.to_thread.run_sync(self._folder.tidy)
