"""Following an answer from wherever a viewer stands: in this process, in another one, or when it is finished."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Final

from chatwright.server.conversations import messages
from chatwright.server.conversations.generations import Generations
from chatwright.server.conversations.live import Event, Seen, growth
from chatwright.server.conversations.schemas import MessageView
from chatwright.server.database import Database
from chatwright.server.database.tables import MessageRow
from chatwright.server.sse import event, to_json

_POLL_S: Final = 0.3  # an answer that another process writes reaches the database twice a second


async def follow(
    database: Database, generations: Generations, user_id: str, row: MessageRow, seen: Seen
) -> AsyncGenerator[Event, None]:
    """Events of an answer up to its end; see :meth:`LiveAnswer.watch`.

    Args:
        database, generations: of the server.
        user_id: whose answer it is.
        row: of it, read for this user.
        seen: what the viewer has already.

    Raises:
        ApiError: 404 when it is deleted in the middle.
    """
    if (live := generations.live(row.id)) is not None:
        async with aclosing(live.watch(seen)) as events:
            async for happened in events:
                yield happened
        return
    yield Event("status", {"status": row.status, "model": row.model, "dropped_turns": row.dropped_turns})
    while True:
        for happened in growth(row.content, row.reasoning, seen):
            yield happened
        seen = Seen(len(row.content), len(row.reasoning))
        if row.status != "generating":
            yield Event("done", {"message": MessageView.of(row).model_dump(mode="json")}, str(seen))
            return
        await asyncio.sleep(_POLL_S)
        async with database.read() as session:
            row = await messages.get(session, user_id, row.id)


async def encoded(events: AsyncIterator[Event]) -> AsyncGenerator[bytes, None]:
    """Events as they go over the wire."""
    async for happened in events:
        yield event(to_json(dict(happened.data)), name=happened.name, id=happened.id)
