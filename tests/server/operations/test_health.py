"""What machines ask a server, and what a server notices of requests."""

import asyncio
import json
import logging
from collections.abc import Iterator
from io import StringIO
from typing import Literal

import httpx
import pytest
from fastapi import FastAPI

from chatwright.server.app import create_app
from chatwright.server.backends.base import Health
from chatwright.server.database import open_database
from chatwright.server.errors import ApiError
from chatwright.server.operations.logs import formatter
from chatwright.server.operations.observe import Observe
from chatwright.server.operations.readiness import Readiness
from tests.server.conftest import Client, MakeSettings


@pytest.fixture
def logged() -> Iterator[StringIO]:
    """Everything that is logged, in the form in which a server logs it."""
    lines = StringIO()
    handler = logging.StreamHandler(lines)
    handler.setFormatter(formatter(as_json=True))
    logger = logging.getLogger("chatwright")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield lines
    logger.removeHandler(handler)
    logger.setLevel(level)


@pytest.mark.anyio
async def test_health_says_503_until_the_model_is_loaded(client: Client) -> None:
    async with client() as http:
        first = await http.get("/health")
        assert (first.status_code, first.json()["status"]) == (503, "loading")
        async with asyncio.timeout(60):
            while (await http.get("/health")).status_code != 200:
                await asyncio.sleep(0.01)
        ready = await http.get("/ready")
        assert (ready.status_code, ready.json()) == (200, {"status": "ready", "database": "ok", "model": "ok"})


@pytest.mark.anyio
@pytest.mark.parametrize(("database", "model"), [(True, "loading"), (True, "failed"), (False, "ready")])
async def test_a_server_that_lacks_something_is_not_ready(
    client: Client, monkeypatch: pytest.MonkeyPatch, database: bool, model: Literal["loading", "failed", "ready"]
) -> None:
    async def model_health(_: Readiness) -> Health:
        return Health(model)

    async def database_health(_: Readiness) -> bool:
        return database

    monkeypatch.setattr(Readiness, "model", model_health)
    monkeypatch.setattr(Readiness, "database", database_health)
    async with client() as http:
        answer = await http.get("/ready")
    assert (answer.status_code, answer.json()["status"]) == (503, "not ready")


@pytest.mark.anyio
async def test_a_model_that_cannot_be_loaded_is_reported_and_tried_again(make_settings: MakeSettings) -> None:
    class Backend:
        async def health(self) -> Health:
            return Health("ready")

    class Served:
        backend = Backend()

    class Models:
        broken = True

        async def find(self, name: object, principal: object) -> Served:
            if self.broken:
                raise ApiError(503, "no")
            return Served()

    models = Models()
    database = await open_database(f"sqlite:///{make_settings().home}/x.db")
    readiness = Readiness(models, database)  # type: ignore[arg-type]
    assert (await readiness.model()).state == "loading"
    await asyncio.sleep(0)
    assert (await readiness.model()).state == "failed"
    models.broken = False
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        while (await readiness.model()).state != "ready":
            await asyncio.sleep(0)
    await readiness.close()
    await database.close()


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("setting", "address", "headers", "status"),
    [
        ("local", "127.0.0.1", {}, 200),
        ("local", "203.0.113.9", {}, 404),
        ("local", "127.0.0.1", {"X-Forwarded-For": "203.0.113.9"}, 404),  # a proxy on this machine asks for another
        ("off", "127.0.0.1", {}, 404),
        ("open", "203.0.113.9", {}, 200),
    ],
)
async def test_who_may_read_metrics(
    make_settings: MakeSettings, setting: str, address: str, headers: dict[str, str], status: int
) -> None:
    app = create_app(make_settings(metrics=setting))
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, client=(address, 5000))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as http:
            assert (await http.get("/metrics", headers=headers)).status_code == status


@pytest.mark.anyio
async def test_metrics_count_by_route_and_status_and_never_by_what_was_asked(client: Client) -> None:
    async with client() as http:
        await http.get("/ready?q=private")
        await http.get("/no/such/secret-path")
        text = (await http.get("/metrics")).text
    assert 'chatwright_http_requests_total{method="GET",route="/ready",status="503"}' in text
    assert 'chatwright_http_requests_total{method="unknown",route="unknown",status="404"}' in text
    assert "chatwright_http_open_requests 1.0" in text  # this one
    assert "process_resident_memory_bytes" in text
    assert "private" not in text
    assert "secret-path" not in text


@pytest.mark.anyio
async def test_every_answer_has_an_id_that_the_log_repeats(client: Client, logged: StringIO) -> None:
    async with client() as http:
        answers = [await http.get("/health"), await http.get("/nothing")]
    ids = [answer.headers["x-request-id"] for answer in answers]
    assert len(set(ids)) == 2
    lines = [json.loads(line) for line in logged.getvalue().splitlines()]
    requests = {line["request_id"]: line for line in lines if line["event"] == "request"}
    assert [requests[name]["status"] for name in ids] == [503, 404]
    assert requests[ids[0]]["route"] == "/health"


@pytest.mark.anyio
async def test_case_18_a_bug_leaves_its_place_in_the_log_and_no_private_text(logged: StringIO) -> None:
    app = FastAPI()
    app.add_middleware(Observe)

    @app.get("/chat")
    async def chat() -> int:
        prompt = "I have a rare disease"
        return int(prompt)

    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
        answer = await http.get("/chat", headers={"Authorization": "Bearer sk-geheim"})
        chinese = await http.get("/chat", headers={"Accept-Language": "zh-CN"})
    assert answer.status_code == 500
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
    assert answer.json()["error"]["message"].startswith("this is a bug of the server")
    assert chinese.json()["error"]["message"].startswith("服务器内部出现错误")
    text = logged.getvalue()
    assert "ValueError" in text
    assert "test_health.py" in text
    assert answer.headers["x-request-id"] in text
    assert [word for word in ("invalid literal", "disease", "geheim") if word in text] == []


@pytest.mark.anyio
async def test_administrators_see_what_runs_and_what_it_takes(client: Client) -> None:
    async with client(accounts=False) as http:
        assert (await http.post("/api/admin/models/tiny/load", json={})).status_code == 200
        while (found := (await http.get("/api/admin/health")).json())["model"] == "loading":
            await asyncio.sleep(0.05)
    assert (found["database"], found["database_ok"], found["model"]) == ("sqlite", True, "ready")
    assert found["models_loaded"] == 1
    assert found["models_memory_bytes"] > 0
    assert found["started_ms"] < found["at_ms"]
    machine = found["machine"]
    assert 0 < machine["process_memory_bytes"] < machine["memory_total_bytes"]
    assert 0 < machine["disk_free_bytes"] < machine["disk_total_bytes"]
