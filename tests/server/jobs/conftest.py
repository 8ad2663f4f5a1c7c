"""Small chats and preferences, and what it takes to follow a job."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

Job = dict[str, Any]
PRETENDED = Path(__file__).with_name("pretended_training.py")


def chats(count: int = 24) -> bytes:
    sums = [(number % 5, number % 7) for number in range(count)]
    rows = [
        {
            "messages": [
                {"role": "user", "content": f"What is {a} plus {b}? {number}"},
                {"role": "assistant", "content": f"It is {a + b}."},
            ]
        }
        for number, (a, b) in enumerate(sums)
    ]
    return lines(rows)


def preferences(count: int = 24) -> bytes:
    """In OpenAI's form."""
    rows = [
        {
            "input": {"messages": [{"role": "user", "content": f"Why {number}?"}]},
            "preferred_output": [{"role": "assistant", "content": f"Because of {number}."}],
            "non_preferred_output": [{"role": "assistant", "content": "No."}],
        }
        for number in range(count)
    ]
    return lines(rows)


def lines(rows: list[Any]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


class Tuner:
    """The API of jobs, as a person at work would call it."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def upload(self, content: bytes, purpose: str = "fine-tune") -> str:
        answer = await self.http.post(
            "/v1/files",
            files={"file": ("rows.jsonl", content)},
            data={"purpose": purpose},
            headers={"X-Requested-With": "chatwright"},
        )
        assert answer.status_code == 200, answer.text
        return str(answer.json()["id"])

    async def create(self, content: bytes | None = None, **fields: Any) -> Job:
        training = await self.upload(chats() if content is None else content)
        answer = await self.post("", {"model": "tiny", "training_file": training, "seed": 1} | fields)
        assert answer.status_code == 200, answer.text
        job: Job = answer.json()
        return job

    async def post(self, path: str, body: Any = None) -> httpx.Response:
        return await self.http.post(f"/v1/fine_tuning/jobs{path}", json=body if body is not None else {})

    async def get(self, job: Job) -> Job:
        found: Job = (await self.http.get(f"/v1/fine_tuning/jobs/{job['id']}")).json()
        return found

    async def events(self, job: Job) -> list[Job]:
        """From the first to the last."""
        events: list[Job] = []
        page: Job = {"has_more": True}
        while page["has_more"]:
            query = {"limit": "100"} | ({"after": events[-1]["id"]} if events else {})
            page = (await self.http.get(f"/v1/fine_tuning/jobs/{job['id']}/events", params=query)).json()
            events += page["data"]
        return events[::-1]

    async def until(self, job: Job, *states: str) -> Job:
        """The job when it is in one of the states."""

        async def reached() -> Job | None:
            found = await self.get(job)
            if found["status"] in states:
                return found
            assert found["status"] not in ("failed", "cancelled", "succeeded"), found
            return None

        return await eventually(reached)

    async def until_step(self, job: Job, step: int) -> None:
        """Training has taken so many steps."""

        async def reached() -> bool:
            assert (await self.get(job))["status"] in ("validating_files", "queued", "running")
            return any(event["data"].get("step", 0) >= step for event in await self.events(job))

        await eventually(reached)


async def eventually(look: Callable[[], Awaitable[Any]]) -> Any:
    """What ``look`` finds, as soon as it finds something; fails after two minutes."""
    async with asyncio.timeout(120):
        while not (found := await look()):
            await asyncio.sleep(0.05)
    return found


@pytest.fixture(autouse=True)
def look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatwright.server.jobs.supervision._LOOK_EVERY_S", 0.05)
    monkeypatch.setattr("chatwright.server.jobs.supervisor._LOOK_EVERY_S", 0.1)


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch, tiny_model_dir: Path) -> Callable[[str], None]:
    """``pretended("die")``: training is only played, see ``pretended_training``: a real start takes seconds."""

    def play(part: str) -> None:
        monkeypatch.setattr("chatwright.server.jobs.child._PROGRAM", ("-S", str(PRETENDED), part, str(tiny_model_dir)))

    return play


@pytest.fixture
async def tuner(client: Any) -> AsyncIterator[Tuner]:
    """A server without accounts; whatever is left is ended with it."""
    async with client(accounts=False) as http:
        yield Tuner(http)
