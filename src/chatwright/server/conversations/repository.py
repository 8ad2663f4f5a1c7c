"""The SQL of conversations and folders. Whatever belongs to somebody else is absent."""

from typing import Any

from sqlalchemy import Select, and_, delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from chatwright.server.database.tables import Conversation, Folder
from chatwright.server.errors import not_found


async def get(session: AsyncSession, user_id: str, conversation_id: str) -> Conversation:
    """A conversation of this user. Raises ApiError (404)."""
    row = await session.get(Conversation, conversation_id)
    if row is None or row.user_id != user_id:
        raise not_found("conversation", conversation_id)
    return row


async def listed(
    session: AsyncSession,
    user_id: str,
    *,
    archived: bool,
    folder_id: str | None,
    outside_folders: bool,
    after: str | None,
    limit: int,
) -> list[Conversation]:
    """A page of a user's conversations, pinned ones first, then the last used; one more than ``limit`` says that more
    follow.

    Args:
        session: of a transaction.
        user_id: whose they are.
        archived: whether those that were put away are wanted, or the others.
        folder_id: only what lies in this folder.
        outside_folders: only what lies in none; what is pinned counts as lying on top.
        after: the last conversation of the page before.
        limit: of the page.

    Raises:
        ApiError: 404, the conversation ``after`` which the page begins is not there.
    """
    query: Select[Any] = select(Conversation).where(Conversation.user_id == user_id, Conversation.archived == archived)
    if folder_id is not None:
        query = query.where(Conversation.folder_id == folder_id)
    if outside_folders:
        query = query.where(or_(Conversation.folder_id.is_(None), Conversation.pinned))
    if after is not None:
        query = _behind(query, await get(session, user_id, after))
    query = query.order_by(Conversation.pinned.desc(), Conversation.updated_ms.desc(), Conversation.id.desc())
    return list(await session.scalars(query.limit(limit + 1)))


def _behind(query: Select[Any], last: Conversation) -> Select[Any]:
    table = Conversation
    older = or_(
        table.updated_ms < last.updated_ms,
        and_(table.updated_ms == last.updated_ms, table.id < last.id),
    )
    if last.pinned:
        return query.where(or_(table.pinned.is_(False), older))
    return query.where(table.pinned.is_(False), older)


async def change(session: AsyncSession, user_id: str, conversation_id: str, changes: dict[str, Any]) -> Conversation:
    """Change columns of a conversation of this user. Raises ApiError (404)."""
    row = await get(session, user_id, conversation_id)
    for name, value in changes.items():
        setattr(row, name, value)
    return row


async def remove(session: AsyncSession, user_id: str, conversation_id: str) -> None:
    """Delete a conversation of this user with its messages, ratings, links and traces in the search. Raises 404."""
    await get(session, user_id, conversation_id)
    await session.execute(delete(Conversation).where(Conversation.id == conversation_id))


async def remove_all(session: AsyncSession, user_id: str) -> int:
    """Delete all of a user's conversations; how many there were."""
    count = await session.scalar(select(func.count()).where(Conversation.user_id == user_id))
    await session.execute(delete(Conversation).where(Conversation.user_id == user_id))
    return count or 0


async def set_title_of_model(session: AsyncSession, conversation_id: str, title: str) -> bool:
    """Give a title that a model made, unless a person gave one meanwhile; whether it was taken."""
    named = await session.execute(
        update(Conversation)
        .where(Conversation.id == conversation_id, Conversation.title_by == "none")
        .values(title=title, title_by="model")
        .returning(Conversation.id)
    )
    return named.first() is not None


async def folder(session: AsyncSession, user_id: str, folder_id: str) -> Folder:
    """A folder of this user. Raises ApiError (404)."""
    row = await session.get(Folder, folder_id)
    if row is None or row.user_id != user_id:
        raise not_found("folder", folder_id)
    return row


async def folders(session: AsyncSession, user_id: str) -> list[Folder]:
    """A user's folders, in their order."""
    query = select(Folder).where(Folder.user_id == user_id).order_by(Folder.position, Folder.created_ms, Folder.id)
    return list(await session.scalars(query))
