"""The SQL of ratings and choices: one of each per person and answer, changeable, withdrawable."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import and_, case, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from chatwright.server.database.tables import Choice, MessageRow, Rating
from chatwright.server.errors import not_found
from chatwright.server.identifiers import now_ms


async def put(
    session: AsyncSession,
    table: type[Rating] | type[Choice],
    key: Mapping[str, str],
    values: Mapping[str, Any],
    row_id: str,
) -> None:
    """Write a judgement, or write it anew, in one statement: two clicks at once are one judgement.

    Args:
        session: of a transaction that writes.
        table: of the judgement.
        key: the columns of which the table has one row.
        values: of the others.
        row_id: for a judgement that is new.
    """
    insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    changed = {**values, "withdrawn_ms": None}
    row = {**key, **changed, "id": row_id, "created_ms": values["updated_ms"]}
    await session.execute(insert(table).values(**row).on_conflict_do_update(index_elements=list(key), set_=changed))


async def rating(session: AsyncSession, user_id: str, message_id: str) -> Rating:
    """A judgement of this user. Raises ApiError (404)."""
    row = await session.scalar(
        select(Rating).where(Rating.user_id == user_id, Rating.message_id == message_id, Rating.withdrawn_ms.is_(None))
    )
    if row is None:
        raise not_found("rating", message_id)
    return row


async def choice(session: AsyncSession, user_id: str, first_id: str, second_id: str) -> Choice:
    """A choice of this user. Raises ApiError (404)."""
    row = await session.scalar(
        select(Choice).where(
            Choice.user_id == user_id,
            Choice.first_id == first_id,
            Choice.second_id == second_id,
            Choice.withdrawn_ms.is_(None),
        )
    )
    if row is None:
        raise not_found("choice", f"{first_id},{second_id}")
    return row


async def withdraw_rating(session: AsyncSession, user_id: str, message_id: str) -> None:
    """Take a judgement back: its words are forgotten, no dataset to come has it. Raises ApiError (404)."""
    row = await rating(session, user_id, message_id)
    await session.execute(
        update(Rating)
        .where(Rating.id == row.id)
        .values(thumb=0, reasons=[], comment="", edit=None, withdrawn_ms=now_ms())
    )


async def withdraw_choice(session: AsyncSession, user_id: str, first_id: str, second_id: str) -> None:
    """Take a choice back. Raises ApiError (404)."""
    row = await choice(session, user_id, first_id, second_id)
    await session.execute(update(Choice).where(Choice.id == row.id).values(chosen_id=None, withdrawn_ms=now_ms()))


async def of_conversation(
    session: AsyncSession, user_id: str, conversation_id: str
) -> tuple[list[Rating], list[Choice]]:
    """A user's judgements in a conversation, oldest first."""
    inside = select(MessageRow.id).where(MessageRow.conversation_id == conversation_id)
    ratings = select(Rating).where(
        Rating.user_id == user_id, Rating.message_id.in_(inside), Rating.withdrawn_ms.is_(None)
    )
    choices = select(Choice).where(
        Choice.user_id == user_id, Choice.first_id.in_(inside), Choice.withdrawn_ms.is_(None)
    )
    return (
        list(await session.scalars(ratings.order_by(Rating.created_ms, Rating.id))),
        list(await session.scalars(choices.order_by(Choice.created_ms, Choice.id))),
    )


async def listed(
    session: AsyncSession, *, thumb: int | None, after: str | None, limit: int
) -> list[tuple[Rating, MessageRow, str | None]]:
    """Everybody's judgements with the answer and the question, last changed first; one more than ``limit`` says that
    more follow.

    Raises:
        ApiError: 404, the rating ``after`` which the page begins is not there.
    """
    question = aliased(MessageRow)
    query: Any = (  # its type would name every column, and differs between versions of SQLAlchemy
        select(Rating, MessageRow, question.content)
        .join(MessageRow, MessageRow.id == Rating.message_id)
        .outerjoin(question, question.id == MessageRow.parent_id)
        .where(Rating.withdrawn_ms.is_(None))
    )
    if thumb is not None:
        query = query.where(Rating.thumb == thumb)
    if after is not None:
        last = await session.get(Rating, after)
        if last is None:
            raise not_found("rating", after)
        earlier = and_(Rating.updated_ms == last.updated_ms, Rating.id < last.id)
        query = query.where(or_(Rating.updated_ms < last.updated_ms, earlier))
    rows = await session.execute(query.order_by(Rating.updated_ms.desc(), Rating.id.desc()).limit(limit + 1))
    return [(row[0], row[1], row[2]) for row in rows]


async def summary(session: AsyncSession) -> list[tuple[str | None, str | None, int, int, int]]:
    """Model, version, thumbs up, thumbs down and edits, by the version that wrote the answers."""
    query = (
        select(
            MessageRow.model,
            Rating.model_version,
            func.sum(case((Rating.thumb == 1, 1), else_=0)),
            func.sum(case((Rating.thumb == -1, 1), else_=0)),
            func.count(Rating.edit),
        )
        .join(MessageRow, MessageRow.id == Rating.message_id)
        .where(Rating.withdrawn_ms.is_(None))
        .group_by(MessageRow.model, Rating.model_version)
        .order_by(MessageRow.model, Rating.model_version)
    )
    return [(row[0], row[1], int(row[2]), int(row[3]), int(row[4])) for row in await session.execute(query)]
