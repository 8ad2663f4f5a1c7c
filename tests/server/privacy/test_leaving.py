"""What people take with them is all there is of them; what they have deleted is nowhere, and others' things stay."""

import io
import json
import zipfile
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select, text

from chatwright.server.database import tables
from chatwright.server.database.base import Base
from chatwright.server.database.tables import ModerationEntry, Usage
from chatwright.server.identifiers import now_ms
from chatwright.server.privacy.personal_data import OTHERWISE, TABLES
from tests.server.conversations.conftest import OpenWorld, World
from tests.server.portability.chatgpt_export import rivers
from tests.server.portability.test_imports import finished

pytestmark = pytest.mark.anyio
CANARY = "zanzibarquokka"


async def live(world: World, http: httpx.AsyncClient) -> dict[str, str]:
    """Leave traces in every room; ids of what was made."""
    me = (await http.get("/api/me")).json()
    await http.patch("/api/me", json={"training_consent": True})
    await http.post("/api/me/keys", json={"name": f"key {CANARY}", "scopes": ["conversations"]})
    folder = (await http.post("/api/folders", json={"name": f"folder {CANARY}"})).json()
    conversation = await world.conversation(http, title=f"title {CANARY}", folder_id=folder["id"])
    world.model.replies = [f"the answer is {CANARY}"]
    answer = await world.answered(conversation, f"what is {CANARY}?", http)
    rated = await http.put(f"/api/messages/{answer['id']}/rating", json={"thumb": 1, "comment": f"good {CANARY}"})
    assert rated.status_code == 200, rated.text
    shared = await http.post(f"/api/conversations/{conversation}/share", json={})
    assert shared.status_code in (200, 201), shared.text
    uploaded = await http.post(
        "/v1/files",
        files={"file": (f"{CANARY}.jsonl", CANARY.encode())},
        data={"purpose": "user_data"},
        headers={"X-Requested-With": "chatwright"},
    )
    assert uploaded.status_code == 200, uploaded.text
    await finished(http, json.dumps(rivers(title=f"imported {CANARY}")).encode())
    async with world.services.database.write() as session:
        session.add(
            ModerationEntry(
                id=f"mod_{me['id']}",
                at_ms=now_ms(),
                user_id=me["id"],
                direction="input",
                action="flag",
                categories=[],
                model="m",
                excerpt=CANARY,
            )
        )
        await session.merge(Usage(user_id=me["id"], key_id="", model="m", hour_ms=0, requests=1))
    return {"user": me["id"], "conversation": conversation, "share": shared.json()["id"]}


def opened(answer: httpx.Response) -> dict[str, bytes]:
    assert answer.status_code == 200
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


async def test_the_personal_export_has_everything_and_no_secret(world: OpenWorld) -> None:
    async with world(accounts=True, sign_up="open") as here:
        alice, bob = await here.person("alice"), await here.person("bob")
        await live(here, alice)
        made = await live(here, bob)
        await bob.patch("/api/me", json={"language": "zh"})
        files = opened(await bob.get("/api/me/export"))
        assert "账号" in files["README.txt"].decode()
        for name in ("users", "sessions", "api_keys", "folders", "ratings", "shares", "files", "usage"):
            rows = json.loads(files[f"data/{name}.json"])
            assert rows, name
            assert all(row.get("user_id", made["user"]) == made["user"] for row in rows)
        assert json.loads(files["data/moderation_entries.json"])[0]["excerpt"] == CANARY
        conversations = json.loads(files["conversations.json"])
        assert {one["title"] for one in conversations} == {f"title {CANARY}", f"imported {CANARY}"}
        rated = [m["rating"]["comment"] for one in conversations for m in one["messages"] if "rating" in m]
        assert rated == [f"good {CANARY}"]
        [content] = [data for name, data in files.items() if name.startswith("files/")]
        assert content == CANARY.encode()
        everything = b"".join(files.values())
        for secret in (b"argon2", b"token_hash", b"key_hash", b"password_hash"):
            assert secret not in everything
        assert b"alice" not in everything


async def test_the_conversations_of_a_personal_export_come_in_again(world: OpenWorld) -> None:
    async with world(accounts=True, sign_up="open") as here:
        alice, bob = await here.person("alice"), await here.person("bob")
        await live(here, bob)
        data = (await bob.get("/api/me/export")).content
        report = await finished(alice, data)
        assert (report["status"], report["conversations"]) == ("complete", 2)


async def test_case_20_deletion_leaves_no_trace_in_any_table_or_file(world: OpenWorld, tmp_path: Path) -> None:
    async with world(accounts=True, sign_up="open") as here:
        await here.person("alice")
        bob = await here.person("bob")
        made = await live(here, bob)
        wrong = await bob.request("DELETE", "/api/me", json={"current_password": "not it at all"})
        assert wrong.status_code == 403
        gone = await bob.request("DELETE", "/api/me", json={"current_password": "the password of bob"})
        assert gone.status_code == 204, gone.text
        assert (await bob.get("/api/me")).status_code == 401
        assert (await here.another_client().get(f"/api/shared/{made['share']}")).status_code == 404
        for table in Base.metadata.sorted_tables:
            async with here.services.database.read() as session:
                for row in (await session.execute(table.select())).mappings():
                    assert CANARY not in str(dict(row)), table.name
                    if table.name not in ("audit_entries", "ended_access"):
                        assert made["user"] not in str(dict(row)), table.name
                    assert "bob" not in str(dict(row)), table.name
        assert list((tmp_path / "home" / "files").iterdir()) == []
        await here.services.erasure.scrub()
        for path in (tmp_path / "home").rglob("*"):
            if path.is_file():
                assert CANARY.encode() not in path.read_bytes(), path


async def test_leaving_is_the_same_on_postgresql(world: OpenWorld, postgres_url: str) -> None:
    async with world(accounts=True, sign_up="open", database_url=postgres_url) as here:
        alice, bob = await here.person("alice"), await here.person("bob")
        await live(here, alice)
        made = await live(here, bob)
        files = opened(await bob.get("/api/me/export"))
        assert {one["title"] for one in json.loads(files["conversations.json"])} == {
            f"title {CANARY}",
            f"imported {CANARY}",
        }
        before = await everything(here)
        assert before.count(made["user"]) > 10
        gone = await bob.request("DELETE", "/api/me", json={"current_password": "the password of bob"})
        assert gone.status_code == 204, gone.text
        after = await everything(here)
        assert made["user"] not in after
        assert made["conversation"] not in after
        assert len((await alice.get("/api/conversations")).json()["data"]) == 2


async def everything(world: World) -> str:
    """All that the database says, but for what it says of deletions."""
    lines = []
    async with world.services.database.read() as session:
        for table in Base.metadata.sorted_tables:
            if table.name not in ("audit_entries", "ended_access"):
                lines += [str(dict(row)) for row in (await session.execute(table.select())).mappings()]
        lines += [str(row) for row in await session.execute(text("SELECT * FROM message_search"))]
    return "\n".join(lines)


async def test_deletion_takes_nothing_of_others(world: OpenWorld) -> None:
    async with world(accounts=True, sign_up="open") as here:
        alice, bob = await here.person("alice"), await here.person("bob")
        made = await live(here, alice)
        await live(here, bob)
        before = {
            name: data for name, data in opened(await alice.get("/api/me/export")).items() if "session" not in name
        }
        await bob.request("DELETE", "/api/me", json={"current_password": "the password of bob"})
        after = opened(await alice.get("/api/me/export"))
        assert {name: after[name] for name in before} == before
        assert (await here.another_client().get(f"/api/shared/{made['share']}")).status_code == 200
        hits = (await alice.get("/api/conversations/search", params={"q": CANARY})).json()["data"]
        assert {hit["conversation_id"] for hit in hits} >= {made["conversation"]}


async def test_the_last_administrator_and_keys_delete_nobody(world: OpenWorld) -> None:
    async with world(accounts=True, sign_up="open") as here:
        alice = await here.person("alice")
        last = await alice.request("DELETE", "/api/me", json={"current_password": "the password of alice"})
        assert (last.status_code, last.json()["error"]["code"]) == (409, "last_admin")
        key = (await alice.post("/api/me/keys", json={"name": "k", "scopes": ["conversations"]})).json()["key"]
        async with here.another_client() as program:
            program.headers["Authorization"] = f"Bearer {key}"
            for answer in (
                await program.get("/api/me/export"),
                await program.request("DELETE", "/api/me", json={"current_password": "the password of alice"}),
            ):
                assert (answer.status_code, answer.json()["error"]["code"]) == (403, "insufficient_scope")


def test_every_table_about_people_is_exported() -> None:
    people = {"user_id", "owner_id", "actor_id", "created_by", "subject_id"}
    about = {table.name for table in Base.metadata.sorted_tables if people & set(table.columns.keys())}
    assert about | {"users"} <= {table.name for table in TABLES} | OTHERWISE
    assert len(tables.__all__) >= len(TABLES)
    for table in TABLES:
        shown = {column.name for column in table.table.__table__.columns} - table.hidden
        assert not {name for name in shown if name.endswith("_hash")} - {"content_hash"}, table.name


async def test_an_import_of_a_deleted_account_ends_without_a_trace(world: OpenWorld, tmp_path: Path) -> None:
    async with world(accounts=True, sign_up="open") as here:
        await here.person("alice")
        bob = await here.person("bob")
        importer = here.services.importer
        for _ in range(2):
            await importer._places.acquire()
        begun = await bob.post(
            "/api/imports",
            files={"file": ("c.json", json.dumps(rivers()).encode())},
            headers={"X-Requested-With": "chatwright"},
        )
        assert begun.status_code == 202
        await bob.request("DELETE", "/api/me", json={"current_password": "the password of bob"})
        waiting = list(importer._tasks.values())
        for _ in range(2):
            importer._places.release()
        for task in waiting:
            await task
        assert list((tmp_path / "home" / "imports").iterdir()) == []
        async with here.services.database.read() as session:
            assert list(await session.scalars(select(tables.Conversation))) == []
