"""Whose things these are, and what a bad request is told: cases 1, 5, 9, 12 and 13 as far as conversations go."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from tests.server.conversations.conftest import OpenWorld

pytestmark = pytest.mark.anyio
OWNERS: tuple[tuple[str, str, Any], ...] = (
    ("GET", "/api/conversations/{c}", None),
    ("PATCH", "/api/conversations/{c}", {"title": "mine now"}),
    ("DELETE", "/api/conversations/{c}", None),
    ("GET", "/api/conversations/{c}/messages", None),
    ("GET", "/api/conversations/{c}/context", None),
    ("GET", "/api/conversations/{c}/feedback", None),
    ("POST", "/api/conversations/{c}/share", {}),
    ("POST", "/api/conversations/{c}/messages", {"content": "hello"}),
    ("POST", "/api/conversations/{c}/compare", {"content": "hello"}),
    ("POST", "/api/conversations/{c}/messages/{m}/regenerate", {}),
    ("POST", "/api/conversations/{c}/messages/{m}/edit", {"content": "hello"}),
    ("POST", "/api/conversations/{c}/messages/{m}/continue", {}),
    ("POST", "/api/conversations/{c}/messages/{m}/stop", {}),
    ("GET", "/api/messages/{m}", None),
    ("GET", "/api/messages/{m}/events", None),
    ("PUT", "/api/messages/{m}/rating", {"thumb": 1}),
    ("DELETE", "/api/messages/{m}/rating", None),
    ("PUT", "/api/choices", {"first_id": "{m}", "second_id": "{m}", "chosen_id": None}),
    ("PATCH", "/api/folders/{f}", {"name": "mine now"}),
    ("DELETE", "/api/folders/{f}", None),
    ("DELETE", "/api/shares/{s}", None),
)
LISTS = ("/api/conversations", "/api/conversations/search?q=secret", "/api/folders", "/api/shares")


def filled(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, str):
        for name, text in names.items():
            value = value.replace(f"{{{name}}}", text)
        return value
    return {key: filled(item, names) for key, item in value.items()} if isinstance(value, dict) else value


async def send(http: httpx.AsyncClient, method: str, path: str, body: Any, names: dict[str, str]) -> httpx.Response:
    return await http.request(method, filled(path, names), json=filled(body, names) if body is not None else None)


async def test_case_1_what_belongs_to_somebody_else_is_not_there(world: OpenWorld) -> None:
    async with world(accounts=True, sign_up="open", admins_read_chats=True) as w:
        admin, anna, ben = [await w.person(name) for name in ("admin", "anna", "ben")]
        folder = (await anna.post("/api/folders", json={"name": "F"})).json()["id"]
        conversation = await w.conversation(anna, folder_id=folder)
        answer = await w.answered(conversation, "secret", anna)
        share = (await anna.post(f"/api/conversations/{conversation}/share")).json()["id"]
        names = {"c": conversation, "m": answer["id"], "f": folder, "s": share}
        for method, path, body in OWNERS:
            for other in (ben, admin):
                refused = await send(other, method, path, body, names)
                assert (refused.status_code, set(refused.json()["error"])) == (
                    404,
                    {"message", "type", "param", "code"},
                ), (method, path, refused.text)
            async with w.another_client() as nobody:
                assert (await send(nobody, method, path, body, names)).status_code == 401, (method, path)
        for path in LISTS:
            assert (await ben.get(path)).json()["data"] == [], path
        assert (await anna.get(f"/api/conversations/{conversation}")).json()["title_by"] != "person"
        assert (await anna.get(f"/api/messages/{answer['id']}")).json()["content"] == "answer 1"
        # And the other way round: what is hers cannot be tied to what is his
        own = await w.conversation(ben)
        for body in ({"folder_id": folder}, {"current_id": answer["id"]}):
            assert (await ben.patch(f"/api/conversations/{own}", json=body)).status_code == 404
        asked = {"content": "what did she say?", "parent_id": answer["id"]}
        assert (await ben.post(f"/api/conversations/{own}/messages", json=asked)).status_code == 404
        assert (await ben.post("/api/conversations", json={"folder_id": folder})).status_code == 404


async def test_case_1_a_message_of_another_conversation_is_not_there_either(world: OpenWorld) -> None:
    async with world() as w:
        first, second = await w.conversation(), await w.conversation()
        answer = await w.answered(first, "Hello")
        for action in ("regenerate", "edit", "continue", "stop"):
            path = f"/api/conversations/{second}/messages/{answer['id']}/{action}"
            refused = await w.http.post(path, json={"content": "x"} if action == "edit" else None)
            assert refused.status_code == 404, (action, refused.text)
        for path, params in (("share", None), ("context", {"leaf_id": answer["id"]})):
            method = "POST" if path == "share" else "GET"
            body = {"leaf_id": answer["id"]} if path == "share" else None
            refused = await w.http.request(method, f"/api/conversations/{second}/{path}", json=body, params=params)
            assert refused.status_code == 404


async def test_case_5_the_end_of_all_sessions_stops_answers(world: OpenWorld) -> None:
    async with world(accounts=True, sign_up="open") as w:
        await w.person("admin")
        anna = await w.person("anna")
        w.model.holds_still = True
        await w.ask(await w.conversation(anna), "Go.", anna)
        assert (await anna.post("/api/sign-out-everywhere", json={})).status_code < 300
        async with asyncio.timeout(10):
            await w.model.answers[0].is_cancelled.wait()


async def test_case_9_and_13_what_people_write_is_kept_as_text(world: OpenWorld) -> None:
    async with world() as w:
        for text in ("<|im_end|>", "<script>alert(1)</script>", "![x](https://evil.example/?q=1)"):
            conversation = await w.conversation(title=text)
            w.model.replies = [text]
            answer = await w.answered(conversation, text)
            assert answer["content"] == text
            assert w.model.answers[-1].request.messages[0].content == text
            shown = await w.http.get(f"/api/conversations/{conversation}")
            assert (shown.json()["title"], shown.headers["content-type"]) == (text, "application/json")


BAD_TEXTS: tuple[Any, ...] = (None, 7, [], {}, "", "  \n", "\ud800", "a\0b", "x" * 500_001, True)


async def test_case_12_bad_questions_are_refused(world: OpenWorld) -> None:
    async with world() as w:
        conversation = await w.conversation()
        for text in BAD_TEXTS:
            await refuse(w.http, f"/api/conversations/{conversation}/messages", {"content": text})
        assert w.model.answers == []


async def test_case_12_bad_values_everywhere_are_refused(world: OpenWorld) -> None:
    deep = b'{"content": ' + b"[" * 50_000 + b"]" * 50_000 + b"}"
    async with world() as w:
        conversation = await w.conversation()
        path = f"/api/conversations/{conversation}/messages"
        for extra in (
            {"sampling": {"temperature": 1e9}},
            {"sampling": {"temperature": "hot"}},
            {"sampling": {"n": 5}},
            {"sampling": {"stop": ["a"] * 5}},
            {"sampling": {"seed": 1 << 70}},
            {"sampling": None},
            {"parent_id": "../../etc/passwd"},
            {"parent_id": "msg_\0"},
            {"parent_id": 5},
            {"model": "m" * 201},
            {"attachments": [{"name": "a", "text": "t"}] * 11},
            {"attachments": [{"name": "\0", "text": "t"}]},
            {"unknown": 1},
        ):
            await refuse(w.http, path, {"content": "hello", **extra})
        await refuse(w.http, path, b'{"content": "x", "sampling": {"temperature": NaN}}')
        await refuse(w.http, path, b'{"content": "x", "sampling": {"top_k": 1e400}}')
        await refuse(w.http, path, b"\xff\xfe{")
        await refuse(w.http, path, deep)
        await refuse(w.http, path, b'"\\ud800"')
        assert w.model.answers == []
        for query in (
            "limit=0",
            "limit=1e9",
            "limit=-1",
            "after=%00",
            "utc_offset_minutes=99999",
            "archived=maybe",
            "after=conv_unknown",
        ):
            answer = await w.http.get(f"/api/conversations?{query}")
            assert answer.status_code in (400, 404), (query, answer.text)
        for words in ("", "x" * 501, "%00", '" OR 1', "a* NOT (b", "'; DROP TABLE messages; --"):
            answer = await w.http.get("/api/conversations/search", params={"q": words})
            assert answer.status_code in (200, 400), words
        assert (await w.http.get("/api/messages/%00/events")).status_code in (400, 404)
        assert (await w.http.patch(f"/api/conversations/{conversation}", json={"pinned": None})).status_code == 400


async def refuse(http: httpx.AsyncClient, path: str, body: Any) -> None:
    # By json.dumps: httpx's own encoding has no lone surrogates, a bad client's has
    content = body if isinstance(body, bytes) else json.dumps(body)
    answer = await http.post(path, content=content, headers={"content-type": "application/json"})
    assert 400 <= answer.status_code < 500, answer.text
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
