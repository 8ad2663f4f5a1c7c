"""Sessions: what they open, and everything that ends them and what they had open."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated, Any

import httpx
import pytest
from sqlalchemy import select, update

from chatwright.server.accounts.throttle import Throttle
from chatwright.server.database.tables import Session, User
from chatwright.server.errors import ApiError
from chatwright.server.policy import allow
from chatwright.server.principal import Principal
from chatwright.server.sse import EventStream, event
from tests.server.accounts.conftest import PASSWORD, House, OpenHouse, code

Ends = Callable[[House, httpx.AsyncClient, httpx.AsyncClient, str], Awaitable[Any]]


def add_stream(house: House) -> asyncio.Event:
    """A route that streams until it is cut off; returns what tells that one is open."""
    is_open = asyncio.Event()

    @house.app.get("/api/endless")
    async def endless(_: Annotated[Principal, allow("user", scope="conversations")]) -> EventStream:
        async def events() -> AsyncIterator[bytes]:
            yield event('"begun"')
            is_open.set()
            await asyncio.Event().wait()

        return EventStream(events())

    return is_open


ENDS: dict[str, Ends] = {
    "sign out": lambda house, admin, own, user: own.post("/api/sign-out"),
    "sign out everywhere": lambda house, admin, own, user: own.post("/api/sign-out-everywhere"),
    "password": lambda house, admin, own, user: own.post(
        "/api/me/password", json={"current_password": PASSWORD, "new_password": "another long one"}
    ),
    "password by admin": lambda house, admin, own, user: admin.patch(user, json={"password": "another long one"}),
    "role": lambda house, admin, own, user: admin.patch(user, json={"role": "admin"}),
    "disabled": lambda house, admin, own, user: admin.patch(user, json={"disabled": True}),
    "deleted": lambda house, admin, own, user: admin.delete(user),
}


@pytest.mark.anyio
@pytest.mark.parametrize("how", ENDS)
async def test_case_5_sessions_and_streams_end_at_once(house: OpenHouse, how: str) -> None:
    async with house() as server:
        is_open = add_stream(server)
        admin, own = await server.join("admin"), await server.join("ann")
        user = f"/api/admin/users/{(await own.get('/api/me')).json()['id']}"
        old = httpx.Cookies(own.cookies)
        stopped: list[str] = []
        server.services.accounts.on_end(stopped.append)
        stream = asyncio.create_task(own.get("/api/endless"))
        await asyncio.wait_for(is_open.wait(), 10)
        answer = await ENDS[how](server, admin, own, user)
        assert answer.status_code < 300, answer.text
        ended = await asyncio.wait_for(stream, 10)
        assert "begun" in ended.text
        assert "session_ended" in ended.text
        assert stopped == ([] if how == "sign out" else [user.rpartition("/")[2]])  # what goes on without a request
        again = server.browser()
        again.cookies = old
        assert code(await again.get("/api/me")) == "session_ended"
        assert (await admin.get("/api/me")).status_code == 200


@pytest.mark.anyio
async def test_signing_one_browser_out_leaves_the_others(house: OpenHouse) -> None:
    async with house() as server:
        is_open = add_stream(server)
        first = await server.join("ann")
        second, third = await server.enter("ann"), await server.enter("ann")
        stream = asyncio.create_task(third.get("/api/endless"))
        await asyncio.wait_for(is_open.wait(), 10)
        listed = (await first.get("/api/me/sessions")).json()["data"]
        assert len(listed) == 3
        assert [row["current"] for row in listed] == [False, False, True]
        assert (await first.delete(f"/api/me/sessions/{listed[1]['id']}")).status_code == 204
        assert code(await second.get("/api/me")) == "session_ended"
        assert (await third.get("/api/me")).status_code == 200
        assert not stream.done()
        await third.post("/api/sign-out")
        await asyncio.wait_for(stream, 10)


@pytest.mark.anyio
async def test_case_1_somebody_elses_session_and_key_do_not_exist(house: OpenHouse) -> None:
    async with house() as server:
        ann, bob = await server.join("ann"), await server.join("bob")
        program = await server.key(ann)
        session = (await ann.get("/api/me/sessions")).json()["data"][0]["id"]
        key = (await ann.get("/api/me/keys")).json()["data"][0]["id"]
        for answer in (
            await bob.delete(f"/api/me/sessions/{session}"),
            await bob.delete(f"/api/me/keys/{key}"),
            await bob.patch(f"/api/me/keys/{key}", json={"name": "mine"}),
        ):
            assert answer.status_code == 404
        assert (await program.get("/api/me")).json()["name"] == "ann"
        assert (await ann.get("/api/me")).status_code == 200


@pytest.mark.anyio
async def test_another_process_ends_its_streams_too(house: OpenHouse) -> None:
    async with house() as one, house() as other:  # the same home: two processes of one server
        is_open = add_stream(other)
        admin = await one.join("admin")
        ann = await one.join("ann")
        elsewhere = other.browser()
        elsewhere.cookies = ann.cookies
        stopped: list[str] = []
        other.services.accounts.on_end(stopped.append)
        stream = asyncio.create_task(elsewhere.get("/api/endless"))
        await asyncio.wait_for(is_open.wait(), 10)
        user_id = (await ann.get("/api/me")).json()["id"]
        await admin.patch(f"/api/admin/users/{user_id}", json={"disabled": True})
        assert "session_ended" in (await asyncio.wait_for(stream, 10)).text
        assert stopped == [user_id]


@pytest.mark.anyio
async def test_a_cookie_is_kept_from_scripts_and_other_sites(house: OpenHouse) -> None:
    async with house(public_url="https://chat.example.org") as server:
        answer = await server.browser().post("/api/sign-up", json={"name": "ann", "password": PASSWORD})
        cookie = next(value for value in answer.headers.get_list("set-cookie") if "chatwright_session" in value)
        assert {"HttpOnly", "Secure", "SameSite=lax", "Path=/"} <= set(cookie.split("; "))


@pytest.mark.anyio
async def test_signing_in_takes_no_session_over(house: OpenHouse) -> None:
    async with house() as server:
        await server.join("ann")
        bob = await server.join("bob")
        before = bob.cookies["chatwright_session"]
        await bob.post("/api/sign-in", json={"name": "ann", "password": PASSWORD})
        assert bob.cookies["chatwright_session"] != before
        old = server.browser(Cookie=f"chatwright_session={before}")
        assert code(await old.get("/api/me")) == "session_ended"


@pytest.mark.anyio
async def test_sessions_expire_and_only_their_hash_is_kept(house: OpenHouse) -> None:
    async with house() as server:
        ann = await server.join("ann")
        token = ann.cookies["chatwright_session"]
        async with server.services.database.write() as db:
            rows = list(await db.scalars(select(Session)))
            assert all(token not in str(vars(row)) for row in rows)
            await db.execute(update(Session).values(expires_ms=1))
        assert code(await ann.get("/api/me")) == "session_ended"
        assert (await ann.get("/api/setup")).status_code == 200
        assert (await ann.post("/api/sign-out")).status_code == 204


@pytest.mark.anyio
async def test_a_wrong_password_tells_nothing_and_is_slowed_down(house: OpenHouse) -> None:
    async with house() as server:
        ann = await server.join("ann", address="10.0.0.1")
        wrong = {"name": "ann", "password": "wrong wrong"}
        guesser = server.browser("10.6.6.6")
        answers = await asyncio.gather(*(guesser.post("/api/sign-in", json=wrong) for _ in range(30)))
        assert [answer.status_code for answer in answers].count(401) == 5
        refused = next(answer for answer in answers if answer.status_code == 429)
        assert int(refused.headers["retry-after"]) > 0
        nobody = await server.browser("10.7.7.7").post("/api/sign-in", json={**wrong, "name": "nobody"})
        assert nobody.json() == next(answer for answer in answers if answer.status_code == 401).json()
        right = {"name": "ann", "password": PASSWORD}
        assert (await guesser.post("/api/sign-in", json=right)).status_code == 429
        assert (await ann.post("/api/sign-in", json=right)).status_code == 200


@pytest.mark.anyio
async def test_guessing_from_everywhere_does_not_lock_the_owner_out(house: OpenHouse) -> None:
    async with house() as server:
        ann = await server.join("ann")
        await ann.post("/api/sign-out")
        wrong = {"name": "ann", "password": "wrong wrong"}
        for number in range(60):
            await server.browser(f"10.1.0.{number}").post("/api/sign-in", json=wrong)
        right = {"name": "ann", "password": PASSWORD}
        assert (await server.browser("10.2.2.2").post("/api/sign-in", json=right)).status_code == 429
        assert (await ann.post("/api/sign-in", json=right)).status_code == 200


@pytest.mark.anyio
async def test_the_password_is_changed_by_who_knows_it(house: OpenHouse) -> None:
    async with house() as server:
        ann = await server.join("ann")
        body = {"current_password": "not the one", "new_password": "another long one"}
        assert code(await ann.post("/api/me/password", json=body)) == "invalid_credentials"
        assert (await ann.post("/api/me/password", json={**body, "current_password": PASSWORD})).status_code == 200
        assert (await ann.get("/api/me")).status_code == 200
        await server.enter("ann", "another long one")
        async with server.services.database.read() as db:
            user = (await db.scalars(select(User))).one()
        assert user.password_hash is not None
        assert user.password_hash.startswith("$argon2id$")


@pytest.mark.anyio
async def test_a_disabled_account_is_told_only_to_its_owner(house: OpenHouse) -> None:
    async with house() as server:
        admin, ann = await server.join("admin"), await server.join("ann")
        program = await server.key(ann)
        user_id = (await ann.get("/api/me")).json()["id"]
        await admin.patch(f"/api/admin/users/{user_id}", json={"disabled": True})
        browser = server.browser("10.3.3.3")
        right = await browser.post("/api/sign-in", json={"name": "ann", "password": PASSWORD})
        wrong = await browser.post("/api/sign-in", json={"name": "ann", "password": "wrong wrong"})
        assert (code(right), code(wrong)) == ("account_disabled", "invalid_credentials")
        assert code(await program.get("/api/me")) == "invalid_api_key"
        await admin.patch(f"/api/admin/users/{user_id}", json={"disabled": False})
        assert (await program.get("/api/me")).status_code == 200


@pytest.mark.anyio
async def test_processes_that_share_redis_count_together(house: OpenHouse, redis_url: str) -> None:
    async with house(redis_url=redis_url) as one, house(redis_url=redis_url) as other:
        await one.join("ann")
        wrong = {"name": "ann", "password": "wrong wrong"}
        guessers = [server.browser("10.6.6.6") for server in (one, other) for _ in range(5)]
        answers = await asyncio.gather(*(browser.post("/api/sign-in", json=wrong) for browser in guessers))
        assert sorted(answer.status_code for answer in answers) == [401] * 5 + [429] * 5


@pytest.mark.anyio
async def test_while_redis_is_away_nobody_guesses() -> None:
    with pytest.raises(ApiError) as refused:
        await Throttle("redis://127.0.0.1:9").sign_in(Principal(address="10.0.0.1"), "ann", None)
    assert (refused.value.status, refused.value.code) == (503, "limits_unavailable")
