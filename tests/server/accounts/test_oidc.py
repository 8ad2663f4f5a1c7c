"""Signing in with an identity provider, and everything that must not pass for it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from joserfc.jwk import RSAKey
from sqlalchemy import update

from chatwright.errors import ConfigError
from chatwright.server.accounts.sign_in import RECENT_MS
from chatwright.server.database.tables import Session
from tests.server.accounts.conftest import PASSWORD, House, OpenHouse, code
from tests.server.accounts.fake_provider import CLIENT_ID, CLIENT_SECRET, FakeProvider, query_of, running_provider


@pytest.fixture(scope="module")
def one_provider() -> Iterator[FakeProvider]:
    with running_provider() as provider:
        yield provider


@pytest.fixture
def provider(one_provider: FakeProvider) -> FakeProvider:
    """The provider, honest and with Ann before it."""
    one_provider.person = {"sub": "ann-1", "preferred_username": "ann"}
    one_provider.forged, one_provider.key, one_provider.known_for_s, one_provider.tells = {}, None, 0, True
    return one_provider


@asynccontextmanager
async def linked_house(house: OpenHouse, provider: FakeProvider, **changes: Any) -> AsyncIterator[House]:
    """A server that believes this provider."""
    known = {"oidc_issuer": provider.issuer, "oidc_client_id": CLIENT_ID, "oidc_client_secret": CLIENT_SECRET}
    async with house(**known | changes) as server:
        yield server


async def come_back(browser: httpx.AsyncClient, **start: Any) -> str:
    """Go to the provider: the URL with which it sends the browser back."""
    answer = await browser.post("/api/oidc/start", json=start)
    assert answer.status_code == 200, answer.text
    async with httpx.AsyncClient() as outside:
        return str((await outside.get(answer.json()["url"])).headers["location"])


async def sign_in(browser: httpx.AsyncClient, **start: Any) -> str:
    """Go there and back: where the page is opened in the end."""
    answer = await browser.get(await come_back(browser, **start))
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"])


@pytest.mark.anyio
async def test_a_person_comes_back_to_the_same_account(house: OpenHouse, provider: FakeProvider) -> None:
    provider.person |= {"email": "ann@example.org", "email_verified": True}
    async with linked_house(house, provider) as server:
        first, second = server.browser(), server.browser()
        assert (await first.get("/api/setup")).json()["oidc"] is True
        assert await sign_in(first) == "/"
        me = (await first.get("/api/me")).json()
        assert (me["name"], me["role"], me["email"], me["has_password"]) == ("ann", "admin", "ann@example.org", False)
        provider.person["preferred_username"] = "renamed"
        assert await sign_in(second) == "/"
        assert (await second.get("/api/me")).json()["id"] == me["id"]


@pytest.mark.anyio
async def test_an_equal_name_or_address_is_another_person(house: OpenHouse, provider: FakeProvider) -> None:
    async with linked_house(house, provider) as server:
        own = await server.join("ann")
        provider.person |= {"email": "ann@example.org", "email_verified": False}
        browser = server.browser()
        assert await sign_in(browser) == "/"
        me = (await browser.get("/api/me")).json()
        assert (me["name"], me["role"], me["email"]) == ("ann 2", "user", None)
        assert me["id"] != (await own.get("/api/me")).json()["id"]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("offered", "name"),
    [("\u0430nn", "user"), ("local", "user"), ("\u200b", "user"), (" 安 \u202e Ann ", "安 Ann"), ("x" * 99, "x" * 61)],
)
async def test_case_5_a_provider_gives_nobody_a_name_that_could_not_be_chosen(
    house: OpenHouse, provider: FakeProvider, offered: str, name: str
) -> None:
    provider.person["preferred_username"] = offered
    async with linked_house(house, provider) as server:
        browser = server.browser()
        assert await sign_in(browser) == "/"
        assert (await browser.get("/api/me")).json()["name"] == name


@pytest.mark.anyio
async def test_nobody_signs_up_where_sign_up_is_closed(house: OpenHouse, provider: FakeProvider) -> None:
    async with linked_house(house, provider, sign_up="invitation") as server:
        admin = await server.join("admin")
        browser = server.browser()
        assert await sign_in(browser) == "/?sign_in_error=invitation_required"
        invitation = (await admin.post("/api/admin/invitations", json={})).json()["code"]
        assert await sign_in(browser, invitation=invitation) == "/"
        await admin.patch("/api/admin/settings", json={"sign_up": "closed"})
        provider.person["sub"] = "bob-1"
        assert await sign_in(server.browser()) == "/?sign_in_error=sign_up_closed"


@pytest.mark.anyio
async def test_an_account_is_linked_by_its_owner(house: OpenHouse, provider: FakeProvider) -> None:
    async with linked_house(house, provider) as server:
        await server.join("admin")
        ann, bob, stranger = await server.join("ann"), await server.join("bob"), server.browser()
        assert code(await stranger.post("/api/oidc/start", json={"link": True})) == "oidc_not_signed_in"
        assert await sign_in(ann, link=True) == "/"
        assert await sign_in(stranger) == "/"
        assert (await stranger.get("/api/me")).json()["name"] == "ann"
        assert await sign_in(bob, link=True) == "/?sign_in_error=identity_taken"
        # A browser whose owner changed between going and coming back links nothing.
        provider.person["sub"] = "somebody else"
        back = await come_back(bob, link=True)
        await bob.post("/api/sign-out")
        assert (await bob.get(back)).headers["location"] == "/?sign_in_error=oidc_not_signed_in"


async def grow_old(server: House) -> None:
    """Let everybody have proved who they are longer ago than what cannot be undone allows."""
    async with server.services.database.write() as db:
        await db.execute(update(Session).values(proved_ms=Session.proved_ms - RECENT_MS - 1))


@pytest.mark.anyio
async def test_an_identity_is_unlinked_unless_it_is_the_only_way_in(house: OpenHouse, provider: FakeProvider) -> None:
    async with linked_house(house, provider) as server:
        ann, bob = server.browser("10.0.0.1"), await server.join("bob")
        await sign_in(ann)
        (only,) = (await ann.get("/api/me/identities")).json()
        assert (only["issuer"], only["subject"]) == (provider.issuer, "ann-1")
        own = f"/api/me/identities/{only['id']}"
        assert (await bob.delete(own)).status_code == 404
        assert code(await ann.delete(own)) == "only_sign_in"
        provider.person["sub"] = "ann-2"
        assert await sign_in(ann, link=True) == "/"
        assert (await ann.delete(own)).status_code == 204
        (other,) = (await ann.get("/api/me/identities")).json()
        assert other["subject"] == "ann-2"
        assert (await ann.post("/api/me/password", json={"new_password": PASSWORD})).status_code == 200
        assert (await ann.delete(f"/api/me/identities/{other['id']}")).status_code == 204
        assert (await ann.get("/api/me/identities")).json() == []
        await server.enter("ann")


@pytest.mark.anyio
async def test_of_two_requests_that_take_a_way_in_each_one_is_refused(house: OpenHouse, provider: FakeProvider) -> None:
    async with linked_house(house, provider) as server:
        ann = server.browser()
        await sign_in(ann)
        provider.person["sub"] = "ann-2"
        await sign_in(ann, link=True)
        names = (await ann.get("/api/me/identities")).json()
        answers = await asyncio.gather(*(ann.delete(f"/api/me/identities/{name['id']}") for name in names))
        assert sorted(answer.status_code for answer in answers) == [204, 409]


@pytest.mark.anyio
async def test_without_a_password_a_recent_proof_tells_who_asks(house: OpenHouse, provider: FakeProvider) -> None:
    async with linked_house(house, provider) as server:
        await server.join("admin")
        ann = server.browser()
        await sign_in(ann)
        await grow_old(server)
        for method, path, body in (
            ("DELETE", "/api/me", {}),
            ("DELETE", "/api/me", {"current_password": "a guess"}),
            ("POST", "/api/me/password", {"new_password": PASSWORD}),
            ("POST", "/api/oidc/start", {"link": True}),
        ):
            assert code(await ann.request(method, path, json=body)) == "sign_in_again", path
        await sign_in(ann, again=True)
        assert (await ann.request("DELETE", "/api/me", json={})).status_code == 204
        assert (await ann.get("/api/me")).status_code == 401


@pytest.mark.parametrize("tells", [True, False])
@pytest.mark.anyio
async def test_an_open_browser_that_the_provider_knows_proves_nothing(
    house: OpenHouse, provider: FakeProvider, tells: bool
) -> None:
    provider.known_for_s, provider.tells = RECENT_MS // 1000 + 60, tells
    async with linked_house(house, provider) as server:
        await server.join("admin")
        ann = server.browser()
        await sign_in(ann)  # a session of this moment, without a question
        assert code(await ann.request("DELETE", "/api/me", json={})) == "sign_in_again"
        await sign_in(ann, again=True)
        assert (await ann.request("DELETE", "/api/me", json={})).status_code == 204


@pytest.mark.anyio
async def test_what_a_provider_should_have_asked_and_did_not_proves_nothing(
    house: OpenHouse, provider: FakeProvider
) -> None:
    async with linked_house(house, provider) as server:
        await server.join("admin")
        ann = server.browser()
        provider.person["auth_time"] = 1  # as where somebody takes the wish out of the address
        await sign_in(ann, again=True)
        assert code(await ann.request("DELETE", "/api/me", json={})) == "sign_in_again"


@pytest.mark.anyio
async def test_a_recent_sign_in_is_no_password(house: OpenHouse) -> None:
    async with house() as server:
        ann = await server.join("ann")
        assert code(await ann.request("DELETE", "/api/me", json={})) == "password_required"
        assert code(await ann.post("/api/me/password", json={"new_password": "another one"})) == "password_required"


@pytest.mark.anyio
async def test_what_another_browser_began_is_not_finished(house: OpenHouse, provider: FakeProvider) -> None:
    async with linked_house(house, provider) as server:
        attacker, victim = server.browser(), server.browser()
        back = await come_back(attacker)
        refused = "/?sign_in_error=oidc_state"
        assert (await victim.get(back)).headers["location"] == refused  # nothing was begun here
        await come_back(victim)
        assert (await victim.get(back)).headers["location"] == refused  # something else was
        cookie = attacker.cookies["chatwright_oidc"]
        forged = server.browser(Cookie=f"chatwright_oidc={cookie[:-1]}{'0' if cookie[-1] != '0' else '1'}")
        assert (await forged.get(back)).headers["location"] == refused
        mixed_up = back.replace("iss=http", "iss=https")
        assert (await attacker.get(mixed_up)).headers["location"] == refused


@pytest.mark.anyio
async def test_a_code_works_once(house: OpenHouse, provider: FakeProvider) -> None:
    async with linked_house(house, provider) as server:
        browser = server.browser()
        back = await come_back(browser)
        replay = server.browser(Cookie=f"chatwright_oidc={browser.cookies['chatwright_oidc']}")
        assert (await browser.get(back)).headers["location"] == "/"
        assert (await replay.get(back)).headers["location"] == "/?sign_in_error=oidc_refused"


@pytest.mark.anyio
async def test_a_token_for_something_else_is_not_believed(house: OpenHouse, provider: FakeProvider) -> None:
    forgeries: list[dict[str, Any]] = [{"nonce": "another"}, {"aud": "another client"}, {"iss": "https://evil.example"}]
    async with linked_house(house, provider) as server:
        for forged in [*forgeries, {"exp": 1}, {"sub": ""}, {"sub": 7}, {"azp": "another client"}]:
            provider.forged = forged
            browser = server.browser()
            assert await sign_in(browser) == "/?sign_in_error=oidc_refused", forged
            assert (await browser.get("/api/me")).status_code == 401


@pytest.mark.anyio
async def test_a_token_signed_by_somebody_else_is_not_believed(house: OpenHouse, provider: FakeProvider) -> None:
    async with linked_house(house, provider) as server:
        provider.key = RSAKey.generate_key(2048, {"kid": "1"})
        assert await sign_in(server.browser()) == "/?sign_in_error=oidc_refused"
        provider.published, provider.key = provider.key, None  # the provider has changed its key
        assert await sign_in(server.browser()) == "/"


@pytest.mark.anyio
async def test_the_provider_refuses(house: OpenHouse, provider: FakeProvider) -> None:
    async with linked_house(house, provider) as server:
        browser = server.browser()
        state = query_of(await come_back(browser))["state"]
        answer = await browser.get("/api/oidc/callback", params={"error": "access_denied", "state": state})
        assert answer.headers["location"] == "/?sign_in_error=oidc_refused"


@pytest.mark.anyio
@pytest.mark.parametrize("people", [1, 6])
async def test_case_5_first_sign_ins_make_one_admin(house: OpenHouse, provider: FakeProvider, people: int) -> None:
    async with linked_house(house, provider) as server:
        tabs = []
        for number in range(6):
            provider.person = {"sub": f"person {number % people}", "preferred_username": "same"}
            browser = server.browser()
            tabs.append((browser, await come_back(browser)))
        await asyncio.gather(*(browser.get(url) for browser, url in tabs))
        accounts = [(await browser.get("/api/me")).json() for browser, _ in tabs]
        assert len({account["id"] for account in accounts}) == people
        assert len({account["id"] for account in accounts if account["role"] == "admin"}) == 1


@pytest.mark.anyio
@pytest.mark.parametrize("issuer", ["http://id.example.org", "id.example.org", "file:///etc/passwd", ""])
async def test_case_7_secrets_go_to_https_only(house: OpenHouse, issuer: str) -> None:
    with pytest.raises(ConfigError, match="https"):
        async with house(oidc_issuer=issuer, oidc_client_id=CLIENT_ID):
            pass


@pytest.mark.anyio
async def test_without_a_provider_there_is_none(house: OpenHouse) -> None:
    async with house() as server:
        assert code(await server.browser().post("/api/oidc/start", json={})) == "oidc_off"
        assert (await server.browser().get("/api/oidc/callback")).status_code == 404


@pytest.mark.anyio
async def test_a_provider_that_is_away_is_said(house: OpenHouse) -> None:
    async with house(oidc_issuer="http://127.0.0.1:9", oidc_client_id=CLIENT_ID) as server:
        answer = await server.browser().post("/api/oidc/start", json={})
        assert (answer.status_code, code(answer)) == (503, "oidc_unavailable")
