"""What people said about answers, as rows that a model may learn from: with their consent, and without their data."""

import hashlib
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import anyio
from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from chatwright.chat import Message
from chatwright.server.conversations import messages
from chatwright.server.conversations.prompts import prompt_of
from chatwright.server.conversations.storing import content_hash
from chatwright.server.database import Database
from chatwright.server.database.tables import Choice, Conversation, MessageRow, Rating, User
from chatwright.server.privacy.policy import PrivacyPolicy

_PAGE: Final = 200
Row = dict[str, Any]


async def training_rows(database: Database, policy: PrivacyPolicy) -> AsyncIterator[Row]:
    """Every judgement that may be learned from, in order of its id.

    A row counts when its author consented as it was made and still does, did not withdraw it, and it is about an answer
    that this server generated in a conversation of the author's own and that is still what was judged.

    Yields:
        ``{"prompt", "chosen", "rejected", "meta"}`` of choices and edits, ``{"prompt", "completion", "label", "meta"}``
        of thumbs. ``meta`` says which judgement it is, of whom (a hash), of which conversation, when, and of which
        model version: what is capped, split and deduplicated by.
    """
    for table, rows_of in ((Rating, _of_rating), (Choice, _of_choice)):
        after = ""
        while True:
            async with database.read() as session:
                judgements = list(await session.scalars(_consented(table, after)))
                rows = [row for judgement in judgements if (row := await rows_of(session, judgement))]
            for row in rows:
                yield await anyio.to_thread.run_sync(_redacted, row, policy)
            if len(judgements) < _PAGE:
                break
            after = judgements[-1].id


def _consented(table: Any, after: str) -> Select[tuple[Any]]:
    query = select(table).join(User, User.id == table.user_id)
    query = query.where(User.training_consent, table.consent, table.withdrawn_ms.is_(None), table.id > after)
    return query.order_by(table.id).limit(_PAGE)


async def _of_rating(session: AsyncSession, rating: Rating) -> Row | None:
    found = await _answers(session, rating.user_id, [rating.message_id], [rating.content_hash])
    if found is None:
        return None
    conversation, (answer,) = found
    prompt = await _prompt(session, conversation, answer)
    meta = _meta("rating", rating, conversation, [answer]) | {"reasons": list(rating.reasons)}
    if rating.edit and rating.edit.strip() != answer.content.strip():
        return {"prompt": prompt, "chosen": _said(rating.edit), "rejected": _said(answer.content), "meta": meta}
    if rating.thumb:
        return {"prompt": prompt, "completion": _said(answer.content), "label": rating.thumb > 0, "meta": meta}
    return None


async def _of_choice(session: AsyncSession, choice: Choice) -> Row | None:
    ids = [choice.first_id, choice.second_id]
    if choice.chosen_id not in ids:
        return None
    found = await _answers(session, choice.user_id, ids, choice.hashes)
    if found is None:
        return None
    conversation, answers = found
    chosen, rejected = sorted(answers, key=lambda answer: answer.id != choice.chosen_id)
    if chosen.parent_id != rejected.parent_id or chosen.content == rejected.content:
        return None
    return {
        "prompt": await _prompt(session, conversation, chosen),
        "chosen": _said(chosen.content),
        "rejected": _said(rejected.content),
        "meta": _meta("choice", choice, conversation, [chosen, rejected]),
    }


async def _answers(
    session: AsyncSession, user_id: str, ids: Sequence[str], hashes: Sequence[str]
) -> tuple[Conversation, list[MessageRow]] | None:
    """The judged answers and their conversation; None unless all are generated, whole, unchanged and the person's."""
    query = select(MessageRow).where(
        MessageRow.id.in_(ids), MessageRow.origin == "generated", MessageRow.status == "complete"
    )
    rows = list(await session.scalars(query))
    if len(rows) != len(ids) or len({row.conversation_id for row in rows}) != 1:
        return None
    if not all(row.content and content_hash(row.content) in hashes for row in rows):
        return None
    conversation = await session.get(Conversation, rows[0].conversation_id)
    if conversation is None or conversation.user_id != user_id:
        return None
    return conversation, rows


async def _prompt(session: AsyncSession, conversation: Conversation, answer: MessageRow) -> list[Row]:
    branch = await messages.branch(session, conversation.id, answer.parent_id)
    return [message.to_dict() for message in prompt_of(conversation.system_prompt, branch)]


def _said(text: str) -> list[Row]:
    return [Message("assistant", text).to_dict()]


def _meta(kind: str, judgement: Any, conversation: Conversation, answers: Sequence[MessageRow]) -> Row:
    return {
        "kind": kind,
        "id": judgement.id,
        "rater": hashlib.sha256(judgement.user_id.encode()).hexdigest()[:16],
        "conversation_id": conversation.id,
        "model_versions": [answer.model_version for answer in answers],
        "created_ms": judgement.created_ms,
    }


def _redacted(row: Row, policy: PrivacyPolicy) -> Row:
    """The row as a model may learn it."""
    return {
        key: [message | {"content": policy.for_training(message["content"])} for message in value]
        if isinstance(value, list)
        else value
        for key, value in row.items()
    }
