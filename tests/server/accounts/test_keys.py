"""API keys: shown once, kept as a hash, good for what they say, and one credential a request."""

import asyncio
from typing import Annotated

import pytest
from sqlalchemy import select, update

from chatwright.server.accounts.identify import ENGINE_KEY_ID, SERVER_KEY_ID
from chatwright.server.database.tables import ApiKey
from chatwright.server.policy import allow
from chatwright.server.principal import Principal
from tests.server.accounts.conftest import PASSWORD, OpenHouse, code
from tests.server.accounts.test_sessions import add_stream


@pytest.mark.anyio
async def test_case_4_a_key_is_shown_once_and_kept_as_a_hash(house: OpenHouse) -> None:
    async with house() as server:
        ann = await server.join("ann")
        made = (await ann.post("/api/me/keys", json={"name": "laptop", "scopes": ["conversations"]})).json()
        assert made["key"].startswith(made["prefix"])
        assert len(made["prefix"]) <= 10
        assert made["key"] not in (await ann.get("/api/me/keys")).text
        assert made["key"] not in (await ann.get("/api/admin/audit")).text
        async with server.services.database.read() as db:
            row = (await db.scalars(select(ApiKey))).one()
        assert made["key"] not in str(vars(row))


@pytest.mark.anyio
async def test_a_key_opens_what_it_is_for(house: OpenHouse) -> None:
    async with house() as server:
        ann = await server.join("ann")
        inference, conversations = await server.key(ann, "inference"), await server.key(ann, "conversations")
        assert code(await inference.get("/api/me")) == "insufficient_scope"
        assert (await conversations.get("/api/me")).json()["channel"] == "key"
        for program in (inference, conversations):  # a lost key must not make another, nor lock its owner out
            assert code(await program.post("/api/me/keys", json={"name": "more"})) == "insufficient_scope"
            body = {"current_password": PASSWORD, "new_password": "another long one"}
            assert code(await program.post("/api/me/password", json=body)) == "insufficient_scope"
        used = {key["name"]: key["used_ms"] for key in (await ann.get("/api/me/keys")).json()["data"]}
        assert used["program"] is not None


@pytest.mark.anyio
async def test_keys_of_administrators_lose_with_the_role(house: OpenHouse) -> None:
    async with house() as server:
        admin, ann = await server.join("admin"), await server.join("ann")
        refused = await ann.post("/api/me/keys", json={"name": "x", "scopes": ["admin"]})
        assert (refused.status_code, code(refused)) == (403, "insufficient_scope")
        user = f"/api/admin/users/{(await ann.get('/api/me')).json()['id']}"
        await admin.patch(user, json={"role": "admin"})
        ann = await server.enter("ann")
        program = await server.key(ann, "admin")
        assert (await program.get("/api/admin/users")).status_code == 200
        await admin.patch(user, json={"role": "user"})
        assert (await program.get("/api/admin/users")).status_code == 403


@pytest.mark.anyio
async def test_revoking_a_key_ends_what_it_is_doing(house: OpenHouse) -> None:
    async with house() as server:
        is_open = add_stream(server)
        ann = await server.join("ann")
        program = await server.key(ann, "conversations")
        other = await server.key(ann, "conversations")
        stream = asyncio.create_task(program.get("/api/endless"))
        await asyncio.wait_for(is_open.wait(), 10)
        key = (await ann.get("/api/me/keys")).json()["data"][1]["id"]
        assert (await ann.delete(f"/api/me/keys/{key}")).status_code == 204
        assert "session_ended" in (await asyncio.wait_for(stream, 10)).text
        assert code(await program.get("/api/me")) == "invalid_api_key"
        assert (await other.get("/api/me")).status_code == 200


@pytest.mark.anyio
async def test_keys_expire(house: OpenHouse) -> None:
    async with house() as server:
        program = await server.key(await server.join("ann"))
        async with server.services.database.write() as db:
            await db.execute(update(ApiKey).values(expires_ms=1))
        assert code(await program.get("/api/me")) == "invalid_api_key"


@pytest.mark.anyio
async def test_case_4_the_header_is_only_ever_a_key(house: OpenHouse) -> None:
    async with house() as server:
        await server.join("ann")
        for value in (
            *("Bearer ", "Bearer", "", "Bearer sk-cw-", "Basic YW5uOng=", "bearer  x", "Bearer x y", "Token x"),
            *("Bearer ' OR 1=1 --", "Bearer sk-cw-%", "Bearer " + "x" * 20_000, 'Bearer {"$ne": 1}', "Bearer \u00ff"),
        ):
            answer = await server.browser().get("/api/me", headers={"Authorization": value.encode("latin-1")})
            assert (answer.status_code, code(answer)) == (401, "invalid_api_key"), value
            assert value not in answer.text or len(value) < 8
        assert (await server.browser(Authorization="Bearer wrong").get("/api/setup")).status_code == 200


@pytest.mark.anyio
async def test_case_3_one_credential_a_request(house: OpenHouse) -> None:
    async with house() as server:
        ann = await server.join("ann")
        key = (await ann.post("/api/me/keys", json={"name": "x", "scopes": ["conversations"]})).json()["key"]
        cookie = f"chatwright_session={ann.cookies['chatwright_session']}"
        bearer = f"Bearer {key}"
        for headers in (
            [("Authorization", bearer), ("Cookie", cookie)],
            [("Authorization", bearer), ("Authorization", bearer)],
            [("Cookie", cookie), ("Cookie", cookie)],
            [("Cookie", f"{cookie}; {cookie}")],
            [("Authorization", "Bearer wrong"), ("Cookie", cookie)],
        ):
            answer = await server.browser().get("/api/me", headers=headers)
            assert (answer.status_code, code(answer)) == (400, "ambiguous_credentials"), headers
        for name in ("X-Api-Key", "Api-Key", "X-Auth-Token", "X-Forwarded-User", "Proxy-Authorization"):
            assert (await server.browser().get("/api/me", headers={name: bearer})).status_code == 401
        assert (await server.browser().get("/api/me", params={"api_key": key})).status_code == 401


@pytest.mark.anyio
async def test_the_key_of_the_settings_asks_models_and_administers_nothing(house: OpenHouse) -> None:
    server_key, engine_key = "s" * 20, "e" * 20
    asked: list[Principal] = []
    async with house(api_key=server_key, engine_key=engine_key) as server:

        @server.app.get("/api/asked")
        async def ask(caller: Annotated[Principal, allow("user", scope="inference")]) -> None:
            asked.append(caller)

        for key, key_id in ((server_key, SERVER_KEY_ID), (engine_key, ENGINE_KEY_ID)):
            program = server.browser(Authorization=f"Bearer {key}")
            assert code(await program.get("/api/admin/users")) == "insufficient_scope"
            asked.clear()
            await program.get("/api/asked")
            assert [(one.channel, one.key_id, one.is_admin) for one in asked] == [("key", key_id, False)]
        assert (await server.browser(Authorization=f"Bearer {server_key}x").get("/api/asked")).status_code == 401


@pytest.mark.anyio
async def test_without_accounts_a_key_of_the_settings_is_needed_if_there_is_one(house: OpenHouse) -> None:
    async with house(accounts=False, api_key="s" * 20) as server:
        assert (await server.browser().get("/api/me")).status_code == 401
        me = await server.browser(Authorization=f"Bearer {'s' * 20}").get("/api/me")
        assert (me.json()["role"], me.json()["channel"]) == ("admin", "local")
    async with house(accounts=False) as server:  # OpenAI's clients always send some key
        assert (await server.browser(Authorization="Bearer none").get("/api/me")).json()["role"] == "admin"


@pytest.mark.anyio
async def test_nobody_has_endless_keys(house: OpenHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatwright.server.accounts.key_ring.MOST_PER_USER", 2)
    async with house() as server:
        ann = await server.join("ann")
        made = [await ann.post("/api/me/keys", json={"name": "x"}) for _ in range(3)]
        assert [answer.status_code for answer in made] == [201, 201, 409]
        first = (await ann.get("/api/me/keys", params={"limit": 1})).json()
        rest = (await ann.get("/api/me/keys", params={"limit": 1, "after": first["next"]})).json()
        assert (first["has_more"], rest["has_more"]) == (True, False)
        assert first["data"][0]["id"] != rest["data"][0]["id"]
