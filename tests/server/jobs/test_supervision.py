"""What becomes of jobs whose training fails, dies, is unwanted or has to wait."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from chatwright.server.jobs.child import TrainingProcess
from chatwright.server.jobs.folder import JobFolder
from tests.server.conftest import Client
from tests.server.jobs.conftest import Job, Tuner, eventually

pytestmark = pytest.mark.anyio
Pretended = Callable[[str], None]


def folder_of(tmp_path: Path, job: Job) -> JobFolder:
    return JobFolder(tmp_path / "home" / "runs" / job["id"])


async def waiting(folder: JobFolder) -> None:
    """The pretended training has taken its step and waits."""

    async def look() -> bool:
        return (folder.run / "waiting").exists()

    await eventually(look)


async def gone(folder: JobFolder) -> None:
    """Neither folder nor process is left."""

    async def look() -> bool:
        return not folder.path.exists() and await asyncio.to_thread(TrainingProcess.find, folder) is None

    await eventually(look)


async def test_a_finished_run_becomes_a_model(client: Client, pretended: Pretended, database_url: str) -> None:
    pretended("finish")
    async with client(accounts=False, database_url=database_url) as http:
        tuner = Tuner(http)
        job = await tuner.create(metadata={"team": "a", "日期": "今天", 'a"]': "'"})
        done = await tuner.until(job, "succeeded")
        assert (done["trained_tokens"], done["error"]) == (1234, None)
        assert done["fine_tuned_model"] in (await http.get("/v1/models")).text
        steps = [event["data"] for event in await tuner.events(job) if "train_loss" in event["data"]]
        assert [data["step"] for data in steps] == [1, 2, 3, 4, 5]
        assert {data["total_steps"] for data in steps} == {5}
        for query, count in (
            ({"metadata[team]": "a"}, 1),
            ({"metadata[team]": "b"}, 0),
            ({'metadata[a"]]': "'"}, 1),
            ({"metadata[日期]": "今天"}, 1),
        ):
            assert len((await http.get("/v1/fine_tuning/jobs", params=query)).json()["data"]) == count
        for wish in ("cancel", "pause", "resume"):
            late = await tuner.post(f"/{job['id']}/{wish}")
            assert (late.status_code, late.json()["error"]["code"]) == (400, "invalid_job_state")


async def test_a_full_disk_fails_the_job_in_a_sentence(tuner: Tuner, pretended: Pretended, tmp_path: Path) -> None:
    pretended("fail")
    job = await tuner.create()

    async def failed() -> Job | None:
        found = await tuner.get(job)
        return found if found["status"] == "failed" else None

    error = (await eventually(failed))["error"]
    assert error["code"] == "training_failed"
    assert error["message"] == "the run/checkpoint-1 cannot be written: No space left on device; free some space"
    assert (await tuner.events(job))[-1]["level"] == "error"


async def test_training_that_dies_again_and_again_is_given_up(tuner: Tuner, pretended: Pretended) -> None:
    pretended("die")
    job = await tuner.create()

    async def failed() -> Job | None:
        found = await tuner.get(job)
        return found if found["status"] == "failed" else None

    assert (await eventually(failed))["error"]["code"] == "training_interrupted"
    again = [event for event in await tuner.events(job) if "going on" in event["message"]]
    assert len(again) == 3


async def test_a_cancelled_job_leaves_nothing_running(tuner: Tuner, pretended: Pretended, tmp_path: Path) -> None:
    pretended("last")
    job = await tuner.create()
    await waiting(folder_of(tmp_path, job))
    answer = (await tuner.post(f"/{job['id']}/cancel")).json()
    assert answer["status"] == "cancelled"
    assert answer["finished_at"] is not None
    await gone(folder_of(tmp_path, job))
    assert (await tuner.get(job))["status"] == "cancelled"


async def test_a_deleted_job_leaves_nothing_at_all(tuner: Tuner, pretended: Pretended, tmp_path: Path) -> None:
    pretended("last")
    job = await tuner.create()
    await waiting(folder_of(tmp_path, job))
    assert (await tuner.http.delete(f"/v1/fine_tuning/jobs/{job['id']}")).json()["deleted"]
    await gone(folder_of(tmp_path, job))
    assert (await tuner.http.get(f"/v1/fine_tuning/jobs/{job['id']}")).status_code == 404


async def test_jobs_train_one_after_the_other(tuner: Tuner, pretended: Pretended, tmp_path: Path) -> None:
    pretended("last")
    first, second = await tuner.create(), await tuner.create()
    await waiting(folder_of(tmp_path, first))
    await tuner.until(second, "queued")
    assert (await tuner.post(f"/{second['id']}/pause")).json()["status"] == "paused"
    await tuner.post(f"/{first['id']}/cancel")
    await gone(folder_of(tmp_path, first))
    assert (await tuner.get(second))["status"] == "paused"
    pretended("finish")
    await tuner.post(f"/{second['id']}/resume")
    await tuner.until(second, "succeeded")


async def test_a_server_that_stops_lets_training_save_and_the_next_goes_on(
    client: Client, pretended: Pretended, tmp_path: Path
) -> None:
    pretended("last")
    async with client(accounts=False) as http:
        job = await Tuner(http).create()
        await waiting(folder_of(tmp_path, job))
        process = TrainingProcess.find(folder_of(tmp_path, job))
        assert process is not None

    async def ended() -> bool:
        return not process.is_alive

    await eventually(ended)
    assert "stopped by SIGTERM" in folder_of(tmp_path, job).last_words()
    pretended("finish")
    async with client(accounts=False) as http:
        await Tuner(http).until(job, "succeeded")


async def test_case_20_nothing_of_a_deleted_person_is_left(
    client: Client, pretended: Pretended, tmp_path: Path
) -> None:
    from chatwright.server.accounts.local import LOCAL_USER_ID

    pretended("finish")
    async with client(accounts=False) as http:
        tuner = Tuner(http)
        job = await tuner.create()
        await tuner.until(job, "succeeded")
        services = http._transport.app.state.services  # type: ignore[attr-defined]
        await services.jobs.erase(LOCAL_USER_ID)
        await services.files.erase(LOCAL_USER_ID)
        assert job["id"][-8:] not in (await http.get("/v1/models")).text
    assert not folder_of(tmp_path, job).path.exists()
    assert not list((tmp_path / "home" / "files").iterdir())


def test_case_18_secrets_do_not_reach_the_training_process(monkeypatch: pytest.MonkeyPatch) -> None:
    from chatwright.server.jobs.child import _environment

    for name in (
        "DATABASE_URL",
        "REDIS_URL",
        "CHATWRIGHT_API_KEY",
        "CHATWRIGHT_ENGINE_KEY",
        "OPENAI_API_KEY",
        "HF_TOKEN",
    ):
        monkeypatch.setenv(name, "do-not-tell")
    monkeypatch.setenv("CHATWRIGHT_HOME", "/somewhere")
    environment = _environment()
    assert "do-not-tell" not in environment.values()
    assert environment["CHATWRIGHT_HOME"] == "/somewhere"
