"""The list of conversations: its order, headings, pages, folders; what changes and what is deleted."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import func, select, text, update

from chatwright.server.conversations.grouping import group_of
from chatwright.server.database.tables import Conversation, MessageRow
from tests.server.conversations.conftest import OpenWorld, World


def ms(*moment: int) -> int:
    return int(datetime(*moment, tzinfo=UTC).timestamp() * 1000)  # type: ignore[misc,arg-type]


@pytest.mark.parametrize(
    ("then", "offset", "group"),
    [
        (ms(2026, 3, 10, 8), 0, "today"),
        (ms(2026, 3, 10, 12), 0, "today"),  # a clock that was set back
        (ms(2026, 3, 9, 23), 0, "yesterday"),
        (ms(2026, 3, 9, 23), 480, "today"),  # in Beijing it was the 10th already
        (ms(2026, 3, 10, 2), -300, "yesterday"),  # in New York it was still the 9th
        (ms(2026, 3, 3, 0), 0, "previous_7_days"),
        (ms(2026, 3, 2, 23), 0, "previous_30_days"),
        (ms(2026, 2, 8, 0), 0, "previous_30_days"),
        (ms(2026, 2, 7, 23), 0, "2026-02"),
        (ms(2025, 12, 31, 20), 480, "2026-01"),
    ],
)
def test_headings_follow_the_calendar_of_whoever_looks(then: int, offset: int, group: str) -> None:
    assert group_of(then, ms(2026, 3, 10, 9), offset) == group


async def titles(w: World, **params: object) -> list[str]:
    """All titles, page by page."""
    found: list[str] = []
    page = {"limit": 2, **params}
    while True:
        answer = (await w.http.get("/api/conversations", params=page)).json()  # type: ignore[arg-type]
        found += [row["title"] for row in answer["data"]]
        assert answer["has_more"] == (answer["next"] is not None)
        if not answer["has_more"]:
            return found
        page["after"] = answer["next"]


@pytest.mark.anyio
async def test_pinned_ones_come_first_and_then_the_last_used(world: OpenWorld) -> None:
    async with world() as w:
        ids = [await w.conversation(title=name) for name in "abcde"]
        async with w.services.database.write() as session:
            for number, name in enumerate(ids):  # some at the same time: pages must not lose one
                moment = {"updated_ms": 1000 + number // 2}
                await session.execute(update(Conversation).where(Conversation.id == name).values(**moment))
        for name in (ids[0], ids[1]):
            await w.http.patch(f"/api/conversations/{name}", json={"pinned": True})
        await w.http.patch(f"/api/conversations/{ids[4]}", json={"archived": True})
        everything = await titles(w)
        assert sorted(everything[:2]) == ["a", "b"]
        assert sorted(everything[2:]) == ["c", "d"]
        assert await titles(w, archived=True) == ["e"]
        listed = (await w.http.get("/api/conversations")).json()["data"]
        assert [row["group"] for row in listed] == ["pinned", "pinned", "1970-01", "1970-01"]


@pytest.mark.anyio
async def test_folders_hold_conversations_and_let_them_go(world: OpenWorld) -> None:
    async with world() as w:
        folder = (await w.http.post("/api/folders", json={"name": "Work"})).json()["id"]
        await w.conversation(title="outside")
        inside = await w.conversation(title="inside", folder_id=folder)
        assert await titles(w, folder_id=folder) == ["inside"]
        assert await titles(w, outside_folders=True) == ["outside"]
        await w.http.patch(f"/api/conversations/{inside}", json={"pinned": True})
        assert await titles(w, outside_folders=True) == ["inside", "outside"]
        renamed = await w.http.patch(f"/api/folders/{folder}", json={"name": "Play", "position": 3})
        assert (renamed.json()["name"], renamed.json()["position"]) == ("Play", 3)
        assert (await w.http.patch(f"/api/conversations/{inside}", json={"folder_id": None})).json()[
            "folder_id"
        ] is None
        await w.http.patch(f"/api/conversations/{inside}", json={"folder_id": folder})
        assert (await w.http.delete(f"/api/folders/{folder}")).status_code == 204
        assert (await w.http.get(f"/api/conversations/{inside}")).json()["folder_id"] is None
        assert (await w.http.get("/api/folders")).json()["data"] == []


@pytest.mark.anyio
async def test_changes_are_kept_and_only_what_was_named_changes(world: OpenWorld) -> None:
    async with world() as w:
        conversation = await w.conversation(title="one", model="m", sampling={"top_k": 5})
        path = f"/api/conversations/{conversation}"
        changed = (await w.http.patch(path, json={"system_prompt": "你是诗人", "sampling": {"seed": 1}})).json()
        assert (changed["title"], changed["model"]) == ("one", "m")
        assert (changed["system_prompt"], changed["sampling"]) == ("你是诗人", {"seed": 1})
        assert (await w.http.get(path)).json() == changed
        assert (await w.http.patch(path, json={"model": None})).json()["model"] is None


@pytest.mark.anyio
async def test_case_20_deletion_leaves_nothing_behind(world: OpenWorld) -> None:
    async with world() as w:
        first = await w.conversation()
        answer = await w.answered(first, "a secret word")
        await w.http.put(f"/api/messages/{answer['id']}/rating", json={"thumb": 1})
        await w.http.post(f"/api/conversations/{first}/share")
        await w.answered(await w.conversation(), "another secret")
        assert (await w.http.delete(f"/api/conversations/{first}")).status_code == 204
        counted = ("messages", "ratings", "shares", "message_search", "conversations")

        async def counts() -> list[int]:
            async with w.services.database.read() as session:
                return [int(await session.scalar(text(f"SELECT count(*) FROM {name}")) or 0) for name in counted]

        assert await counts() == [2, 0, 0, 2, 1]
        assert (await w.http.delete("/api/conversations")).json() == {"deleted": 1}
        assert await counts() == [0, 0, 0, 0, 0]


@pytest.mark.anyio
async def test_a_tree_of_many_messages_is_read_in_pages(world: OpenWorld) -> None:
    async with world() as w:
        conversation = await w.conversation()
        for number in range(3):
            await w.answered(conversation, f"question {number}")
        path = f"/api/conversations/{conversation}/messages"
        first = (await w.http.get(path, params={"limit": 4})).json()
        rest = (await w.http.get(path, params={"limit": 4, "after": first["next"]})).json()
        assert (len(first["data"]), len(rest["data"]), rest["has_more"]) == (4, 2, False)
        async with w.services.database.read() as session:
            count = await session.scalar(select(func.count()).select_from(MessageRow))
        assert count == 6
        parents = {message["id"]: message["parent_id"] for message in first["data"] + rest["data"]}
        leaf, depth = (await w.http.get(f"/api/conversations/{conversation}")).json()["current_id"], 0
        while leaf is not None:
            leaf, depth = parents[leaf], depth + 1
        assert depth == 6
