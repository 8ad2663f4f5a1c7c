"""Responses that are kept: one's own, as long as they last, in the form that the privacy policy allows."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from sqlalchemy import select, update

from chatwright.server.app import create_app
from chatwright.server.database.tables.models import StoredResponse
from tests.server.conftest import MakeSettings, running

ASKED = {"model": "tiny", "input": "write to ada@example.org", "max_output_tokens": 2}


@asynccontextmanager
async def people(make_settings: MakeSettings, database_url: str, *names: str) -> AsyncIterator[list[httpx.AsyncClient]]:
    """A server, and a client for each of ``names``, signed up with an API key."""
    app = create_app(make_settings(sign_up="open", database_url=database_url, redact_before_storage=True))
    async with running(app):
        clients = [
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8000") for _ in names
        ]
        for name, http in zip(names, clients, strict=True):
            account = {"name": name, "password": f"a long password of {name}"}
            signed = await http.post("/api/sign-up", json=account)
            assert signed.status_code < 300, signed.text
        clients[0].app = app  # type: ignore[attr-defined]
        yield clients
        for http in clients:
            await http.aclose()


@pytest.mark.anyio
async def test_case_1_a_response_of_somebody_else_is_absent(make_settings: MakeSettings, database_url: str) -> None:
    async with people(make_settings, database_url, "ada", "eve") as (ada, eve):
        made = await ada.post("/v1/responses", json=ASKED)
        assert made.status_code == 200, made.text
        path = f"/v1/responses/{made.json()['id']}"
        missing = await eve.get("/v1/responses/resp_000000000000000000000000")
        for answer in (
            await eve.get(path),
            await eve.delete(path),
            await eve.get(f"{path}/input_items"),
            await eve.post(f"{path}/cancel", json={}),
            await eve.post("/v1/responses", json=ASKED | {"previous_response_id": made.json()["id"]}),
        ):
            assert answer.status_code == missing.status_code == 404
            assert answer.json()["error"]["code"] == missing.json()["error"]["code"]
        assert (await ada.get(path)).status_code == 200


@pytest.mark.anyio
async def test_case_20_what_is_kept_obeys_the_privacy_policy(make_settings: MakeSettings, database_url: str) -> None:
    async with people(make_settings, database_url, "ada") as (ada,):
        made = (await ada.post("/v1/responses", json=ASKED)).json()
        items = (await ada.get(f"/v1/responses/{made['id']}/input_items")).json()
        (text,) = [part["text"] for item in items["data"] for part in item["content"]]
        assert "ada@example.org" not in text
        assert text.startswith("write to ")


@pytest.mark.anyio
async def test_what_is_past_its_time_is_gone(make_settings: MakeSettings, database_url: str) -> None:
    async with people(make_settings, database_url, "ada") as (ada,):
        database = ada.app.state.services.database  # type: ignore[attr-defined]
        old = (await ada.post("/v1/responses", json=ASKED)).json()["id"]
        async with database.write() as session:
            await session.execute(update(StoredResponse).values(expires_ms=1))
        assert (await ada.get(f"/v1/responses/{old}")).status_code == 404
        await ada.post("/v1/responses", json=ASKED)
        async with database.read() as session:
            kept = (await session.scalars(select(StoredResponse.id))).all()
        assert len(kept) == 1
        assert old not in kept


@pytest.mark.anyio
async def test_a_nul_from_the_model_can_be_stored(make_settings: MakeSettings, database_url: str) -> None:
    async with people(make_settings, database_url, "ada") as (ada,):
        made = await ada.post("/v1/responses", json=ASKED | {"metadata": {"a\0b": "c\0d"}})
        assert made.status_code == 200, made.text
        kept = (await ada.get(f"/v1/responses/{made.json()['id']}")).json()
        assert kept["metadata"] == {"a\ufffdb": "c\ufffdd"}
