"""Who may judge what: one's own conversations, answers that this server wrote, and only as they were written."""

import asyncio
from collections.abc import Callable

from sqlalchemy.ext.asyncio import AsyncSession

from chatwright.server.conversations import messages
from chatwright.server.conversations.storing import content_hash
from chatwright.server.database import Database
from chatwright.server.database.tables import Choice, MessageRow, Rating, User
from chatwright.server.errors import ApiError
from chatwright.server.feedback import repository
from chatwright.server.feedback.schemas import ChoiceBody, RatingBody
from chatwright.server.identifiers import new_id, now_ms
from chatwright.server.principal import Principal


async def rate(
    database: Database, redact: Callable[[str], str], principal: Principal, message_id: str, body: RatingBody
) -> Rating:
    """Judge an answer, or judge it anew.

    The consent to training is written down as it is now; who takes it back later is asked again by whoever trains.

    Args:
        database: of the server.
        redact: what is done to a text before it is kept.
        principal: who judges.
        message_id: of the answer.
        body: the judgement.

    Raises:
        ApiError: 404; 409 for what is not a finished answer of this server; 400 for a judgement that says nothing.
    """
    if body.thumb == 0 and not body.comment.strip() and body.edit is None:
        message = principal.say("the rating says nothing", "评价内容为空")
        raise ApiError(400, message, param="thumb", code="invalid_value")
    comment, edit = await asyncio.to_thread(
        lambda: (redact(body.comment), None if body.edit is None else redact(body.edit))
    )
    async with database.write() as session:
        answer = await _answer(session, principal, message_id)
        values = {
            "thumb": body.thumb,
            "reasons": list(dict.fromkeys(body.reasons)),
            "comment": comment,
            "edit": edit,
            "content_hash": answer.content_hash,
            "model_version": answer.model_version,
            "consent": await _consents(session, principal),
            "updated_ms": now_ms(),
        }
        key = {"user_id": principal.user_id, "message_id": message_id}
        await repository.put(session, Rating, key, values, new_id("rate_"))
        return await repository.rating(session, principal.user_id, message_id)


async def choose(database: Database, principal: Principal, body: ChoiceBody) -> Choice:
    """Say which of two answers to the same question is better, or say it anew.

    Raises:
        ApiError: 404; 409 for what is not a finished answer of this server; 400 for answers to different questions.
    """
    first_id, second_id = sorted((body.first_id, body.second_id))
    async with database.write() as session:
        first, second = [await _answer(session, principal, name) for name in (first_id, second_id)]
        if first_id == second_id or first.parent_id != second.parent_id:
            message = principal.say(
                "a choice is between two answers to the same question", "只能在同一问题的两个回答之间选择"
            )
            raise ApiError(400, message, param="second_id", code="invalid_value")
        if body.chosen_id not in (None, first_id, second_id):
            raise ApiError(
                400,
                principal.say("chosen_id is neither of the two", "chosen_id 不是这两个回答之一"),
                param="chosen_id",
                code="invalid_value",
            )
        values = {
            "chosen_id": body.chosen_id,
            "hashes": [first.content_hash, second.content_hash],
            "model_versions": [first.model_version, second.model_version],
            "consent": await _consents(session, principal),
            "updated_ms": now_ms(),
        }
        key = {"user_id": principal.user_id, "first_id": first_id, "second_id": second_id}
        await repository.put(session, Choice, key, values, new_id("choice_"))
        return await repository.choice(session, principal.user_id, first_id, second_id)


async def _answer(session: AsyncSession, principal: Principal, message_id: str) -> MessageRow:
    """A finished answer that this server wrote, unchanged since. Raises ApiError (404, 409)."""
    row = await messages.get(session, principal.user_id, message_id)
    is_real = row.role == "assistant" and row.origin == "generated" and row.status == "complete" and row.content
    if not is_real or row.content_hash != content_hash(row.content):
        raise ApiError(
            409,
            principal.say(
                "only finished answers that this server wrote can be rated", "只能评价由本服务器生成且已完成的回答"
            ),
            code="not_ratable",
        )
    return row


async def _consents(session: AsyncSession, principal: Principal) -> bool:
    user = await session.get(User, principal.user_id)
    return user is not None and user.training_consent
