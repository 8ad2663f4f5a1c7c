"""The SQL of messages: the tree, and the rows of answers that are being written."""

from collections.abc import Collection
from typing import Any, Final

from sqlalchemy import and_, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from chatwright.server.database.tables import Conversation, MessageRow
from chatwright.server.errors import not_found

LEASE_MS: Final = 10_000


async def get(
    session: AsyncSession, user_id: str, message_id: str, *, conversation_id: str | None = None
) -> MessageRow:
    """A message of this user, and of this conversation where one is named. Raises ApiError (404)."""
    query = (
        select(MessageRow)
        .join(Conversation, Conversation.id == MessageRow.conversation_id)
        .where(MessageRow.id == message_id, Conversation.user_id == user_id)
    )
    if conversation_id is not None:
        query = query.where(MessageRow.conversation_id == conversation_id)
    row = await session.scalar(query)
    if row is None:
        raise not_found("message", message_id)
    return row


async def page(
    session: AsyncSession, conversation_id: str, *, after: MessageRow | None, limit: int
) -> list[MessageRow]:
    """Messages of a whole tree, oldest first; one more than ``limit`` says that more follow."""
    query = select(MessageRow).where(MessageRow.conversation_id == conversation_id)
    if after is not None:
        later = and_(MessageRow.created_ms == after.created_ms, MessageRow.id > after.id)
        query = query.where(or_(MessageRow.created_ms > after.created_ms, later))
    return list(await session.scalars(query.order_by(MessageRow.created_ms, MessageRow.id).limit(limit + 1)))


async def branch(session: AsyncSession, conversation_id: str, leaf_id: str | None) -> list[MessageRow]:
    """The messages from the root to a leaf, in this order. A tree that was broken on import ends where it is broken."""
    if leaf_id is None:
        return []
    chain = (
        select(MessageRow.id, MessageRow.parent_id)
        .where(MessageRow.id == leaf_id, MessageRow.conversation_id == conversation_id)
        .cte("chain", recursive=True)
    )
    # UNION rather than UNION ALL: a cycle, which no import may leave, would otherwise never end
    chain = chain.union(
        select(MessageRow.id, MessageRow.parent_id)
        .join(chain, MessageRow.id == chain.c.parent_id)
        .where(MessageRow.conversation_id == conversation_id)
    )
    rows = {
        row.id: row for row in await session.scalars(select(MessageRow).where(MessageRow.id.in_(select(chain.c.id))))
    }
    found: list[MessageRow] = []
    wanted: str | None = leaf_id
    while wanted is not None and (row := rows.pop(wanted, None)) is not None:
        found.append(row)
        wanted = row.parent_id
    return found[::-1]


async def grow(session: AsyncSession, owner: str, message_id: str, values: dict[str, Any], *, now: int) -> bool:
    """Write what an answer has become so far and show that its writer lives; whether it is still the writer's.

    It is not when the person stopped it from another process, deleted it, or continued it elsewhere. One that was
    taken for dead ("interrupted") while this process stood still is taken back.
    """
    result = await session.execute(
        update(MessageRow)
        .where(
            MessageRow.id == message_id,
            MessageRow.owner == owner,
            MessageRow.status.in_(("generating", "interrupted")),
        )
        .values(**values, status="generating", lease_until_ms=now + LEASE_MS, updated_ms=now)
        .returning(MessageRow.id)
    )
    return result.first() is not None


async def finish(session: AsyncSession, owner: str, message_id: str, values: dict[str, Any]) -> MessageRow | None:
    """Write an answer's end; None when the row is gone or somebody else's. Who stopped it elsewhere stays right."""
    row = await session.get(MessageRow, message_id)
    if row is None or row.owner != owner:
        return None
    if row.status == "stopped":
        values = values | {"status": "stopped"}
    for name, value in values.items():
        setattr(row, name, value)
    row.owner = row.lease_until_ms = None
    await session.flush()
    return row


async def stop(session: AsyncSession, message_ids: Collection[str], *, now: int) -> None:
    """Mark answers as stopped; whichever process writes one sees it with its next words."""
    await session.execute(
        update(MessageRow)
        .where(MessageRow.id.in_(message_ids), MessageRow.status == "generating")
        .values(status="stopped", updated_ms=now)
    )


async def stop_all(session: AsyncSession, user_id: str, *, now: int) -> None:
    """Mark all answers to a user as stopped."""
    own = select(Conversation.id).where(Conversation.user_id == user_id)
    await session.execute(
        update(MessageRow)
        .where(MessageRow.conversation_id.in_(own), MessageRow.status == "generating")
        .values(status="stopped", updated_ms=now)
    )


async def abandoned(session: AsyncSession, owner: str, *, now: int) -> list[str]:
    """Answers whose writer, another than ``owner``, has not shown for too long that it lives."""
    query = select(MessageRow.id).where(
        MessageRow.owner.is_not(None),  # first: there is an index on it
        MessageRow.owner != owner,
        MessageRow.status == "generating",
        MessageRow.lease_until_ms < now,
    )
    return list(await session.scalars(query))


async def interrupt(session: AsyncSession, message_ids: Collection[str], *, now: int) -> None:
    """Mark abandoned answers as interrupted: what there is stays, and can be continued."""
    await session.execute(
        update(MessageRow)
        .where(
            MessageRow.id.in_(message_ids),
            MessageRow.status == "generating",
            MessageRow.lease_until_ms < now,  # the writer may have come back between reading and writing
        )
        .values(status="interrupted", updated_ms=now)
    )
