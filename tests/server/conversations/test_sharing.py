"""Links: what strangers read, and when they no longer do."""

import pytest
from sqlalchemy import update

from chatwright.server.database.tables import User
from tests.server.conversations.conftest import OpenWorld

pytestmark = pytest.mark.anyio


async def test_a_stranger_reads_the_branch_as_it_was_and_nothing_else(world: OpenWorld) -> None:
    async with world(accounts=True, sign_up="open") as w:
        anna = await w.person("anna")
        conversation = await w.conversation(anna, title="Ours", system_prompt="a private persona")
        w.model.replies = ["shared answer", "other answer", "later answer"]
        answer = await w.answered(conversation, "shared question", anna)
        path = f"/api/conversations/{conversation}"
        again = (await anna.post(f"{path}/messages/{answer['id']}/regenerate")).json()["messages"][0]
        await w.finished(again["id"], anna)
        link = (await anna.post(f"{path}/share", json={"leaf_id": answer["id"]})).json()
        assert link["path"] == f"/share/{link['id']}"
        assert len(link["id"]) >= 32
        await w.answered(conversation, "later question", anna, parent_id=answer["id"])
        await anna.patch(path, json={"title": "Renamed"})
        async with w.another_client() as stranger:
            shown = await stranger.get(f"/api/shared/{link['id']}")
            assert shown.json() == {
                "id": link["id"],
                "title": "Ours",
                "created_ms": link["created_ms"],
                "messages": [
                    {"role": "user", "content": "shared question", "model": None},
                    {"role": "assistant", "content": "shared answer", "model": "scripted"},
                ],
            }
            assert "noindex" in shown.headers["x-robots-tag"]
            assert "anna" not in shown.text


async def test_a_link_ends_with_revocation_deletion_and_the_account(world: OpenWorld) -> None:
    async with world(accounts=True, sign_up="open") as w:
        anna = await w.person("anna")
        ben = await w.person("ben")
        conversation = await w.conversation(anna)
        assert (await anna.post(f"/api/conversations/{conversation}/share")).status_code == 409
        await w.answered(conversation, "Hello", anna)
        first, second = [(await anna.post(f"/api/conversations/{conversation}/share")).json()["id"] for _ in range(2)]
        listed = (await anna.get("/api/shares")).json()["data"]
        assert {row["id"] for row in listed} == {first, second}
        assert (await ben.get("/api/shares")).json()["data"] == []
        assert (await ben.delete(f"/api/shares/{first}")).status_code == 404
        assert (await anna.delete(f"/api/shares/{first}")).status_code == 204
        async with w.another_client() as stranger:
            assert (await stranger.get(f"/api/shared/{first}")).status_code == 404
            assert (await stranger.get(f"/api/shared/{second}")).status_code == 200
            async with w.services.database.write() as session:
                await session.execute(update(User).where(User.name == "anna").values(disabled=True))
            assert (await stranger.get(f"/api/shared/{second}")).status_code == 404
            async with w.services.database.write() as session:
                await session.execute(update(User).where(User.name == "anna").values(disabled=False))
            assert (await anna.delete(f"/api/conversations/{conversation}")).status_code == 204
            assert (await stranger.get(f"/api/shared/{second}")).status_code == 404


async def test_an_unfinished_answer_is_not_shared(world: OpenWorld) -> None:
    async with world() as w:
        w.model.holds_still = True
        conversation = await w.conversation()
        await w.ask(conversation, "Hello")
        early = await w.http.post(f"/api/conversations/{conversation}/share")
        assert (early.status_code, early.json()["error"]["code"]) == (409, "still_generating")
