"""Messages, and what makes the server write some: ask, compare, regenerate, edit, continue, stop, attach."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response

from chatwright.server.conversations import messages, repository
from chatwright.server.conversations.attaching import encoded, follow
from chatwright.server.conversations.live import Seen
from chatwright.server.conversations.schemas import Again, Comparison, Edit, MessageView, NewMessage, Page, Turn
from chatwright.server.conversations.turns import Outcome
from chatwright.server.fields import PathId, QueryId
from chatwright.server.policy import allow
from chatwright.server.principal import Principal
from chatwright.server.services import services
from chatwright.server.sse import EventStream

router = APIRouter(tags=["messages"])
User = Annotated[Principal, allow("user", scope="conversations")]
Offset = Annotated[int, Query(ge=0, le=1 << 30)]
EVENTS: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {"text/event-stream": {}},
        "description": "Events: status, reasoning and delta {text, offset}, done {message}, title, error.",
    }
}
_ONE = "/api/conversations/{conversation_id}/messages/{message_id}"


def _turn(outcome: Outcome, response: Response) -> Turn:
    response.headers.update(outcome.headers)
    return Turn(
        user_message=MessageView.of(outcome.question) if outcome.question else None,
        messages=[MessageView.of(row) for row in outcome.answers],
    )


@router.get("/api/conversations/{conversation_id}/messages")
async def list_messages(
    conversation_id: PathId,
    request: Request,
    principal: User,
    after: QueryId = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> Page[MessageView]:
    """The messages of the whole tree, oldest first; ``parent_id`` makes it a tree."""
    async with services(request).database.read() as session:
        await repository.get(session, principal.user_id, conversation_id)
        last = await messages.get(session, principal.user_id, after, conversation_id=conversation_id) if after else None
        rows = await messages.page(session, conversation_id, after=last, limit=limit)
    data = [MessageView.of(row) for row in rows[:limit]]
    return Page(data=data, has_more=len(rows) > limit, next=data[-1].id if len(rows) > limit else None)


@router.post("/api/conversations/{conversation_id}/messages", status_code=201)
async def ask(conversation_id: PathId, body: NewMessage, request: Request, response: Response, principal: User) -> Turn:
    """Ask a question. The server writes the answer whether or not anybody watches."""
    return _turn(await services(request).conversations.turns.ask(principal, conversation_id, body), response)


@router.post("/api/conversations/{conversation_id}/compare", status_code=201)
async def compare(
    conversation_id: PathId, body: Comparison, request: Request, response: Response, principal: User
) -> Turn:
    """Ask a question that is answered twice."""
    return _turn(await services(request).conversations.turns.ask(principal, conversation_id, body), response)


@router.post(f"{_ONE}/regenerate", status_code=201)
async def regenerate(
    conversation_id: PathId,
    message_id: PathId,
    request: Request,
    response: Response,
    principal: User,
    body: Again | None = None,
) -> Turn:
    """Another answer to the same question; the first one stays."""
    turns = services(request).conversations.turns
    return _turn(await turns.regenerate(principal, conversation_id, message_id, body or Again()), response)


@router.post(f"{_ONE}/edit", status_code=201)
async def edit(
    conversation_id: PathId, message_id: PathId, body: Edit, request: Request, response: Response, principal: User
) -> Turn:
    """Ask a question in other words, or write an answer as it should have been; the first one stays."""
    turns = services(request).conversations.turns
    return _turn(await turns.edit(principal, conversation_id, message_id, body), response)


@router.post(f"{_ONE}/continue")
async def continue_answer(
    conversation_id: PathId, message_id: PathId, request: Request, response: Response, principal: User
) -> Turn:
    """Go on writing an answer that was stopped, interrupted, or had no more room."""
    turns = services(request).conversations.turns
    return _turn(await turns.continue_(principal, conversation_id, message_id), response)


@router.post(f"{_ONE}/stop")
async def stop(conversation_id: PathId, message_id: PathId, request: Request, principal: User) -> MessageView:
    """Stop writing an answer. What there is stays."""
    return MessageView.of(await services(request).conversations.turns.stop(principal, conversation_id, message_id))


@router.get("/api/messages/{message_id}")
async def get_message(message_id: PathId, request: Request, principal: User) -> MessageView:
    """A message, with the texts of its attachments."""
    async with services(request).database.read() as session:
        return MessageView.of(await messages.get(session, principal.user_id, message_id), whole=True)


@router.get("/api/messages/{message_id}/events", status_code=200, response_class=Response, responses=EVENTS)
async def attach(
    message_id: PathId,
    request: Request,
    principal: User,
    offset: Offset = 0,
    reasoning_offset: Offset = 0,
    last_event_id: Annotated[str | None, Header()] = None,
) -> EventStream:
    """Watch an answer grow, from the character ``offset`` (in Unicode code points) to its end.

    A browser that connects again says by ``Last-Event-ID`` what it has. Any number may watch; it ends with ``done``.
    """
    seen = (Seen.parse(last_event_id) if last_event_id else None) or Seen(offset, reasoning_offset)
    room = services(request)
    async with room.database.read() as session:
        row = await messages.get(session, principal.user_id, message_id)
    events = follow(room.database, room.conversations.generations, principal.user_id, row, seen)
    return EventStream(encoded(events), error_name="error")
