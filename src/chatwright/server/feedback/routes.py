"""Ratings and choices: given, changed, withdrawn; and what administrators see of them."""

from typing import Annotated, cast

from fastapi import APIRouter, Query, Request

from chatwright.server.conversations import repository as conversations
from chatwright.server.conversations.schemas import Page
from chatwright.server.errors import REFUSALS
from chatwright.server.feedback import judging, repository
from chatwright.server.feedback.schemas import (
    ChoiceBody,
    ChoiceView,
    FeedbackView,
    ListedRating,
    RatingBody,
    RatingView,
    Thumb,
    VersionSummary,
)
from chatwright.server.fields import Identifier, PageSize, PathId, QueryId
from chatwright.server.policy import allow
from chatwright.server.principal import Principal
from chatwright.server.services import services

router = APIRouter(tags=["feedback"], responses=REFUSALS)
User = Annotated[Principal, allow("user", scope="conversations")]
Admin = Annotated[Principal, allow("admin", scope="admin")]


@router.put("/api/messages/{message_id}/rating")
async def put_rating(message_id: PathId, body: RatingBody, request: Request, principal: User) -> RatingView:
    """Judge an answer, or judge it anew: one judgement per person and answer."""
    room = services(request)
    return RatingView.of(await judging.rate(room.database, room.privacy.for_storage, principal, message_id, body))


@router.delete("/api/messages/{message_id}/rating", status_code=204)
async def delete_rating(message_id: PathId, request: Request, principal: User) -> None:
    """Take a judgement back; no dataset to come has it."""
    async with services(request).database.write() as session:
        await repository.withdraw_rating(session, principal.user_id, message_id)


@router.put("/api/choices")
async def put_choice(body: ChoiceBody, request: Request, principal: User) -> ChoiceView:
    """Say which of two answers to the same question is better, or say it anew."""
    return ChoiceView.of(await judging.choose(services(request).database, principal, body))


@router.delete("/api/choices", status_code=204)
async def delete_choice(
    request: Request,
    principal: User,
    first_id: Annotated[Identifier, Query()],
    second_id: Annotated[Identifier, Query()],
) -> None:
    """Take a choice back."""
    async with services(request).database.write() as session:
        await repository.withdraw_choice(session, principal.user_id, *sorted((first_id, second_id)))


@router.get("/api/conversations/{conversation_id}/feedback")
async def list_own_feedback(conversation_id: PathId, request: Request, principal: User) -> FeedbackView:
    """One's judgements in a conversation."""
    async with services(request).database.read() as session:
        await conversations.get(session, principal.user_id, conversation_id)
        ratings, choices = await repository.of_conversation(session, principal.user_id, conversation_id)
    return FeedbackView(
        ratings=[RatingView.of(row) for row in ratings], choices=[ChoiceView.of(row) for row in choices]
    )


@router.get("/api/admin/feedback")
async def list_feedback(
    request: Request,
    principal: Admin,
    thumb: Annotated[int | None, Query(ge=-1, le=1)] = None,
    after: QueryId = None,
    limit: PageSize = 50,
) -> Page[ListedRating]:
    """Everybody's judgements; what people wrote only where administrators may read it."""
    room = services(request)
    may_read = await room.privacy.admins_may_read()
    async with room.database.read() as session:
        rows = await repository.listed(session, thumb=thumb, after=after, limit=limit)
    data = [
        ListedRating(
            id=rating.id,
            message_id=rating.message_id,
            user_id=rating.user_id,
            thumb=cast(Thumb, rating.thumb),
            reasons=rating.reasons,
            model=answer.model,
            model_version=rating.model_version,
            consent=rating.consent,
            updated_ms=rating.updated_ms,
            question=question if may_read else None,
            answer=answer.content if may_read else None,
            comment=rating.comment if may_read else None,
            edit=rating.edit if may_read else None,
        )
        for rating, answer, question in rows[:limit]
    ]
    return Page(data=data, has_more=len(rows) > limit, next=data[-1].id if len(rows) > limit else None)


@router.get("/api/admin/feedback/summary")
async def summarise_feedback(request: Request, principal: Admin) -> Page[VersionSummary]:
    """Thumbs by the version of the model that wrote the answers."""
    async with services(request).database.read() as session:
        rows = await repository.summary(session)
    data = [
        VersionSummary(model=model, model_version=version, up=up, down=down, edits=edits)
        for model, version, up, down, edits in rows
    ]
    return Page(data=data, has_more=False)
