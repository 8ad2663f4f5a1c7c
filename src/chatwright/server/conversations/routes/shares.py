"""Links to conversations: made, listed, revoked, and read by anybody who has one."""

from typing import Annotated

from fastapi import APIRouter, Request, Response

from chatwright.server.conversations import sharing
from chatwright.server.conversations.schemas import Page, ShareBody, SharedView, ShareView
from chatwright.server.fields import PageSize, PathId, QueryId
from chatwright.server.policy import allow
from chatwright.server.principal import Principal
from chatwright.server.services import services

router = APIRouter(tags=["sharing"])
User = Annotated[Principal, allow("user", scope="conversations")]


@router.post("/api/conversations/{conversation_id}/share", status_code=201)
async def share(conversation_id: PathId, request: Request, principal: User, body: ShareBody | None = None) -> ShareView:
    """Make a link by which anybody may read the branch as it is now."""
    async with services(request).database.write() as session:
        row = await sharing.share(session, principal.user_id, conversation_id, body.leaf_id if body else None)
    return ShareView.of(row)


@router.get("/api/shares")
async def list_shares(
    request: Request,
    principal: User,
    conversation_id: QueryId = None,
    after: QueryId = None,
    limit: PageSize = 50,
) -> Page[ShareView]:
    """One's links, newest first."""
    async with services(request).database.read() as session:
        rows = await sharing.listed(
            session, principal.user_id, conversation_id=conversation_id, after=after, limit=limit
        )
    data = [ShareView.of(row) for row in rows[:limit]]
    return Page(data=data, has_more=len(rows) > limit, next=data[-1].id if len(rows) > limit else None)


@router.delete("/api/shares/{share_id}", status_code=204)
async def revoke(share_id: PathId, request: Request, principal: User) -> None:
    """Make a link lead nowhere."""
    async with services(request).database.write() as session:
        await sharing.revoke(session, principal.user_id, share_id)


@router.get("/api/shared/{share_id}")
async def read_shared(
    share_id: PathId, request: Request, response: Response, principal: Annotated[Principal, allow("public")]
) -> SharedView:
    """Read a shared conversation; search engines are asked to leave it alone."""
    async with services(request).database.read() as session:
        row = await sharing.shared(session, share_id)
    response.headers.update({"X-Robots-Tag": "noindex, nofollow", "Cache-Control": "no-store"})
    return SharedView(id=row.id, title=row.title, created_ms=row.created_ms, messages=row.snapshot)
