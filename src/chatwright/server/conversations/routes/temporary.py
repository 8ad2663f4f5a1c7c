"""``/api/temporary``: chats that are stored nowhere."""

from typing import Annotated

from fastapi import APIRouter, Header, Request, Response

from chatwright.server.conversations.attaching import encoded
from chatwright.server.conversations.live import Seen
from chatwright.server.conversations.routes.messages import EVENTS, Offset
from chatwright.server.conversations.schemas import TemporaryQuestion
from chatwright.server.conversations.temporary import started
from chatwright.server.fields import PathId
from chatwright.server.policy import allow
from chatwright.server.principal import Principal
from chatwright.server.services import services
from chatwright.server.sse import EventStream, unless_disconnected

router = APIRouter(prefix="/api/temporary/answers", tags=["temporary chats"])
User = Annotated[Principal, allow("user", scope="conversations")]


@router.post("", status_code=200, response_class=Response, responses=EVENTS)
async def answer_temporary(body: TemporaryQuestion, request: Request, principal: User) -> EventStream:
    """Answer a chat that the page holds. The first event, ``started``, has the id by which a viewer can come back."""
    temporary = services(request).conversations.temporary
    live = await unless_disconnected(request.receive, temporary.begin(principal, body))
    return EventStream(encoded(started(live, Seen())), headers=live.headers, error_name="error")


@router.get("/{answer_id}/events", status_code=200, response_class=Response, responses=EVENTS)
async def attach_temporary(
    answer_id: PathId,
    request: Request,
    principal: User,
    offset: Offset = 0,
    reasoning_offset: Offset = 0,
    last_event_id: Annotated[str | None, Header()] = None,
) -> EventStream:
    """Watch an answer again after the connection was lost, in the process that writes it."""
    seen = (Seen.parse(last_event_id) if last_event_id else None) or Seen(offset, reasoning_offset)
    live = services(request).conversations.temporary.get(principal.user_id, answer_id)
    return EventStream(encoded(started(live, seen)), error_name="error")


@router.post("/{answer_id}/stop", status_code=204)
async def stop_temporary(answer_id: PathId, request: Request, principal: User) -> None:
    """Stop writing an answer."""
    services(request).conversations.temporary.stop(principal.user_id, answer_id)
