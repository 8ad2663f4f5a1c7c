"""What is in the database of answers that are being written: their growth, their end, and whose writer has died."""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from typing import Any, Final

from chatwright.server.conversations import messages, search
from chatwright.server.conversations.live import LiveAnswer
from chatwright.server.database import Database
from chatwright.server.database.tables import MessageRow
from chatwright.server.errors import ApiError
from chatwright.server.identifiers import new_id, now_ms

_STATUS_OF: Final = {"content_filter": "withheld", "cancelled": "interrupted"}


class Storing:
    """Writes the answers of one server process.

    Args:
        database: of the server.
        redact: what is done to a text before it is kept.

    Attributes:
        owner: name of this process in the rows that it writes.
    """

    def __init__(self, database: Database, redact: Callable[[str], str]) -> None:
        self._database = database
        self._redact = redact
        self.owner = new_id("srv_")

    async def grow(self, answers: Sequence[LiveAnswer]) -> list[LiveAnswer]:
        """Write what answers have become, in one transaction for all; those whose rows are no longer ours."""
        texts = await asyncio.to_thread(lambda: [self._kept(answer) for answer in answers])
        lost = []
        now = now_ms()
        async with self._database.write() as session:
            for answer, kept in zip(answers, texts, strict=True):
                values = {**answer.facts, **kept}
                if not await messages.grow(session, self.owner, answer.message_id, values, now=now):
                    lost.append(answer)
        return lost

    async def finish(self, answer: LiveAnswer, error: ApiError | None) -> MessageRow | None:
        """Write the end of an answer and let the search find it; None when the row is gone or not ours."""
        kept = await asyncio.to_thread(self._kept, answer)
        terms = await asyncio.to_thread(search.terms_of, kept["content"])
        status = status_of(answer, error)
        values = {
            **answer.facts,
            **kept,
            "status": status,
            "finish_reason": answer.finish_reason if status in ("complete", "withheld") else None,
            "error": error.body()["error"] if error else None,
            "content_hash": content_hash(kept["content"]) if status == "complete" else "",
            "updated_ms": now_ms(),
        }
        async with self._database.write() as session:
            row = await messages.finish(session, self.owner, answer.message_id, values)
            if row is not None:
                await search.add(session, answer.user_id, row.conversation_id, row.id, terms)
        return row

    async def sweep(self) -> None:
        """Mark answers whose writer has died as interrupted."""
        async with self._database.read() as session:
            found = await messages.abandoned(session, self.owner, now=now_ms())
        if found:
            async with self._database.write() as session:
                await messages.interrupt(session, found, now=now_ms())

    def _kept(self, answer: LiveAnswer) -> dict[str, Any]:
        return {"content": self._redact(answer.text), "reasoning": self._redact(answer.reasoning)}


def status_of(answer: LiveAnswer, error: ApiError | None) -> str:
    """What has become of an answer, in the words of the table."""
    if answer.ending is not None:
        return answer.ending
    if error is not None:
        return "failed"
    return _STATUS_OF.get(answer.finish_reason or "", "complete")


def content_hash(content: str) -> str:
    """SHA-256 by which a rating says what exactly was rated."""
    return hashlib.sha256(content.encode()).hexdigest()
