"""Signing up: the first account, who may follow, and what is refused."""

import asyncio
import json

import httpx
import pytest

from tests.server.conftest import Client

PASSWORD = "correct horse battery"


async def post(http: httpx.AsyncClient, path: str, body: object) -> httpx.Response:
    """A request in pure ASCII: httpx's own way refuses to send lone surrogates."""
    return await http.post(path, content=json.dumps(body), headers={"Content-Type": "application/json"})


async def sign_up(http: httpx.AsyncClient, name: str, **more: str) -> httpx.Response:
    """An attempt to make an account, by a browser without cookies."""
    http.cookies.clear()
    return await post(http, "/api/sign-up", {"name": name, "password": PASSWORD, **more})


@pytest.mark.anyio
@pytest.mark.parametrize("mode", ["open", "closed"])
async def test_case_5_fifty_first_sign_ups_make_one_admin(client: Client, mode: str) -> None:
    async with client(sign_up=mode) as http:
        answers = await asyncio.gather(*(sign_up(http, f"person {number}") for number in range(50)))
        made = [answer.json() for answer in answers if answer.status_code == 201]
        assert [account["role"] for account in made].count("admin") == 1
        assert len(made) == (50 if mode == "open" else 1)
        assert {answer.status_code for answer in answers} <= {201, 403}
        assert (await http.get("/api/setup")).json()["first_account"] is True


@pytest.mark.anyio
async def test_a_name_is_taken_however_it_is_written(client: Client) -> None:
    async with client(sign_up="open") as http:
        assert (await sign_up(http, "Alice")).status_code == 201
        for same in ("alice", "ＡＬＩＣＥ", " Alice "):
            answer = await sign_up(http, same)
            assert (answer.status_code, answer.json()["error"]["code"]) == (409, "name_taken")
        assert (await sign_up(http, "local")).json()["error"]["code"] == "name_taken"


@pytest.mark.anyio
async def test_names_that_cannot_be_read_are_refused(client: Client) -> None:
    names = ["", " ", "a\u202eb", "x" * 65, "two  spaces", "line\nbreak", "nul\0", "\ud800", "x" * 10_000]
    names += ["\ufe0f", "zero\u200bwidth", "joi\u200dned", "fill\u3164er", "brai\u2800lle", "soft\u00adhyphen"]
    async with client(sign_up="open") as http:
        for name in names:
            answer = await sign_up(http, name)
            assert (answer.status_code, answer.json()["error"]["param"]) == (400, "name"), name


# Nobody can tell these from names in plain Latin letters: the homoglyphs are Cyrillic, Greek, Armenian, Cherokee.
DISGUISED = ["\u0430dmin", "adm\u0456n", "\u0391dmin", "alic\u0435", "b\u03bfb", "\u0585liver", "\u13aalice"]
HONEST = ["админ", "Αθήνα", "王小明 Ming", "たろう Taro", "김철수 Kim", "Zoë", "Ⅷ", "İnci", "O’Neil", "R2-D2 🤖", "❤️"]


@pytest.mark.anyio
async def test_case_5_names_in_letters_that_look_like_others_are_refused(client: Client) -> None:
    async with client(sign_up="open") as http:
        assert (await sign_up(http, "admin")).status_code == 201
        for name in DISGUISED:
            answer = await sign_up(http, name)
            assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_name"), ascii(name)
            assert "alphabets" in answer.json()["error"]["message"]
        for name in HONEST:
            assert (await sign_up(http, name)).status_code == 201, name
        for same in ("𝐚𝐝𝐦𝐢𝐧", "ａｄｍｉｎ", "ⓐⓓⓜⓘⓝ", "ADMIN", "ad\ufe0fmin", "АДМИН", "❤", "viii", "王小明　MING"):
            answer = await sign_up(http, same)
            assert (answer.status_code, answer.json()["error"]["code"]) == (409, "name_taken"), same


@pytest.mark.anyio
async def test_passwords_that_are_no_good_are_refused(client: Client) -> None:
    async with client(sign_up="open") as http:
        for password in ("short", "", "x" * 1025, "\ud800" * 10, "Somebody"):
            answer = await post(http, "/api/sign-up", {"name": "somebody", "password": password})
            assert (answer.status_code, answer.json()["error"]["param"]) == (400, "password"), password


@pytest.mark.anyio
async def test_an_invitation_lets_in_as_many_as_it_says(client: Client) -> None:
    async with client(sign_up="invitation") as http:
        await sign_up(http, "admin")
        session = dict(http.cookies)
        made = await http.post("/api/admin/invitations", json={"max_uses": 2, "note": "colleagues"})
        code, invitation_id = made.json()["code"], made.json()["id"]
        assert (await sign_up(http, "stranger")).json()["error"]["code"] == "invitation_required"
        assert (await sign_up(http, "guesser", invitation="x")).json()["error"]["code"] == "invalid_invitation"
        answers = await asyncio.gather(*(sign_up(http, f"guest {number}", invitation=code) for number in range(5)))
        assert sorted(answer.status_code for answer in answers) == [201, 201, 403, 403, 403]
        http.cookies = httpx.Cookies(session)
        listed = (await http.get("/api/admin/invitations")).json()["data"]
        assert [(row["id"], row["uses"]) for row in listed] == [(invitation_id, 2)]
        assert code not in str(listed)


@pytest.mark.anyio
async def test_a_revoked_invitation_lets_nobody_in(client: Client) -> None:
    async with client(sign_up="invitation") as http:
        await sign_up(http, "admin")
        made = (await http.post("/api/admin/invitations", json={})).json()
        assert (await http.delete(f"/api/admin/invitations/{made['id']}")).status_code == 204
        assert (await sign_up(http, "late", invitation=made["code"])).json()["error"]["code"] == "invalid_invitation"


@pytest.mark.anyio
async def test_a_server_without_accounts_has_one_user_who_administers(client: Client) -> None:
    async with client(accounts=False) as http:
        me = (await http.get("/api/me")).json()
        assert (me["name"], me["role"], me["channel"]) == ("local", "admin", "local")
        assert (await sign_up(http, "somebody")).json()["error"]["code"] == "accounts_off"
        changed = await http.patch("/api/me", json={"language": "zh", "preferences": {"theme": "dark"}})
        assert changed.json()["preferences"] == {"theme": "dark"}
        refused = await http.patch("/api/me", json={"name": ""})
        assert "用户名" in refused.json()["error"]["message"]
