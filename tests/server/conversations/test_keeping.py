"""Answers as they grow: several viewers, other processes, the end of the server, and what a dead one has left."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import select, update

from chatwright.server.accounts.local import LOCAL_USER_ID
from chatwright.server.conversations import messages
from chatwright.server.conversations.attaching import follow
from chatwright.server.conversations.live import Event, Seen
from chatwright.server.database.tables import MessageRow
from chatwright.server.identifiers import now_ms
from tests.server.conversations.conftest import OpenWorld, World

pytestmark = pytest.mark.anyio


async def viewed(w: World, message_id: str, seen: Seen) -> list[Event]:
    """What a viewer of this process is told, to the end."""
    async with w.services.database.read() as session:
        row = await messages.get(session, LOCAL_USER_ID, message_id)
    events = follow(w.services.database, w.services.conversations.generations, LOCAL_USER_ID, row, seen)
    return [event async for event in events]


def text_of(events: list[Event], before: str = "") -> str:
    """What a viewer has, who puts every piece where it belongs."""
    text = before
    for event in events:
        if event.name == "delta":
            text = text[: event.data["offset"]] + event.data["text"]
    return text


async def row_of(w: World, message_id: str) -> MessageRow:
    async with w.services.database.read() as session:
        return (await session.scalars(select(MessageRow).where(MessageRow.id == message_id))).one()


async def until_stored(w: World, message_id: str, **wanted: Any) -> None:
    """Wait until the database says so of a message."""
    async with asyncio.timeout(20):
        while True:
            row = await row_of(w, message_id)
            if all(getattr(row, name) == value for name, value in wanted.items()):
                return
            await asyncio.sleep(0.02)


async def until_watched(w: World, message_id: str, viewers: int) -> None:
    live = w.services.conversations.generations.live(message_id)
    assert live is not None
    async with asyncio.timeout(10):
        while live.viewers != viewers:
            await asyncio.sleep(0.005)


async def test_every_viewer_gets_the_whole_answer_from_where_it_stands(world: OpenWorld) -> None:
    async with world() as w:
        w.model.holds_still = True
        answer = (await w.ask(await w.conversation(), "Go."))["id"]
        first = asyncio.create_task(viewed(w, answer, Seen()))
        w.model.answers[0].say("你好，", reasoning="hm")
        await w.until_text(answer, "你好，")
        second = asyncio.create_task(viewed(w, answer, Seen(text=2)))
        gone = asyncio.create_task(viewed(w, answer, Seen()))
        await until_watched(w, answer, 3)
        gone.cancel()
        await until_watched(w, answer, 2)
        w.model.answers[0].say("wor", "ld").end()
        everything, rest = await first, await second
        assert text_of(everything) == "你好，world"
        assert text_of(rest, "你好") == "你好，world"
        assert next(event for event in everything if event.name == "reasoning").data == {"text": "hm", "offset": 0}
        late = await viewed(w, answer, Seen(text=3, reasoning=2))
        assert [event.name for event in late] == ["status", "delta", "done"]
        assert late[1].id == "8.2"


async def test_a_browser_that_connects_again_says_what_it_has(world: OpenWorld) -> None:
    async with world() as w:
        w.model.replies = ["one two three"]
        answer = await w.answered(await w.conversation(), "Go.")
        path = f"/api/messages/{answer['id']}/events"
        again = await w.http.get(path, headers={"Last-Event-ID": "8.0"})
        assert again.headers["content-type"].startswith("text/event-stream")
        assert 'data: {"text":"three","offset":8}' in again.text
        nonsense = await w.http.get(path, headers={"Last-Event-ID": "’; DROP".encode()})
        assert 'data: {"text":"one two three","offset":0}' in nonsense.text


async def test_who_has_more_than_there_is_begins_anew(world: OpenWorld) -> None:
    async with world() as w:
        w.model.replies = ["short"]
        answer = await w.answered(await w.conversation(), "Go.")
        events = await viewed(w, answer["id"], Seen(text=99))
        assert text_of(events, "something that a dead server had shown") == "short"


async def test_another_process_sees_the_answer_grow_and_can_stop_it(world: OpenWorld) -> None:
    async with world() as writer, world() as reader:
        writer.model.holds_still = True
        conversation = await writer.conversation()
        answer = (await writer.ask(conversation, "Go."))["id"]
        viewing = asyncio.create_task(viewed(reader, answer, Seen()))
        writer.model.answers[0].say("some ", "words")
        await until_stored(reader, answer, content="some words", status="generating")
        stopped = await reader.http.post(f"/api/conversations/{conversation}/messages/{answer}/stop")
        assert stopped.json()["status"] == "stopped"
        async with asyncio.timeout(10):
            await writer.model.answers[0].is_cancelled.wait()
        events = await viewing
        assert text_of(events) == "some words"
        assert events[-1].data["message"]["status"] == "stopped"
        await until_stored(reader, answer, owner=None, status="stopped")


async def test_an_answer_whose_server_died_is_interrupted_and_can_be_continued(world: OpenWorld) -> None:
    async with world() as w:
        conversation = await w.conversation()
        answer = (await w.answered(conversation, "Go."))["id"]
        # What kill -9 leaves: a row that says "generating", an owner that is no more, a lease that has run out
        async with w.services.database.write() as session:
            left = {"status": "generating", "content": "the part ", "owner": "srv_dead", "lease_until_ms": now_ms() - 1}
            await session.execute(update(MessageRow).where(MessageRow.id == answer).values(**left))
    async with world() as w:
        found = (await w.http.get(f"/api/messages/{answer}")).json()
        assert (found["status"], found["content"]) == ("interrupted", "the part ")
        w.model.replies = ["that exists"]
        path = f"/api/conversations/{conversation}/messages/{answer}/continue"
        assert (await w.http.post(path)).status_code == 200
        assert (await w.finished(answer))["content"] == "the part that exists"


async def test_a_server_that_lives_is_not_taken_for_dead(world: OpenWorld) -> None:
    async with world() as writer:
        writer.model.holds_still = True
        answer = (await writer.ask(await writer.conversation(), "Go."))["id"]
        async with world() as other:  # starts while the first one writes
            assert (await row_of(other, answer)).status == "generating"
        # Even when it stood still for longer than its lease, and was taken for dead: it takes its answer back
        async with writer.services.database.write() as session:
            await session.execute(update(MessageRow).where(MessageRow.id == answer).values(status="interrupted"))
        writer.model.answers[0].say("back")
        await until_stored(writer, answer, content="back", status="generating")
        writer.model.answers[0].end()
        assert (await writer.finished(answer))["status"] == "complete"


async def test_an_answer_that_another_process_continues_is_left_to_it(world: OpenWorld) -> None:
    async with world() as slow, world() as other:
        slow.model.holds_still = other.model.holds_still = True
        conversation = await slow.conversation()
        answer = (await slow.ask(conversation, "Go."))["id"]
        slow.model.answers[0].say("first ")
        await until_stored(slow, answer, content="first ")
        path = f"/api/conversations/{conversation}/messages/{answer}/continue"
        while True:  # the slow one may come back in between, and is then the one who writes
            async with slow.services.database.write() as session:
                await session.execute(update(MessageRow).where(MessageRow.id == answer).values(status="interrupted"))
            if (await other.http.post(path)).status_code == 200:
                break
        async with asyncio.timeout(10):
            await slow.model.answers[0].is_cancelled.wait()
        other.model.answers[-1].say("second").end()
        assert (await other.finished(answer))["content"] == "first second"


async def test_the_end_of_the_server_keeps_what_there_is(world: OpenWorld) -> None:
    async with world() as w:
        w.model.holds_still = True
        answer = (await w.ask(await w.conversation(), "Go."))["id"]
        w.model.answers[0].say("so far")
        await w.until_text(answer, "so far")
        viewing = asyncio.create_task(viewed(w, answer, Seen()))
        await until_watched(w, answer, 1)
        await w.services.conversations.generations.close(0)
        assert (await viewing)[-1].data["message"]["status"] == "interrupted"
        found = (await w.http.get(f"/api/messages/{answer}")).json()
        assert (found["status"], found["content"]) == ("interrupted", "so far")
        refused = await w.http.post("/api/conversations", json={})
        late = await w.http.post(f"/api/conversations/{refused.json()['id']}/messages", json={"content": "Hello"})
        assert (late.status_code, late.headers["retry-after"]) == (503, "5")


async def test_answers_may_end_by_themselves_when_the_server_ends(world: OpenWorld) -> None:
    async with world() as w:
        w.model.holds_still = True
        answer = (await w.ask(await w.conversation(), "Go."))["id"]
        closing = asyncio.create_task(w.services.conversations.generations.close(30))
        w.model.answers[0].say("to the end").end()
        await closing
        assert (await w.http.get(f"/api/messages/{answer}")).json()["status"] == "complete"


async def test_redaction_reaches_what_is_kept_while_an_answer_grows(world: OpenWorld) -> None:
    async with world(redact_before_storage=True) as w:
        w.model.holds_still = True
        answer = await w.ask(await w.conversation(), "Write to anna@example.org, please.")
        question = (await w.http.get(f"/api/messages/{answer['parent_id']}")).json()
        assert "anna@example.org" not in question["content"]
        w.model.answers[0].say("I wrote to anna@example.org for you ")
        async with asyncio.timeout(20):
            while not (await row_of(w, answer["id"])).content:
                await asyncio.sleep(0.02)
        assert "anna@example.org" not in (await row_of(w, answer["id"])).content
        w.model.answers[0].end()
        assert "anna@example.org" not in (await w.finished(answer["id"]))["content"]
