"""Feedback: who may judge what, once, with which consent, and what administrators see."""

import asyncio

import pytest
from sqlalchemy import func, select, update

from chatwright.server.database.tables import MessageRow, Rating, User
from tests.server.conversations.conftest import OpenWorld, World

pytestmark = pytest.mark.anyio


async def ratings(w: World) -> list[Rating]:
    async with w.services.database.read() as session:
        return list(await session.scalars(select(Rating)))


async def test_a_rating_is_one_changeable_and_withdrawable(world: OpenWorld) -> None:
    async with world() as w:
        conversation = await w.conversation()
        answer = await w.answered(conversation, "Hello")
        path = f"/api/messages/{answer['id']}/rating"
        first = await w.http.put(path, json={"thumb": -1, "reasons": ["incorrect", "incorrect"], "comment": "no"})
        assert (first.status_code, first.json()["reasons"]) == (200, ["incorrect"])
        changed = (await w.http.put(path, json={"thumb": 1, "edit": "Hello there"})).json()
        assert (changed["thumb"], changed["comment"], changed["edit"]) == (1, "", "Hello there")
        assert changed["created_ms"] == first.json()["created_ms"]
        (row,) = await ratings(w)
        assert (len(row.content_hash), row.model_version) == (64, "weights-1")
        mine = (await w.http.get(f"/api/conversations/{conversation}/feedback")).json()
        assert mine == {"ratings": [changed], "choices": []}
        assert (await w.http.delete(path)).status_code == 204
        assert (await w.http.delete(path)).status_code == 404
        (row,) = await ratings(w)
        assert row.withdrawn_ms is not None
        assert (row.thumb, row.comment, row.edit) == (0, "", None)
        assert (await w.http.put(path, json={"thumb": 1})).status_code == 200
        assert (await ratings(w))[0].withdrawn_ms is None


async def test_the_consent_of_the_moment_is_kept(world: OpenWorld) -> None:
    async with world() as w:
        answer = await w.answered(await w.conversation(), "Hello")
        path = f"/api/messages/{answer['id']}/rating"
        assert (await w.http.put(path, json={"thumb": 1})).json()["consent"] is False
        async with w.services.database.write() as session:
            await session.execute(update(User).values(training_consent=True))
        assert (await w.http.put(path, json={"thumb": 1})).json()["consent"] is True


async def test_case_15_many_ratings_of_one_answer_are_one(world: OpenWorld) -> None:
    async with world() as w:
        answer = await w.answered(await w.conversation(), "Hello")
        path = f"/api/messages/{answer['id']}/rating"
        answers = await asyncio.gather(*[w.http.put(path, json={"thumb": 1}) for _ in range(20)])
        assert {answer.status_code for answer in answers} == {200}
        async with w.services.database.read() as session:
            assert await session.scalar(select(func.count()).select_from(Rating)) == 1


async def test_case_15_only_real_answers_of_ones_own_chats_are_rated(world: OpenWorld) -> None:
    async with world(accounts=True, sign_up="open") as w:
        anna, ben = await w.person("anna"), await w.person("ben")
        conversation = await w.conversation(anna)
        answer = await w.answered(conversation, "Hello", anna)

        async def refused(message_id: str, status: int) -> None:
            given = await anna.put(f"/api/messages/{message_id}/rating", json={"thumb": 1})
            assert given.status_code == status, given.text

        assert (await ben.put(f"/api/messages/{answer['id']}/rating", json={"thumb": 1})).status_code == 404
        await refused(answer["parent_id"], 409)  # one's own words
        edited = await anna.post(
            f"/api/conversations/{conversation}/messages/{answer['id']}/edit", json={"content": "forged"}
        )
        await refused(edited.json()["messages"][0]["id"], 409)
        for forged in ({"origin": "imported"}, {"status": "stopped"}, {"content": "changed in the database"}):
            async with w.services.database.write() as session:
                await session.execute(update(MessageRow).where(MessageRow.id == answer["id"]).values(**forged))
            await refused(answer["id"], 409)
            restored = {"origin": "generated", "status": "complete", "content": answer["content"]}
            async with w.services.database.write() as session:
                await session.execute(update(MessageRow).where(MessageRow.id == answer["id"]).values(**restored))
        await refused(answer["id"], 200)
        assert (await anna.put(f"/api/messages/{answer['id']}/rating", json={"thumb": 0})).status_code == 400


async def test_a_choice_is_between_answers_to_the_same_question(world: OpenWorld) -> None:
    async with world() as w:
        conversation = await w.conversation()
        both = await w.http.post(f"/api/conversations/{conversation}/compare", json={"content": "Which?"})
        first, second = [(await w.finished(message["id"]))["id"] for message in both.json()["messages"]]
        pair = {"first_id": second, "second_id": first}  # in any order
        chosen = await w.http.put("/api/choices", json={**pair, "chosen_id": first})
        assert chosen.status_code == 200
        assert [chosen.json()["first_id"], chosen.json()["second_id"]] == sorted([first, second])
        neither = {"first_id": first, "second_id": second, "chosen_id": None}
        changed = (await w.http.put("/api/choices", json=neither)).json()
        assert changed["chosen_id"] is None
        assert (await w.http.get(f"/api/conversations/{conversation}/feedback")).json()["choices"] == [changed]
        other = (await w.answered(conversation, "Another?"))["id"]
        for bad in (
            {"first_id": first, "second_id": other, "chosen_id": first},
            {"first_id": first, "second_id": first, "chosen_id": first},
            {"first_id": first, "second_id": second, "chosen_id": other},
        ):
            assert (await w.http.put("/api/choices", json=bad)).status_code == 400
        assert (await w.http.delete("/api/choices", params=pair)).status_code == 204
        assert (await w.http.get(f"/api/conversations/{conversation}/feedback")).json()["choices"] == []


async def test_case_20_administrators_read_words_only_where_they_may(world: OpenWorld) -> None:
    written = ["my question", "answer 1", "my comment", "my edit"]
    sign_in = {"name": "admin", "password": "the password of admin"}
    async with world(accounts=True, sign_up="open") as w:
        admin, anna = await w.person("admin"), await w.person("anna")
        answer = await w.answered(await w.conversation(anna), written[0], anna)
        rated = {"thumb": -1, "reasons": ["too_long"], "comment": written[2], "edit": written[3]}
        await anna.put(f"/api/messages/{answer['id']}/rating", json=rated)
        assert (await anna.get("/api/admin/feedback")).status_code == 403
        shown = await admin.get("/api/admin/feedback", params={"thumb": -1})
        assert not any(words in shown.text for words in written)
        assert shown.json()["data"][0]["reasons"] == ["too_long"]
        summed = (await admin.get("/api/admin/feedback/summary")).json()["data"]
        assert summed == [{"model": "scripted", "model_version": "weights-1", "up": 0, "down": 1, "edits": 1}]
    async with world(accounts=True, admins_read_chats=True) as w, w.another_client() as admin:
        assert (await admin.post("/api/sign-in", json=sign_in)).status_code == 200
        (row,) = (await admin.get("/api/admin/feedback")).json()["data"]
        assert [row["question"], row["answer"], row["comment"], row["edit"]] == written
