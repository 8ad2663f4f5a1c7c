"""What is past the retention time goes, by one process for all, and nothing else does."""

import asyncio
import json

import pytest
from sqlalchemy import select, update

from chatwright.server.database import Database, leases, open_database
from chatwright.server.database.tables import Conversation, MessageRow
from chatwright.server.identifiers import now_ms
from chatwright.server.privacy.retention import Retention
from tests.server.conversations.conftest import OpenWorld, World
from tests.server.portability.chatgpt_export import rivers
from tests.server.portability.test_imports import finished

pytestmark = pytest.mark.anyio
DAY_MS = 86_400_000


async def age(database: Database, conversation_id: str, days: float) -> None:
    """Make a conversation as old as that."""
    then = now_ms() - round(days * DAY_MS)
    async with database.write() as session:
        own = MessageRow.conversation_id == conversation_id
        await session.execute(update(MessageRow).where(own).values(updated_ms=then, created_ms=then))
        mine = Conversation.id == conversation_id
        await session.execute(update(Conversation).where(mine).values(updated_ms=then, created_ms=then))


async def left(world: World) -> set[str]:
    async with world.services.database.read() as session:
        return set(await session.scalars(select(Conversation.id)))


def retention(world: World) -> Retention:
    services = world.services
    return Retention(services.database, services.privacy, services.erasure)


async def test_old_conversations_go_with_their_messages_and_traces(world: OpenWorld) -> None:
    async with world(retention_days=30) as here:
        old, pinned, young = [await here.conversation() for _ in range(3)]
        for name in (old, pinned, young):
            await here.answered(name, "where is the zebrafish?")
        await here.http.patch(f"/api/conversations/{pinned}", json={"pinned": True})
        await age(here.services.database, old, 31)
        await age(here.services.database, pinned, 31)
        await age(here.services.database, young, 29)
        assert await retention(here).sweep() == 2
        assert await left(here) == {young}
        hits = (await here.http.get("/api/conversations/search", params={"q": "zebrafish"})).json()["data"]
        assert {hit["conversation_id"] for hit in hits} == {young}
        assert await retention(here).sweep() == 0


async def test_an_old_conversation_that_was_imported_now_stays(world: OpenWorld) -> None:
    async with world(retention_days=30) as here:
        await finished(here.http, json.dumps(rivers()).encode())  # of 2023
        assert await retention(here).sweep() == 0
        [name] = await left(here)
        await age(here.services.database, name, 31)
        assert await retention(here).sweep() == 1


async def test_without_a_retention_time_nothing_goes(world: OpenWorld) -> None:
    async with world() as here:
        name = await here.conversation()
        await age(here.services.database, name, 10_000)
        assert await retention(here).sweep() == 0
        assert await left(here) == {name}


async def test_a_lease_has_one_holder_until_its_time_is_over(database_url: str) -> None:
    database = await open_database(database_url)
    takers = [leases.take(database, "work", f"process {number}", seconds=60) for number in range(8)]
    held = await asyncio.gather(*takers)
    assert held.count(True) == 1
    holder = f"process {held.index(True)}"
    assert await leases.take(database, "work", holder, seconds=-1)  # renewed, and over at once
    assert await leases.take(database, "work", "another", seconds=60)
    assert not await leases.take(database, "work", holder, seconds=60)
    await database.close()
