"""Links by which anybody may read a branch as it was when it was shared, until they are revoked."""

from typing import Any, Final

from sqlalchemy import and_, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from chatwright.server.conversations import messages, repository
from chatwright.server.conversations.prompts import with_attachments
from chatwright.server.database.tables import MessageRow, Share, User
from chatwright.server.errors import ApiError, not_found
from chatwright.server.identifiers import new_id, now_ms

_TOKEN_CHARS: Final = 32  # 190 random bits


async def share(session: AsyncSession, user_id: str, conversation_id: str, leaf_id: str | None) -> Share:
    """Make a link to the branch that ends in a message, or to the one that is shown.

    What is said later, and the persona, do not become public.

    Raises:
        ApiError: 404; 409 where there is nothing to read yet.
    """
    conversation = await repository.get(session, user_id, conversation_id)
    if leaf_id is not None:
        await messages.get(session, user_id, leaf_id, conversation_id=conversation_id)
    branch = await messages.branch(session, conversation_id, leaf_id or conversation.current_id)
    said = [_said(row) for row in branch if row.role in ("user", "assistant") and row.content]
    if not said:
        raise ApiError(409, "there is nothing to share in this conversation yet", code="nothing_to_share")
    if branch[-1].status == "generating":
        raise ApiError(409, "the answer is still being written; share it when it is finished", code="still_generating")
    row = Share(
        id=new_id("", _TOKEN_CHARS),
        user_id=user_id,
        conversation_id=conversation_id,
        leaf_id=branch[-1].id,
        title=conversation.title,
        snapshot=said,
        created_ms=now_ms(),
    )
    session.add(row)
    return row


async def shared(session: AsyncSession, share_id: str) -> Share:
    """What a link leads to. Raises ApiError (404) also where it is revoked or its account disabled."""
    query = (
        select(Share)
        .join(User, User.id == Share.user_id)
        .where(Share.id == share_id, Share.revoked_ms.is_(None), User.disabled.is_(False))
    )
    row = await session.scalar(query)
    if row is None:
        raise not_found("shared conversation", share_id)
    return row


async def own(session: AsyncSession, user_id: str, share_id: str) -> Share:
    """A link of this user that works. Raises ApiError (404)."""
    row = await session.get(Share, share_id)
    if row is None or row.user_id != user_id or row.revoked_ms is not None:
        raise not_found("share", share_id)
    return row


async def listed(
    session: AsyncSession, user_id: str, *, conversation_id: str | None, after: str | None, limit: int
) -> list[Share]:
    """A user's links that work, newest first; one more than ``limit`` says that more follow. Raises ApiError (404)."""
    query = select(Share).where(Share.user_id == user_id, Share.revoked_ms.is_(None))
    if conversation_id is not None:
        query = query.where(Share.conversation_id == conversation_id)
    if after is not None:
        last = await own(session, user_id, after)
        earlier = and_(Share.created_ms == last.created_ms, Share.id < last.id)
        query = query.where(or_(Share.created_ms < last.created_ms, earlier))
    return list(await session.scalars(query.order_by(Share.created_ms.desc(), Share.id.desc()).limit(limit + 1)))


async def revoke(session: AsyncSession, user_id: str, share_id: str) -> None:
    """Make a link lead nowhere; what it showed is forgotten. Raises ApiError (404)."""
    row = await own(session, user_id, share_id)
    row.revoked_ms = now_ms()
    row.snapshot = []


def _said(row: MessageRow) -> dict[str, Any]:
    return {
        "role": row.role,
        "content": with_attachments(row.content, row.attachments),
        "model": row.model if row.role == "assistant" else None,
    }
