"""Conversations between their tables and their portable form."""

from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import anyio
from sqlalchemy import insert, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from chatwright.server.conversations import search
from chatwright.server.database import Database
from chatwright.server.database.tables import Conversation, Folder, MessageRow, Rating
from chatwright.server.errors import not_found
from chatwright.server.identifiers import new_id, now_ms
from chatwright.server.portability.conversation import PortableConversation, PortableMessage
from chatwright.server.portability.growing import TooLarge, grow, import_key, message_id, message_row

_PAGE: Final = 50
_OWN_KEY: Final = "chatwright "


async def load(session: AsyncSession, user_id: str, conversation_id: str) -> PortableConversation:
    """One conversation of a user. Raises ApiError (404)."""
    query = select(Conversation).where(Conversation.id == conversation_id, Conversation.user_id == user_id)
    row = await session.scalar(query)
    if row is None:
        raise not_found("conversation", conversation_id)
    return (await _portable(session, user_id, [row]))[0]


async def load_all(database: Database, user_id: str) -> AsyncIterator[PortableConversation]:
    """Every conversation of a user, in order of their ids, a page in memory at a time."""
    after = ""
    while True:
        query = select(Conversation).where(Conversation.user_id == user_id, Conversation.id > after)
        async with database.read() as session:
            rows = list(await session.scalars(query.order_by(Conversation.id).limit(_PAGE)))
            page = await _portable(session, user_id, rows)
        for conversation in page:
            yield conversation
        if len(rows) < _PAGE:
            return
        after = rows[-1].id


async def _portable(session: AsyncSession, user_id: str, rows: Sequence[Conversation]) -> list[PortableConversation]:
    ids = [row.id for row in rows]
    order = (MessageRow.created_ms, MessageRow.id)
    messages: dict[str, list[MessageRow]] = defaultdict(list)
    for message in await session.scalars(
        select(MessageRow).where(MessageRow.conversation_id.in_(ids)).order_by(*order)
    ):
        messages[message.conversation_id].append(message)
    rated = select(Rating).join(MessageRow, MessageRow.id == Rating.message_id)
    ratings = {
        rating.message_id: rating
        for rating in await session.scalars(
            rated.where(MessageRow.conversation_id.in_(ids), Rating.user_id == user_id, Rating.withdrawn_ms.is_(None))
        )
    }
    folder_ids = [row.folder_id for row in rows if row.folder_id]
    folders = {
        folder.id: folder.name for folder in await session.scalars(select(Folder).where(Folder.id.in_(folder_ids)))
    }
    return [_conversation(row, messages[row.id], ratings, folders.get(row.folder_id or "")) for row in rows]


def _conversation(
    row: Conversation, messages: Sequence[MessageRow], ratings: dict[str, Rating], folder: str | None
) -> PortableConversation:
    return PortableConversation(
        key=row.id,
        title=row.title,
        messages=tuple(_message(message, ratings.get(message.id)) for message in messages),
        current_id=row.current_id,
        created_ms=row.created_ms,
        updated_ms=row.updated_ms,
        model=row.model,
        system_prompt=row.system_prompt,
        sampling=row.sampling,
        folder=folder,
        pinned=row.pinned,
        archived=row.archived,
    )


def _message(row: MessageRow, rating: Rating | None) -> PortableMessage:
    details: dict[str, Any] = {
        "origin": row.origin,
        "status": row.status,
        "model_version": row.model_version,
        "finish_reason": row.finish_reason,
        "prompt_tokens": row.prompt_tokens,
        "completion_tokens": row.completion_tokens,
        "dropped_turns": row.dropped_turns,
        "sampling": row.sampling,
    }
    if rating is not None:
        details["rating"] = {
            "thumb": rating.thumb,
            "reasons": rating.reasons,
            "comment": rating.comment,
            "edit": rating.edit,
            "created_ms": rating.created_ms,
        }
    return PortableMessage(
        id=row.id,
        parent_id=row.parent_id,
        role="assistant" if row.role == "assistant" else "user",
        content=row.content,
        created_ms=row.created_ms,
        reasoning=row.reasoning,
        model=row.model,
        attachments=tuple(row.attachments),
        details=details,
    )


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of a batch.

    Attributes:
        conversations: that are new.
        grown: that were here already, and got messages.
        messages: that were written.
        duplicates: conversations that bring nothing new.
        too_large: conversations that have grown beyond what one may have.
    """

    conversations: int
    grown: int
    messages: int
    duplicates: int
    too_large: int


async def store(database: Database, user_id: str, batch: Sequence[PortableConversation]) -> Stored:
    """Write what is new of conversations, under ids of our own: nobody chooses what a row is called.

    Raises:
        IntegrityError: the account is gone.
    """
    count: Counter[str] = Counter()
    terms = await anyio.to_thread.run_sync(_terms, batch)
    async with database.write() as session:
        folders = await _folders(session, user_id, {item.folder for item in batch if item.folder})
        there = await _already_there(session, user_id, batch)
        for conversation, words in zip(batch, terms, strict=True):
            if conversation.key in there:
                count["duplicates"] += 1
                continue
            row_id = await _insert(database, session, user_id, conversation, folders)
            if row_id is not None:
                added = [message_row(message, row_id) for message in conversation.messages]
                await session.execute(insert(MessageRow), added)
                found_by = {row["id"]: terms_of_row for row, terms_of_row in zip(added, words, strict=True)}
                await search.add_new(session, user_id, row_id, found_by)
                count.update(conversations=1, messages=len(added))
                continue
            try:
                num_added = await grow(session, user_id, conversation, words)
            except TooLarge:
                count["too_large"] += 1
            else:
                count.update(messages=num_added, **{"grown" if num_added else "duplicates": 1})
    return Stored(**{name: count[name] for name in Stored.__slots__})


def _terms(batch: Sequence[PortableConversation]) -> list[list[list[str]]]:
    """Under which words each message of each conversation is found."""
    return [[search.terms_of(message.content) for message in item.messages] for item in batch]


async def _already_there(session: AsyncSession, user_id: str, batch: Sequence[PortableConversation]) -> set[str]:
    """Keys of conversations of ours that never went away: an export that comes back to where it was made."""
    ids = [item.key.removeprefix(_OWN_KEY) for item in batch if item.key.startswith(_OWN_KEY)]
    query = select(Conversation.id).where(Conversation.user_id == user_id, Conversation.id.in_(ids))
    return {f"{_OWN_KEY}{row_id}" for row_id in await session.scalars(query)} if ids else set()


async def _insert(
    database: Database,
    session: AsyncSession,
    user_id: str,
    conversation: PortableConversation,
    folders: dict[str, str],
) -> str | None:
    """The id of the new row; None when the same was imported before, or is being imported at this moment."""
    statement = (sqlite if database.is_sqlite else postgresql).insert(Conversation)
    row_id = new_id("conv_")
    row: dict[str, Any] = {
        "id": row_id,
        "user_id": user_id,
        "title": conversation.title,
        "title_by": "import" if conversation.title else "none",
        "folder_id": folders.get(conversation.folder or ""),
        "pinned": conversation.pinned,
        "archived": conversation.archived,
        "model": None,  # that of the source is not ours
        "system_prompt": conversation.system_prompt,
        "sampling": {},
        "current_id": conversation.current_id and message_id(row_id, conversation.current_id),
        "import_key": import_key(conversation),
        "created_ms": conversation.created_ms,
        "updated_ms": conversation.updated_ms,
    }
    added = await session.execute(statement.values(row).on_conflict_do_nothing().returning(Conversation.id))
    return added.scalar()


async def _folders(session: AsyncSession, user_id: str, names: set[str | None]) -> dict[str, str]:
    """Ids of a user's folders of these names; those that are missing are made."""
    rows = await session.scalars(select(Folder).where(Folder.user_id == user_id))
    ids = {row.name: row.id for row in rows}
    for name in sorted(name for name in names if name and name not in ids):
        ids[name] = new_id("fold_")
        session.add(Folder(id=ids[name], user_id=user_id, name=name, position=0, created_ms=now_ms()))
    await session.flush()
    return ids
