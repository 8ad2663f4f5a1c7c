"""Look inside an answer."""

from typing import Annotated

from fastapi import APIRouter, Request

from chatwright.server.errors import REFUSALS
from chatwright.server.fields import PathId
from chatwright.server.inside.looking import view_inside
from chatwright.server.inside.schemas import InsideTopics, InsideView
from chatwright.server.policy import allow
from chatwright.server.principal import Principal
from chatwright.server.services import services
from chatwright.server.sse import unless_disconnected

router = APIRouter(tags=["conversations"], responses=REFUSALS)


@router.post("/api/messages/{message_id}/inside")
async def look_inside(
    message_id: PathId,
    topics: InsideTopics,
    request: Request,
    principal: Annotated[Principal, allow("user", scope="conversations")],
) -> InsideView:
    """Have the model read one of one's answers again, and see how sure it is, where it looks, and what its layers say.

    Computed for this request and not stored. Only for models of this server.
    """
    room = services(request)
    view = view_inside(room.database, room.models, room.limiter, principal, message_id, topics)
    return await unless_disconnected(request.receive, view)
