"""Search in what people wrote and were answered, in Chinese and English, by terms of our own.

A text's terms are its words, and for Chinese (which has no spaces) every two characters that stand side by side: so a
word of two characters is one term, and a longer one is several. What the index finds is checked against the text, so a
word is found only where it stands as a whole.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from chatwright.server.database.search_index import TABLE

MAX_TERMS: Final = 30_000  # of one message: a tsvector holds a megabyte
MAX_QUERY_TERMS: Final = 16
_MAX_TERM_CHARS: Final = 64
# Scripts that write words without spaces, and Korean, whose words carry endings.
_UNSPACED: Final = (
    "\u2e80-\u2fdf\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Chinese characters
    "\u3040-\u30ff\u31f0-\u31ff"  # kana
    "\uac00-\ud7af"  # Hangul
    "\u0e00-\u0e7f"  # Thai
)
_RUNS: Final = re.compile(f"[{_UNSPACED}]+|[^\\W_{_UNSPACED}]+")
_STARTS_UNSPACED: Final = re.compile(f"[{_UNSPACED}]")


@dataclass(frozen=True, slots=True)
class Query:
    """What somebody looks for.

    Attributes:
        runs: words, and unbroken Chinese, as they must stand in a text.
        terms: that the index must hold, each with whether it is only the beginning of one.
    """

    runs: tuple[str, ...]
    terms: tuple[tuple[str, bool], ...]


def normalised(written: str) -> str:
    """Without differences of case and width, each character still in its place.

    Characters whose other form has more than one character stay as they are: places in the text remain places in the
    original.
    """
    if written.isascii():
        return written.lower()
    return "".join(map(_normalised_character, written))


def _normalised_character(character: str) -> str:
    other = unicodedata.normalize("NFKC", character).lower()
    return other if len(other) == 1 else character


def terms_of(written: str) -> list[str]:
    """The terms under which a text is found."""
    terms: list[str] = []
    for run in _RUNS.findall(normalised(written)):
        if _STARTS_UNSPACED.match(run):
            terms.extend(run[place : place + 2] for place in range(len(run)))  # the last is one character alone
        else:
            terms.append(run[:_MAX_TERM_CHARS])
        if len(terms) > MAX_TERMS:
            return terms[:MAX_TERMS]
    return terms


def parse_query(words: str) -> Query | None:
    """What to look for: words, whose last letters may be missing, all of them; None without a letter or digit."""
    runs = tuple(dict.fromkeys(_RUNS.findall(normalised(words))))[:MAX_QUERY_TERMS]
    terms: list[tuple[str, bool]] = []
    for run in runs:
        if not _STARTS_UNSPACED.match(run):
            terms.append((run[:_MAX_TERM_CHARS], True))
        elif len(run) == 1:
            terms.append((run, True))  # the first of two characters, or the last of a run alone
        else:
            terms.extend((run[place : place + 2], False) for place in range(len(run) - 1))
    return Query(runs, tuple(dict.fromkeys(terms))[:MAX_QUERY_TERMS]) if terms else None


def places(query: Query, written: str) -> list[tuple[int, int]]:
    """Where the words of a query stand in a text, first places of each; empty unless every one is there."""
    plain = normalised(written)
    found = []
    for run in query.runs:
        pattern = re.escape(run) if _STARTS_UNSPACED.match(run) else rf"(?<![^\W_{_UNSPACED}]){re.escape(run)}"
        spans = [match.span() for match, _ in zip(re.finditer(pattern, plain), range(20), strict=False)]
        if not spans:
            return []
        found.extend(spans)
    return sorted(found)


async def add(session: AsyncSession, user_id: str, conversation_id: str, message_id: str, terms: Sequence[str]) -> None:
    """Let a message be found; what was known of it before is forgotten. ``terms``: of :func:`terms_of`."""
    await remove(session, message_id)
    await add_new(session, user_id, conversation_id, {message_id: terms})


async def add_new(
    session: AsyncSession, user_id: str, conversation_id: str, terms: Mapping[str, Sequence[str]]
) -> None:
    """Let messages be found that the index does not know yet, all in one statement.

    Args:
        session: of a transaction that writes.
        user_id, conversation_id: whose messages they are, and where.
        terms: of :func:`terms_of`, by the messages' ids.
    """
    is_sqlite = _is_sqlite(session)
    rows = [
        {
            "message": message_id,
            "conversation": conversation_id,
            "user": user_id,
            "terms": " ".join(found_by) if is_sqlite else sorted(set(found_by)),
        }
        for message_id, found_by in terms.items()
        if found_by
    ]
    if not rows:
        return
    kept = ":terms" if is_sqlite else "array_to_tsvector(CAST(:terms AS text[]))"
    await session.execute(
        text(
            f"INSERT INTO {TABLE} (message_id, conversation_id, user_id, terms) "
            f"VALUES (:message, :conversation, :user, {kept})"
        ),
        rows,
    )


async def remove(session: AsyncSession, message_id: str) -> None:
    """Forget a message. Rows that are deleted are forgotten by the database itself."""
    if _is_sqlite(session):
        await session.execute(
            text(f"DELETE FROM {TABLE} WHERE {TABLE} MATCH :term AND message_id = :message"),
            {"term": f'message_id : "{message_id}"', "message": message_id},
        )
    else:
        await session.execute(text(f"DELETE FROM {TABLE} WHERE message_id = :message"), {"message": message_id})


async def find(session: AsyncSession, user_id: str, query: Query, *, limit: int) -> list[str]:
    """Ids of a user's messages that hold the terms of a query, the last written first."""
    if _is_sqlite(session):
        terms = " AND ".join(f'"{term}"{"*" if is_beginning else ""}' for term, is_beginning in query.terms)
        rows = await session.execute(
            text(
                f"SELECT message_id FROM {TABLE} WHERE {TABLE} MATCH :match AND user_id = :user "
                "ORDER BY rowid DESC LIMIT :limit"
            ),
            {"match": f'user_id : "{user_id}" AND terms : ({terms})', "user": user_id, "limit": limit},
        )
    else:
        terms = " & ".join(f"'{term}'{':*' if is_beginning else ''}" for term, is_beginning in query.terms)
        rows = await session.execute(
            text(
                f"SELECT s.message_id FROM {TABLE} s JOIN messages m ON m.id = s.message_id "
                "WHERE s.user_id = :user AND s.terms @@ CAST(:match AS tsquery) "
                "ORDER BY m.created_ms DESC, m.id DESC LIMIT :limit"
            ),
            {"match": terms, "user": user_id, "limit": limit},
        )
    return list(rows.scalars())


def _is_sqlite(session: AsyncSession) -> bool:
    return session.get_bind().dialect.name == "sqlite"
