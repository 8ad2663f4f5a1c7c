"""A conversation that was imported and has grown at its source since: what is new is added, what is here stays."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from chatwright.server.conversations import search
from chatwright.server.database.tables import Conversation, MessageRow
from chatwright.server.identifiers import now_ms
from chatwright.server.portability.conversation import MAX_MESSAGES, PortableConversation, PortableMessage


class TooLarge(Exception):
    """With what is new, the conversation would have more messages than one may have."""


def import_key(conversation: PortableConversation) -> str:
    """By which a conversation is known when it comes again."""
    return sha256(conversation.key.encode("utf-8", "replace")).hexdigest()


def message_id(conversation_id: str, source_id: str) -> str:
    """The id of the row of an imported message: of our own, and the same whenever the message comes again.

    Nobody can wish for one: the conversation's id is random.
    """
    return f"msg_{sha256(f'{conversation_id} {source_id}'.encode('utf-8', 'replace')).hexdigest()[:32]}"


def message_row(message: PortableMessage, conversation_id: str) -> dict[str, Any]:
    """The row of an imported message."""
    return {
        "id": message_id(conversation_id, message.id),
        "conversation_id": conversation_id,
        "parent_id": message.parent_id and message_id(conversation_id, message.parent_id),
        "role": message.role,
        "origin": "imported",
        "status": "complete",
        "content": message.content,
        "reasoning": message.reasoning,
        "content_hash": "",
        "model": message.model,
        "dropped_turns": 0,
        "sampling": {},
        "attachments": [dict(attachment) for attachment in message.attachments],
        "created_ms": message.created_ms,
        "updated_ms": now_ms(),  # when it came here: retention counts from then
    }


async def grow(
    session: AsyncSession, user_id: str, conversation: PortableConversation, terms: Sequence[Sequence[str]]
) -> int:
    """Add to an imported conversation the messages that it has got since.

    Title, folder, settings and whatever the person wrote here stay. The branch that is shown becomes longer where it
    did so at the source; where the person went on here, it stays.

    Args:
        session: of a transaction that writes.
        user_id: whose conversation it is.
        conversation: as it is now; one with the same key was imported before.
        terms: under which each message is found.

    Returns:
        How many messages were added, or became longer.

    Raises:
        TooLarge: nothing is added then.
    """
    known = select(Conversation).where(
        Conversation.user_id == user_id, Conversation.import_key == import_key(conversation)
    )
    row = (await session.scalars(known.with_for_update())).one()
    imported = select(MessageRow).where(MessageRow.conversation_id == row.id, MessageRow.origin == "imported")
    here = {message.id: message for message in await session.scalars(imported)}
    ids = {message.id: message_id(row.id, message.id) for message in conversation.messages}
    if here.keys().isdisjoint(ids.values()):
        return 0  # another tree under the same name: nothing says where it belongs
    words = dict(zip(ids.values(), terms, strict=True))
    new = [message for message in conversation.messages if ids[message.id] not in here]
    longer = [message for message in conversation.messages if _is_longer(message, here.get(ids[message.id]))]
    if new:
        await _check_size(session, row.id, len(new))
        await session.execute(insert(MessageRow), [message_row(message, row.id) for message in new])
        await search.add_new(session, user_id, row.id, {ids[message.id]: words[ids[message.id]] for message in new})
    for message in longer:
        grown = here[ids[message.id]]
        grown.content, grown.reasoning, grown.updated_ms = message.content, message.reasoning, now_ms()
        await search.add(session, user_id, row.id, grown.id, words[grown.id])
    if new or longer:
        row.updated_ms = max(row.updated_ms, conversation.updated_ms)
        if row.current_id in {ids[message.id] for message in conversation.branch()}:
            row.current_id = ids[conversation.current_id] if conversation.current_id else row.current_id
    return len(new) + len(longer)


def _is_longer(message: PortableMessage, before: MessageRow | None) -> bool:
    """Whether an answer goes on: parts that follow each other were joined into it when it was imported, and are now."""
    return (
        before is not None and len(message.content) > len(before.content) and message.content.startswith(before.content)
    )


async def _check_size(session: AsyncSession, conversation_id: str, num_new: int) -> None:
    messages = select(func.count()).select_from(MessageRow).where(MessageRow.conversation_id == conversation_id)
    if (await session.scalar(messages) or 0) + num_new > MAX_MESSAGES:
        raise TooLarge
