"""A job that really trains, with the tiny model, while everything around it dies.

It takes its time: a server and three training processes start in earnest, each importing PyTorch. What can be tried
without them is in ``test_supervision``.
"""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from chatwright.server.jobs.child import TrainingProcess
from chatwright.server.jobs.folder import JobFolder
from tests.server.conftest import Client
from tests.server.jobs.conftest import Job, Tuner, eventually

pytestmark = pytest.mark.anyio

VALIDATION = b'{"messages": [{"role": "user", "content": "2 + 2?"}, {"role": "assistant", "content": "4"}]}\n'


@contextmanager
def server_process(home: Path, model: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """``chatwright serve`` as a process that can be killed, and its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = ["--home", str(home), "--port", str(port), "--model", str(model), "--served-model-name", "tiny"]
    command = [sys.executable, "-m", "chatwright", "serve", "--no-accounts", "--device", "cpu", *options]
    home.mkdir()
    with (home / "server.log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            yield process, f"http://127.0.0.1:{port}"
        finally:
            process.kill()


async def answers(http: httpx.AsyncClient, server: "subprocess.Popen[bytes]") -> bool:
    assert server.poll() is None, "the server ended"
    try:
        return (await http.get("/v1/files")).status_code == 200
    except httpx.TransportError:
        return False


async def trainer(folder: JobFolder, *, other_than: int = 0) -> TrainingProcess:
    """The process that trains, as soon as there is one."""

    async def look() -> TrainingProcess | None:
        found = await asyncio.to_thread(TrainingProcess.find, folder)
        return found if found is not None and found.pid != other_than else None

    found: TrainingProcess = await eventually(look)
    return found


async def steps_so_far(tuner: Tuner, job: Job) -> list[int]:
    events = await tuner.events(job)
    return [event["data"]["step"] for event in events if "train_loss" in event["data"]]


async def test_a_job_survives_the_death_of_everything(client: Client, tiny_model_dir: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    with server_process(home, tiny_model_dir) as (server, address):
        async with httpx.AsyncClient(base_url=address) as http:
            await eventually(lambda: answers(http, server))
            tuner = Tuner(http)
            job = await tuner.create(
                suffix="sums",
                validation_file=await tuner.upload(VALIDATION),
                method={"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 6}}},
            )
            assert job["status"] == "validating_files"
            await tuner.until_step(job, 1)
        server.send_signal(signal.SIGKILL)
        await asyncio.to_thread(server.wait)
    folder = JobFolder(home / "runs" / job["id"])
    first = await trainer(folder)  # it trains on without a server

    async with client(accounts=False) as http:
        tuner = Tuner(http)
        await tuner.post(f"/{job['id']}/pause")
        await tuner.until(job, "paused")
        assert not first.is_alive
        paused_at = folder.checkpoints()[-1].step
        resumed = await tuner.post(f"/{job['id']}/resume")
        assert resumed.json()["status"] == "queued"

        second = await trainer(folder)
        assert second.pid != first.pid
        await tuner.until_step(job, paused_at + 1)
        os.kill(second.pid, signal.SIGKILL)
        third = await trainer(folder, other_than=second.pid)
        assert third.pid != second.pid

        done = await tuner.until(job, "succeeded")
        messages = [event["message"] for event in await tuner.events(job)]
        assert "The training process ended; going on from the last checkpoint" in messages
        assert await steps_so_far(tuner, job) == list(range(1, 73)), "no step is told twice, and none is missing"
        await check_what_came_of_it(tuner, done, folder)


async def check_what_came_of_it(tuner: Tuner, job: Job, folder: JobFolder) -> None:
    http = tuner.http
    name = job["fine_tuned_model"]
    assert name == f"ft:tiny:chatwright:sums:{job['id'][-8:]}"
    assert job["trained_tokens"] > 800
    assert job["method"]["supervised"]["hyperparameters"]["batch_size"] == 4
    table = (await http.get(f"/v1/files/{job['result_files'][0]}/content")).text.splitlines()
    assert table[0].startswith("step,train_loss")
    assert len(table) == 73
    assert not folder.training.exists(), "the copy of the data goes with the end of training"

    listed = (await http.get(f"/v1/fine_tuning/jobs/{job['id']}/checkpoints")).json()["data"]
    assert listed[0]["step_number"] == 72
    assert listed[0]["metrics"]["valid_loss"] > 0
    for model in (name, listed[-1]["fine_tuned_model_checkpoint"]):
        body = {"model": model, "messages": [{"role": "user", "content": "What is 1 plus 2?"}], "max_tokens": 4}
        answer = await http.post("/v1/chat/completions", json=body)
        assert answer.status_code == 200, answer.text
    assert (await http.delete(f"/v1/models/{name}")).status_code == 200
    assert not folder.path.exists()
    assert (await http.get("/v1/models")).text.count(job["id"][-8:]) == 0, "checkpoints go with their model"
