"""Which models are served to whom, and how they share the memory."""

import asyncio
import json
import shutil
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from chatwright.chat import Message
from chatwright.errors import ModelFormatError
from chatwright.server.app import create_app
from chatwright.server.backends.base import ChatRequest
from chatwright.server.backends.local import LocalBackend
from chatwright.server.database.tables import ServedModel
from chatwright.server.errors import ApiError
from chatwright.server.identifiers import now_ms
from chatwright.server.models.local_model import LocalModel
from chatwright.server.models.memory import needs
from chatwright.server.principal import Principal
from chatwright.server.services import Services
from tests.server.conftest import Client, MakeSettings, running

ADMIN = Principal(user_id="admin", role="admin", channel="local")
ADA = Principal(user_id="ada", role="user", channel="session")
BOB = Principal(user_id="bob", role="user", channel="session")
LONG = ChatRequest((Message("user", "hello"),), {"max_tokens": 400, "ignore_eos": True, "temperature": 0})
Open = Callable[..., AbstractAsyncContextManager[Services]]


@pytest.fixture
def open_services_(make_settings: MakeSettings) -> Open:
    """``async with open_services_() as services``: those of a running server."""

    @asynccontextmanager
    async def open_(**changes: Any) -> AsyncIterator[Services]:
        async with running(create_app(make_settings(accounts=False, **changes))) as app:
            yield app.state.services

    return open_


def entry(name: str, source: Path | str, **columns: Any) -> ServedModel:
    given = {"kind": "local", "options": {}, "enabled": True, "version": "", "created_ms": now_ms()}
    return ServedModel(name=name, source=str(source), **(given | columns))


async def states(services: Services) -> dict[str, str]:
    return {state.row.name: state.health.state for state in await services.models.states()}


async def local(services: Services, name: str) -> LocalModel:
    model = await services.models.backend(name, ADMIN)
    assert isinstance(model, LocalModel)
    return model


@pytest.mark.anyio
async def test_a_model_is_loaded_once_however_many_ask_at_once(
    open_services_: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    original = LocalBackend.open.__func__  # type: ignore[attr-defined]

    def counting(source: Path, **options: Any) -> LocalBackend:
        opened.append(source)
        backend: LocalBackend = original(LocalBackend, source, **options)
        return backend

    monkeypatch.setattr(LocalBackend, "open", counting)
    async with open_services_() as services:
        found = await asyncio.gather(*(services.models.find(None, ADA) for _ in range(20)))
        assert {served.name for served in found} == {"tiny"}
        assert found[0].backend.version
        assert len(opened) == 1


@pytest.mark.anyio
async def test_whoever_goes_away_does_not_take_the_model_from_those_who_wait(
    open_services_: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, begun = threading.Event(), threading.Event()
    original = LocalBackend.open.__func__  # type: ignore[attr-defined]

    def slow(source: Path, **options: Any) -> LocalBackend:
        begun.set()
        assert go.wait(30)
        backend: LocalBackend = original(LocalBackend, source, **options)
        return backend

    monkeypatch.setattr(LocalBackend, "open", slow)
    async with open_services_() as services:
        first = asyncio.create_task(services.models.find(None, ADA))
        second = asyncio.create_task(services.models.find(None, BOB))
        assert await asyncio.to_thread(begun.wait, 30)
        assert (await states(services))["tiny"] == "loading"
        first.cancel()
        go.set()
        assert (await second).name == "tiny"
        assert (await states(services))["tiny"] == "ready"


@pytest.mark.anyio
async def test_a_server_that_ends_waits_for_no_load_and_frees_what_comes_late(
    open_services_: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, may_end, freed = threading.Event(), threading.Event(), threading.Event()
    open_model = LocalBackend.open

    def slow(*args: Any, **options: Any) -> LocalBackend:
        begun.set()
        assert may_end.wait(60)
        return open_model(*args, **options)

    def free(backend: LocalBackend) -> None:
        backend._loaded.close()
        freed.set()

    monkeypatch.setattr(LocalBackend, "open", slow)
    monkeypatch.setattr(LocalBackend, "free", free)
    async with asyncio.timeout(60):
        async with open_services_() as services:
            waiting = asyncio.create_task(services.models.find("tiny", ADMIN))
            assert await asyncio.to_thread(begun.wait, 60)
        with pytest.raises(ApiError, match="shutting down"):
            await waiting
        assert services.models.is_loading_in_vain
        with pytest.raises(ApiError, match="shutting down"):
            await services.models.find("tiny", ADMIN)
    may_end.set()
    assert await asyncio.to_thread(freed.wait, 60)


@pytest.mark.anyio
async def test_an_idle_model_leaves_when_another_needs_the_memory_and_one_in_use_never(
    open_services_: Open, tiny_model_dir: Path
) -> None:
    weights = needs(
        tiny_model_dir, device="cpu", dtype="float32", max_model_len=None, budget_bytes=64 << 20
    ).weight_bytes
    async with open_services_(models_memory_bytes=5 * weights) as services:  # room for two
        for name in ("second", "third"):
            await services.models.registry.add(entry(name, tiny_model_dir))
        await services.models.find("tiny", ADA)
        served = await services.models.find("second", ADA)
        await services.models.find("tiny", ADA)
        await services.models.find("third", ADA)
        assert await states(services) == {"tiny": "ready", "second": "unloaded", "third": "ready"}
        # Found before, unloaded since: it is loaded again by whoever uses it.
        answers = [await served.backend.chat(LONG)]
        assert await states(services) == {"tiny": "unloaded", "second": "ready", "third": "ready"}
        answers.append(await (await local(services, "third")).chat(LONG))
        with pytest.raises(ApiError) as refused:
            await services.models.find("tiny", ADA)
        assert (refused.value.status, refused.value.headers["Retry-After"]) == (503, "5")
        with pytest.raises(ApiError, match="in use"):
            await services.models.unload("second")
        for answer in answers:
            pieces = [piece async for piece in answer]
            assert pieces[-1].finish_reason == "length"
        assert (await services.models.find("tiny", ADA)).name == "tiny"  # what was full is not broken


@pytest.mark.anyio
async def test_a_model_that_cannot_be_loaded_is_reported_and_not_tried_by_everybody(
    open_services_: Open, tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(tiny_model_dir, broken)
    (broken / "model.safetensors").write_bytes(b"nothing of the kind")
    async with open_services_() as services:
        await services.models.registry.add(entry("broken", broken))
        with pytest.raises(ApiError) as refused:
            await services.models.find("broken", ADA)
        assert refused.value.status == 503
        assert str(broken) not in str(refused.value)
        health = await (await local(services, "broken")).health()
        assert health.state == "failed"
        assert "safetensors" in health.detail
        tries = []

        def fail(source: Path, **options: Any) -> LocalBackend:
            tries.append(source)
            raise ModelFormatError("still broken")

        with monkeypatch.context() as patch:
            patch.setattr(LocalBackend, "open", fail)
            for _ in range(3):
                with pytest.raises(ApiError):
                    await services.models.find("broken", ADA)
            assert not tries
            with pytest.raises(ApiError):
                await services.models.load("broken")  # an administrator may try again at once
            assert len(tries) == 1
        assert (await services.models.find("tiny", ADA)).name == "tiny"


@pytest.mark.anyio
async def test_case_8_names_of_models_are_never_paths(open_services_: Open, tiny_model_dir: Path) -> None:
    async with open_services_() as services:
        for name in (str(tiny_model_dir), "../tiny", "./tiny", "tiny/", "TINY", "tiny\0", "", "smollm2-360m-instruct"):
            with pytest.raises(ApiError) as refused:
                await services.models.find(name, ADMIN)
            assert (refused.value.status, refused.value.code) == (404, "model_not_found")


@pytest.mark.anyio
async def test_case_8_no_model_gets_a_name_that_looks_like_a_path(client: Client, tiny_model_dir: Path) -> None:
    odd = ["../x", "x/../y", "./x", "/x", "x/", "x//y", "..", "a\\b", "a\nb", "a\u202eb", "a\u200bb", " ", "x" * 201]
    async with client(accounts=False) as http:
        for name in odd:
            answer = await http.post("/api/admin/models", json={"name": name, "source": str(tiny_model_dir)})
            assert (answer.status_code, answer.json()["error"]["param"]) == (400, "name"), name
        for name in ("org/model-1.5:q4", "千问 3"):
            answer = await http.post("/api/admin/models", json={"name": name, "source": str(tiny_model_dir)})
            assert answer.status_code == 201, answer.text
            assert (await http.get(f"/v1/models/{quote(name)}")).json()["id"] == name
        for method in ("GET", "DELETE"):  # an empty name is no model, either
            answer = await http.request(method, "/v1/models/")
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")


@pytest.mark.anyio
async def test_case_1_a_fine_tune_is_its_owners_and_the_administrators(
    open_services_: Open, tiny_model_dir: Path
) -> None:
    async with open_services_() as services:
        models = services.models
        await models.registry.add(entry("ft:ada/one", tiny_model_dir, owner_id="ada", parent="tiny"))
        removed: list[str] = []

        async def on_remove(row: ServedModel) -> None:
            removed.append(row.name)

        models.on_remove.append(on_remove)
        for principal, sees in ((ADA, True), (BOB, False), (ADMIN, True), (Principal(), False)):
            assert ("ft:ada/one" in [row.name for row in await models.list(principal)]) == sees
        with pytest.raises(ApiError) as hidden:
            await models.find("ft:ada/one", BOB)
        with pytest.raises(ApiError) as absent:
            await models.find("ft:ada/two", BOB)
        assert str(hidden.value).replace("one", "two") == str(absent.value)
        with pytest.raises(ApiError) as refused:
            await models.remove("ft:ada/one", BOB)
        assert refused.value.status == 404
        with pytest.raises(ApiError) as refused:
            await models.remove("tiny", ADA)
        assert refused.value.status == 403
        await models.find("ft:ada/one", ADA)
        await models.remove("ft:ada/one", ADA)
        assert removed == ["ft:ada/one"]
        with pytest.raises(ApiError):
            await models.find("ft:ada/one", ADA)


@pytest.mark.anyio
async def test_models_in_openais_form(client: Client, tiny_model_dir: Path) -> None:
    async with client(accounts=False) as http:
        made = await http.post(
            "/api/admin/models",
            json={"name": "team/tiny-2", "source": str(tiny_model_dir), "options": {"max_model_len": 256}},
        )
        assert made.status_code == 201, made.text
        listed = (await http.get("/v1/models")).json()
        assert [model["id"] for model in listed["data"]] == ["tiny", "team/tiny-2"]
        for path in ("/v1/models/team/tiny-2", "/v1/models/team%2Ftiny-2"):
            model = (await http.get(path)).json()
            assert (model["object"], model["max_model_len"]) == ("model", 256)
        missing = await http.get("/v1/models/nothing")
        assert (missing.status_code, missing.json()["error"]["code"]) == (404, "model_not_found")
        assert (await http.delete("/v1/models/tiny")).status_code == 403


@pytest.mark.anyio
async def test_administration_of_models(client: Client, tiny_model_dir: Path) -> None:
    async with client(accounts=False) as http:
        body = {"name": "second", "source": str(tiny_model_dir)}
        assert (await http.post("/api/admin/models", json=body)).status_code == 201
        assert (await http.post("/api/admin/models", json=body)).status_code == 409
        assert (await http.post("/api/admin/models", json=body | {"name": "tiny"})).status_code == 409
        for wrong in ({"source": "/no/such/model"}, {"kind": "upstream"}, {"options": {"dtype": "int1"}}, {"name": ""}):
            answer = await http.post("/api/admin/models", json={"name": "third", "source": "x"} | wrong)
            assert answer.status_code == 400, answer.text
        loaded = (await http.post("/api/admin/models/second/load")).json()
        assert loaded["state"] == "ready"
        assert loaded["memory_bytes"] > 0
        assert loaded["context_length"] == 512
        assert (await http.post("/api/admin/models/second/default")).json()["is_default"] is True
        assert (await http.get("/v1/models")).json()["data"][0]["id"] == "second"
        changed = await http.patch("/api/admin/models/second", json={"options": {"max_model_len": 128}})
        assert changed.json()["options"] == {"max_model_len": 128}
        assert (await http.post("/api/admin/models/second/load")).json()["context_length"] == 128
        assert (await http.post("/api/admin/models/second/unload")).json()["state"] == "unloaded"
        assert (await http.patch("/api/admin/models/tiny", json={"enabled": False})).status_code == 409
        assert (await http.patch("/api/admin/models/second", json={"enabled": False})).json()["enabled"] is False
        assert (await http.get("/v1/models/second")).status_code == 404
        assert (await http.delete("/api/admin/models/second")).status_code == 204
        assert (await http.get("/api/admin/models/second")).status_code == 404
        names = [model["name"] for model in (await http.get("/api/admin/models")).json()["data"]]
        assert names == ["tiny"]
        actions = [entry["action"] for entry in (await http.get("/api/admin/audit")).json()["data"]]
        assert {"model.add", "model.change", "model.remove", "settings.change"} <= set(actions)


@pytest.mark.anyio
async def test_the_default_model_is_promoted_rolled_back_and_its_history_kept(
    client: Client, tiny_model_dir: Path
) -> None:
    async with client(accounts=False) as http:
        assert (await http.get("/api/admin/promotions")).json()["data"] == []
        for name in ("second", "third"):
            body = {"name": name, "source": str(tiny_model_dir)}
            assert (await http.post("/api/admin/models", json=body)).status_code == 201
        for name in ("second", "third", "tiny"):
            assert (await http.post(f"/api/admin/models/{name}/default")).json()["is_default"] is True
        assert (await http.patch("/api/admin/settings", json={"default_model": "second"})).status_code == 200
        assert (await http.patch("/api/admin/settings", json={"sign_up": "open"})).status_code == 200  # is none
        assert (await http.delete("/api/admin/models/third")).status_code == 204
        history = (await http.get("/api/admin/promotions")).json()["data"]
        assert [(row["model"], row["is_served"]) for row in history] == [
            ("second", True),
            ("tiny", True),
            ("third", False),
            ("second", True),
        ]
        assert {row["actor_name"] for row in history} == {"local"}


@pytest.mark.anyio
async def test_answers_carry_the_watermark_where_it_is_on(client: Client) -> None:
    async with client(accounts=False, watermark_key="a secret of this server") as http:
        question = {"model": "tiny", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 300, "seed": 1}
        answered = await http.post("/v1/chat/completions", json=question)
        assert answered.status_code == 200, answered.text
        answer = answered.json()["choices"][0]["message"]["content"]
        found = (await http.post("/v1/watermark/detect", json={"text": answer})).json()
        assert found["model"] == "tiny"
        assert found["p_value"] < 1e-3
        plain = (await http.post("/v1/watermark/detect", json={"text": "Nobody marked these few words."})).json()
        assert plain["p_value"] > 1e-3
    async with client(accounts=False) as http:
        refused = await http.post("/v1/watermark/detect", json={"text": answer})
        assert refused.json()["error"]["code"] == "watermark_off"


ODD: list[Any] = [
    None,
    "",
    5,
    -1,
    1e999,
    [],
    {},
    [[[[]]]],
    "\ud800",
    "a\0b",
    "x" * 100_000,
    True,
    {"a": {"b": {}}},
    "../x",
]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        (
            "POST",
            "/api/admin/models",
            {"name": "m", "kind": "local", "source": "x", "upstream_id": None, "options": {}},
        ),
        ("PATCH", "/api/admin/models/second", {"enabled": True, "options": {}}),
        (
            "POST",
            "/api/admin/upstreams",
            {"name": "u", "base_url": "x", "api_key": "k", "read_seconds": 5, "enabled": 1},
        ),
        ("POST", "/v1/watermark/detect", {"text": "x", "model": "tiny"}),
    ],
)
async def test_case_12_odd_values_are_refused_and_the_server_lives(
    client: Client, tiny_model_dir: Path, method: str, path: str, body: dict[str, Any]
) -> None:
    async with client(accounts=False, watermark_key="a secret of this server") as http:
        await http.post("/api/admin/models", json={"name": "second", "source": str(tiny_model_dir)})
        bodies = [body | {field: odd} for field in body for odd in ODD] + [body | {"unknown": 1}, *ODD]
        for odd in bodies:
            content = json.dumps(odd)  # httpx's own way refuses to send lone surrogates and infinities
            answer = await http.request(method, path, content=content, headers={"Content-Type": "application/json"})
            assert answer.status_code < 500, (odd, answer.text)
            if answer.status_code >= 400:
                assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
        for name in ("a" * 300, "%00", "..%2f..%2fetc", "%ed%a0%80", "tiny/", " ", "x/load"):
            for prefix in ("/v1/models/", "/api/admin/models/"):
                assert (await http.get(prefix + name)).status_code in (400, 404)
        assert (await http.get("/v1/models/tiny")).status_code == 200
