"""Words of the administrators' own, kept in the database and looked for in every text."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

import anyio.to_thread
from sqlalchemy import select

from chatwright.safety.moderation import WordMatcher
from chatwright.server.database import Database
from chatwright.server.database.tables import WordList
from chatwright.server.errors import not_found
from chatwright.server.identifiers import new_id, now_ms

Action = Literal["flag", "block"]

_FRESH_S: Final = 5.0  # after which another process's change is seen


@dataclass(frozen=True, slots=True)
class Listed:
    """What the list of a word says of it."""

    category: str
    action: Action


class WordLists:
    """The lists of a server.

    Args:
        database: where they are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._matcher: WordMatcher[Listed] = WordMatcher(())
        self._version: object = None
        self._read_at = -_FRESH_S

    async def matcher(self) -> WordMatcher[Listed]:
        """Finds the words of every list that is enabled; built anew when a list has changed."""
        if time.monotonic() - self._read_at >= _FRESH_S:
            async with self._database.read() as session:
                version = sorted(map(tuple, await session.execute(select(WordList.id, WordList.changed_ms))))
                if version != self._version:
                    rows = (await session.scalars(select(WordList).where(WordList.enabled))).all()
                    words = [
                        (word, Listed(row.category, cast(Action, row.action))) for row in rows for word in row.words
                    ]
                    self._matcher = await anyio.to_thread.run_sync(WordMatcher, words)
                    self._version = version
            self._read_at = time.monotonic()
        return self._matcher

    async def list(self, *, limit: int, after: str | None) -> Sequence[WordList]:
        """Lists in order of their ids."""
        query = select(WordList).order_by(WordList.id).limit(limit)
        if after is not None:
            query = query.where(WordList.id > after)
        async with self._database.read() as session:
            return (await session.scalars(query)).all()

    async def get(self, list_id: str) -> WordList:
        """One of them. Raises ApiError (404)."""
        async with self._database.read() as session:
            return _found(await session.get(WordList, list_id), list_id)

    async def create(self, values: dict[str, Any]) -> WordList:
        """A new list, of its columns' values."""
        row = WordList(id=new_id("words_"), changed_ms=now_ms(), **values)
        async with self._database.write() as session:
            session.add(row)
        self._forget()
        return row

    async def change(self, list_id: str, values: dict[str, Any]) -> WordList:
        """Change some of the columns. Raises ApiError (404)."""
        async with self._database.write() as session:
            row = _found(await session.get(WordList, list_id), list_id)
            for name, value in values.items():
                setattr(row, name, value)
            row.changed_ms = max(now_ms(), row.changed_ms + 1)  # two changes in a millisecond are two
        self._forget()
        return row

    async def delete(self, list_id: str) -> WordList:
        """Remove a list, and return what it was. Raises ApiError (404)."""
        async with self._database.write() as session:
            row = _found(await session.get(WordList, list_id), list_id)
            await session.delete(row)
        self._forget()
        return row

    def _forget(self) -> None:
        self._read_at = -_FRESH_S


def _found(row: WordList | None, list_id: str) -> WordList:
    if row is None:
        raise not_found("word list", list_id)
    return row
