"""Everybody's jobs, as administrators see and stop them."""

from typing import Any

import pytest

from chatwright.server.database.tables import FineTuningJob
from chatwright.server.identifiers import now_ms
from chatwright.server.jobs import repository
from tests.server.accounts.conftest import House, OpenHouse, house  # noqa: F401  a fixture
from tests.server.jobs.conftest import lines

pytestmark = pytest.mark.anyio


async def add_job(server: House, job_id: str, user_id: str, **columns: Any) -> None:
    """A job that nobody works on: this server leaves training to another machine."""
    given = {"status": "running", "created_ms": now_ms(), "method": {"type": "supervised", "hyperparameters": {}}}
    row = FineTuningJob(id=job_id, user_id=user_id, model="tiny", training_file="file-1", seed=1, **(given | columns))
    async with server.services.database.write() as session:
        session.add(row)
        await session.flush()
        for step in (1, 2, 3):
            await repository.add_event(session, job_id, f"Step {step}", data={"step": step, "train_loss": 1 / step})


async def test_everybodys_jobs_are_listed_and_followed(house: OpenHouse) -> None:  # noqa: F811
    async with house(max_fine_tuning_jobs=0) as server:
        admin, ann = await server.join("admin"), await server.join("ann")
        ids = {name: (await browser.get("/api/me")).json()["id"] for name, browser in (("admin", admin), ("ann", ann))}
        await add_job(server, "ftjob-1", ids["ann"], created_ms=1000)
        await add_job(server, "ftjob-2", ids["admin"], created_ms=2000)
        await add_job(server, "ftjob-3", ids["ann"], created_ms=2000)
        first = (await admin.get("/api/admin/jobs", params={"limit": 2})).json()
        rest = (await admin.get("/api/admin/jobs", params={"limit": 2, "after": first["next"]})).json()
        found = [(row["id"], row["user_name"]) for row in first["data"] + rest["data"]]
        assert found == [("ftjob-3", "ann"), ("ftjob-2", "admin"), ("ftjob-1", "ann")]
        assert rest["has_more"] is False
        events = (await admin.get("/api/admin/jobs/ftjob-1/events", params={"limit": 2})).json()
        assert ([event["data"]["step"] for event in events["data"]], events["has_more"]) == ([3, 2], True)
        assert (await admin.get("/api/admin/jobs/ftjob-1")).json()["user_id"] == ids["ann"]
        assert (await admin.get("/v1/fine_tuning/jobs/ftjob-1")).status_code == 404  # their own API shows their own
        assert (await ann.get("/api/admin/jobs")).status_code == 403


async def test_an_administrator_stops_and_removes_a_job_and_it_is_written_down(house: OpenHouse) -> None:  # noqa: F811
    async with house(max_fine_tuning_jobs=0) as server:
        admin, ann = await server.join("admin"), await server.join("ann")
        await add_job(server, "ftjob-1", (await ann.get("/api/me")).json()["id"], status="queued")
        path = "/api/admin/jobs/ftjob-1"
        assert (await admin.post(f"{path}/pause", json={})).json()["status"] == "paused"
        assert (await admin.post(f"{path}/pause", json={})).status_code == 400
        assert (await admin.post(f"{path}/resume", json={})).json()["status"] == "queued"
        assert (await admin.post(f"{path}/cancel", json={})).json()["status"] == "cancelled"
        assert (await ann.get("/v1/fine_tuning/jobs/ftjob-1")).json()["status"] == "cancelled"
        assert (await admin.delete(path)).json()["deleted"] is True
        for gone in (await admin.get(path), await admin.delete(path), await admin.post(f"{path}/cancel", json={})):
            assert gone.status_code == 404
        record = (await admin.get("/api/admin/audit", params={"target": "ftjob-1"})).json()["data"]
        assert [(row["action"], row["actor_name"]) for row in record] == [
            (f"job.{deed}", "admin") for deed in ("delete", "cancel", "resume", "pause")
        ]


async def test_samples_are_read_by_whoever_may_read_what_people_write(house: OpenHouse) -> None:  # noqa: F811
    async with house(max_fine_tuning_jobs=0) as server:
        admin, ann = await server.join("admin"), await server.join("ann")
        ids = {name: (await browser.get("/api/me")).json()["id"] for name, browser in (("admin", admin), ("ann", ann))}
        samples = [
            {"stage": "sft", "step": step, "prompt": "2 + 2?", "answer": answer}
            for step, answer in ((1, "?"), (2, "4"))
        ]
        for job_id, name in (("ftjob-1", "admin"), ("ftjob-2", "ann"), ("ftjob-3", "ann")):
            await add_job(server, job_id, ids[name])
            if job_id != "ftjob-3":
                run = server.services.settings.home / "runs" / job_id / "run"
                run.mkdir(parents=True)
                (run / "samples.jsonl").write_bytes(lines(samples))
        own = (await admin.get("/api/admin/jobs/ftjob-1/samples")).json()
        newest_first = [{key: sample[key] for key in ("step", "prompt", "answer")} for sample in reversed(samples)]
        assert own == {"may_read": True, "data": newest_first}
        path = "/api/admin/jobs/ftjob-2/samples"
        assert (await admin.get(path)).json() == {"may_read": False, "data": []}
        await admin.patch("/api/admin/settings", json={"admins_read_chats": True})
        assert (await admin.get(path)).json() == own
        assert (await admin.get("/api/admin/jobs/ftjob-3/samples")).json() == {"may_read": True, "data": []}
        assert (await ann.get(path)).status_code == 403
