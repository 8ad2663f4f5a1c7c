"""Who does the jobs: of all server processes on a machine one, and the next when that one dies.

A lock on the folder of runs decides which; the system frees it in the moment in which its holder dies. Among machines
that share database and folder the lease in a job's row decides.
"""

import asyncio
import logging
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

import anyio.to_thread
from filelock import FileLock, Timeout

from chatwright.server.database.tables import FineTuningJob
from chatwright.server.identifiers import now_ms
from chatwright.server.jobs import repository
from chatwright.server.jobs.child import TrainingProcess
from chatwright.server.jobs.supervision import Supervision, Workshop

log = logging.getLogger(__name__)

_LOOK_EVERY_S: Final = 2.0
_LEASE_MS: Final = 60_000
_SWEEP_EVERY_S: Final = 60.0
_LOCK: Final = ".supervisor.lock"


class Supervisor:
    """Does jobs as they come.

    Args:
        workshop: of the server.
        runs: folder of all jobs.
        max_training: jobs that are trained at a time.
    """

    def __init__(self, workshop: Workshop, runs: Path, *, max_training: int) -> None:
        self._shop = workshop
        self._runs = runs
        self._max_training = max_training
        self._machine = f"{socket.gethostname()}:{runs}"[-255:]
        self._training: dict[str, asyncio.Task[None]] = {}
        self._validating: dict[str, asyncio.Task[None]] = {}
        self._news = asyncio.Event()
        self._sweep_s = 0.0
        self._lock = FileLock(runs / _LOCK, thread_local=False)

    def wake(self) -> None:
        """There is something to do."""
        self._sweep_s = 0.0
        self._news.set()

    async def run(self) -> None:
        """Do jobs until cancelled; training processes are asked then to save and stop."""
        try:
            while True:
                try:
                    if await anyio.to_thread.run_sync(self._is_mine):
                        await self._look()
                except Exception:
                    log.exception("fine-tuning jobs could not be looked after; they are again in a moment")
                with suppress(TimeoutError):
                    # Python 3.11's wait_for forgets that it was cancelled where news come at the same moment.
                    async with asyncio.timeout(_LOOK_EVERY_S):
                        await self._news.wait()
                self._news.clear()
        finally:
            await self._close()

    def _is_mine(self) -> bool:
        """Whether this process holds the lock on the runs, or could take it just now."""
        if self._lock.is_locked:
            return True
        self._runs.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            return False
        return True

    async def _look(self) -> None:
        """Begin what is to be done, and keep the leases of what is being done."""
        for tasks in (self._training, self._validating):
            for job_id in [job_id for job_id, task in tasks.items() if task.done()]:
                _ended(job_id, tasks.pop(job_id))
        async with self._shop.database.read() as session:
            jobs = await repository.jobs_to_do(session)
        for job in jobs:
            if self._has_room(job):
                await self._begin(job)
        if time.monotonic() >= self._sweep_s:
            self._sweep_s = time.monotonic() + _SWEEP_EVERY_S
            await self._sweep()

    async def _sweep(self) -> None:
        """Remove the folders of jobs that were cancelled, or deleted with their owner."""
        on_disk = await anyio.to_thread.run_sync(lambda: [path.name for path in self._runs.glob("ftjob-*")])
        async with self._shop.database.read() as session:
            kept = await repository.jobs_with_folder(session, on_disk)
        for job_id in set(on_disk) - kept - self._training.keys() - self._validating.keys():
            folder = self._shop.folder_of(job_id)
            await anyio.to_thread.run_sync(TrainingProcess.end, folder)
            await anyio.to_thread.run_sync(folder.remove)

    def _has_room(self, job: FineTuningJob) -> bool:
        if job.id in self._training or job.id in self._validating:
            return True
        if job.status == repository.VALIDATING:
            return not self._validating
        return len(self._training) < self._max_training

    async def _begin(self, job: FineTuningJob) -> None:
        async with self._shop.database.write() as session:
            if not await repository.claim(session, job.id, self._machine, until_ms=now_ms() + _LEASE_MS):
                return
        if job.id in self._training or job.id in self._validating:
            return
        supervision = Supervision(self._shop, job.id)
        if job.status == repository.VALIDATING:
            task = self._validating[job.id] = asyncio.create_task(supervision.validate())
        else:
            task = self._training[job.id] = asyncio.create_task(supervision.train())
        task.add_done_callback(lambda _: self.wake())

    async def _close(self) -> None:
        self._shop.stopping.set()
        tasks = [*self._training.values(), *self._validating.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._lock.release()


def _ended(job_id: str, task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("the supervision of %s failed and begins anew", job_id, exc_info=error)
