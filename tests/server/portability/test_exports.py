"""Exports hold everything in the form that was asked for, and what goes out can come in again."""

import io
import json
import zipfile
from typing import Any

import httpx
import pytest

from chatwright.data.formats import parse_row
from chatwright.data.rows import Dialogue
from tests.server.conftest import Client
from tests.server.portability.chatgpt_export import conversation, many, message, rivers
from tests.server.portability.test_imports import exported, finished

pytestmark = pytest.mark.anyio


def said(conversations: list[dict[str, Any]]) -> list[list[tuple[str, str]]]:
    return sorted([(each["role"], each["content"]) for each in one["messages"]] for one in conversations)


async def only_id(http: httpx.AsyncClient) -> str:
    [one] = (await http.get("/api/conversations")).json()["data"]
    return str(one["id"])


@pytest.mark.parametrize("form", ["json", "chatgpt"])
async def test_all_branches_survive_the_way_out_and_in(client: Client, form: str) -> None:
    async with client(accounts=False) as http:
        await finished(http, json.dumps([rivers(is_starred=True, is_archived=False)]).encode())
        before = await exported(http)
        data = (await http.get("/api/export", params={"format": form})).content
        assert (await finished(http, data))["conversations"] == (0 if form == "json" else 1)
        await http.delete(f"/api/conversations/{before[0]['id']}")
        await finished(http, data)
        after = await exported(http)
        assert said(after) == said(before)
        one, other = before[0], after[0]
        for key in ("title", "pinned", "archived", "system_prompt", "created_ms", "updated_ms"):
            assert one[key] == other[key]
        assert [each["created_ms"] for each in one["messages"]] == [each["created_ms"] for each in other["messages"]]


@pytest.mark.parametrize("form", ["sharegpt", "messages"])
async def test_lines_are_rows_to_train_on_and_come_in_again(client: Client, form: str) -> None:
    async with client(accounts=False) as http:
        await finished(http, json.dumps(many(3)).encode())
        answer = await http.get("/api/export", params={"format": form})
        assert answer.headers["content-type"] == "application/jsonl"
        rows = [json.loads(line) for line in answer.text.splitlines()]
        assert len(rows) == 3
        for row in rows:
            dialogue = parse_row(row, (Dialogue,))
            assert isinstance(dialogue, Dialogue)
            assert [turn.content for turn in dialogue.messages][-1] == "Not entirely."
        report = await finished(http, answer.content)
        assert (report["status"], report["conversations"]) == ("complete", 3 if form == "sharegpt" else 1)


async def test_markdown_is_the_shown_branch_and_all_of_it_a_zip(client: Client) -> None:
    async with client(accounts=False) as http:
        titles = ["河流/../x", "河流/../x", "", ".hidden"]
        await finished(
            http, json.dumps([rivers(title=t, conversation_id=str(n)) for n, t in enumerate(titles)]).encode()
        )
        answer = await http.get("/api/export", params={"format": "markdown"}, headers={"Accept-Language": "zh"})
        assert answer.headers["content-type"] == "application/zip"
        with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
            assert archive.testzip() is None
            names = archive.namelist()
            texts = [archive.read(name).decode() for name in names]
        assert len(set(names)) == 4
        assert not any("/" in name or ".." in name or name.startswith(".") for name in names)
        assert all("## 用户\n\n哪条河最长？" in text and "The Amazon" not in text for text in texts)
        assert all("## 助手 · gpt-4o\n\nThe Nile." in text for text in texts)


async def test_the_download_has_the_conversations_name(client: Client) -> None:
    async with client(accounts=False) as http:
        await finished(http, json.dumps(rivers(title='河\r\nSet-Cookie: "x"')).encode())
        answer = await http.get(f"/api/conversations/{await only_id(http)}/export", params={"format": "json"})
        assert "set-cookie" not in answer.headers
        assert answer.headers["content-disposition"].endswith("UTF-8''%E6%B2%B3%20Set-Cookie_%20_x.json")
        unknown = await http.get("/api/export", params={"format": "exe"})
        assert (unknown.status_code, unknown.json()["error"]["param"]) == (400, "format")


async def test_a_system_prompt_and_empty_exports_are_sound(client: Client) -> None:
    async with client(accounts=False) as http:
        assert (await http.get("/api/export")).json() == []
        assert (await http.get("/api/export", params={"format": "messages"})).text.strip() == ""
        system = message("system", "Be brief.")
        tree = conversation({"s": (None, system), "q": ("s", message("user", "Hi"))})
        await finished(http, json.dumps(tree).encode())
        row = json.loads((await http.get("/api/export", params={"format": "messages"})).text)
        assert row["messages"][0] == {"role": "system", "content": "Be brief."}
        chatgpt = (await http.get("/api/export", params={"format": "chatgpt"})).content
        await http.delete(f"/api/conversations/{await only_id(http)}")
        await finished(http, chatgpt)
        assert [one["system_prompt"] for one in await exported(http)] == ["Be brief."]
