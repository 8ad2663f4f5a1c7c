"""What a search shows: titles and messages in which the words stand, with the places."""

from typing import Final, cast

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from chatwright.server.conversations import search
from chatwright.server.conversations.schemas import Role, SearchHit
from chatwright.server.database.tables import Conversation, MessageRow

MAX_HITS: Final = 100
_MAX_TITLES: Final = 10
_BEFORE_CHARS: Final = 40
_AFTER_CHARS: Final = 120


async def hits(session: AsyncSession, user_id: str, words: str, *, limit: int) -> list[SearchHit]:
    """Conversations whose title holds the words, then messages that do, the newest first."""
    query = search.parse_query(words)
    if query is None:
        return []
    found = await _titles(session, user_id, query, limit=min(limit, _MAX_TITLES))
    # Some of what the index finds falls away when it is checked: two halves of a word need not stand together.
    ids = await search.find(session, user_id, query, limit=2 * limit)
    # In two steps: in one, the database might begin with the conversations, and read every message of theirs.
    rows = {row.id: row for row in await session.scalars(select(MessageRow).where(MessageRow.id.in_(ids)))}
    names = {row.conversation_id for row in rows.values()}
    own = select(Conversation.id, Conversation.title).where(Conversation.id.in_(names), Conversation.user_id == user_id)
    titles = {row.id: row.title for row in await session.execute(own)}
    for message_id in ids:
        if len(found) >= limit:
            break
        row = rows.get(message_id)
        if row is None or row.conversation_id not in titles:
            continue
        if places := search.places(query, row.content):
            snippet, highlights = _snippet(row.content, places)
            found.append(
                SearchHit(
                    conversation_id=row.conversation_id,
                    title=titles[row.conversation_id],
                    message_id=row.id,
                    role=cast(Role, row.role),
                    snippet=snippet,
                    highlights=highlights,
                    created_ms=row.created_ms,
                )
            )
    return found


async def _titles(session: AsyncSession, user_id: str, query: search.Query, *, limit: int) -> list[SearchHit]:
    wanted = select(Conversation).where(Conversation.user_id == user_id)
    for run in query.runs:
        wanted = wanted.where(func.lower(Conversation.title).contains(run, autoescape=True))
    rows = await session.scalars(wanted.order_by(Conversation.updated_ms.desc()).limit(limit))
    return [
        SearchHit(
            conversation_id=row.id,
            title=row.title,
            message_id=None,
            role=None,
            snippet=row.title,
            highlights=search.places(query, row.title),
            created_ms=row.updated_ms,
        )
        for row in rows
    ]


def _snippet(content: str, places: list[tuple[int, int]]) -> tuple[str, list[tuple[int, int]]]:
    """The part of a text around the first place, on one line, and where in it the places are."""
    start = max(0, places[0][0] - _BEFORE_CHARS)
    end = min(len(content), places[0][1] + _AFTER_CHARS)
    snippet = content[start:end].replace("\n", " ")  # one character for one: places stay
    return snippet, [(low - start, high - start) for low, high in places if start <= low and high <= end]
