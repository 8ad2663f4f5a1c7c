"""``/api/conversations``: made, listed, found, changed, deleted."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from chatwright.server.conversations import messages, repository
from chatwright.server.conversations.context import context_of
from chatwright.server.conversations.finding import MAX_HITS, hits
from chatwright.server.conversations.grouping import group_of
from chatwright.server.conversations.schemas import (
    ContextView,
    ConversationChanges,
    ConversationView,
    ListedConversation,
    NewConversation,
    NumDeleted,
    Page,
    SearchHit,
)
from chatwright.server.database.tables import Conversation
from chatwright.server.fields import PageSize, PathId, QueryId
from chatwright.server.identifiers import new_id, now_ms
from chatwright.server.policy import allow
from chatwright.server.principal import Principal
from chatwright.server.services import services

router = APIRouter(prefix="/api/conversations", tags=["conversations"])
User = Annotated[Principal, allow("user", scope="conversations")]


@router.post("", status_code=201)
async def create_conversation(body: NewConversation, request: Request, principal: User) -> ConversationView:
    """Make a conversation without messages."""
    now = now_ms()
    row = Conversation(
        id=new_id("conv_"),
        user_id=principal.user_id,
        title=body.title or "",
        title_by="person" if body.title else "none",
        folder_id=body.folder_id,
        pinned=False,
        archived=False,
        model=body.model,
        system_prompt=body.system_prompt,
        sampling=body.sampling.given(),
        created_ms=now,
        updated_ms=now,
    )
    async with services(request).database.write() as session:
        if body.folder_id is not None:
            await repository.folder(session, principal.user_id, body.folder_id)
        session.add(row)
    return ConversationView.of(row)


@router.get("")
async def list_conversations(
    request: Request,
    principal: User,
    archived: bool = False,
    folder_id: QueryId = None,
    outside_folders: Annotated[bool, Query(description="only what is in no folder, or pinned")] = False,
    utc_offset_minutes: Annotated[int, Query(ge=-14 * 60, le=14 * 60, description="of the person's clock")] = 0,
    after: QueryId = None,
    limit: PageSize = 50,
) -> Page[ListedConversation]:
    """Conversations, pinned ones first, then by their last use, each with the heading under which it stands."""
    async with services(request).database.read() as session:
        rows = await repository.listed(
            session,
            principal.user_id,
            archived=archived,
            folder_id=folder_id,
            outside_folders=outside_folders,
            after=after,
            limit=limit,
        )
    now = now_ms()
    data = [
        ListedConversation(
            **ConversationView.of(row).model_dump(),
            group="pinned" if row.pinned else group_of(row.updated_ms, now, utc_offset_minutes),
        )
        for row in rows[:limit]
    ]
    return Page(data=data, has_more=len(rows) > limit, next=data[-1].id if len(rows) > limit else None)


@router.delete("")
async def delete_all_conversations(request: Request, principal: User) -> NumDeleted:
    """Delete all of one's conversations, archived ones too."""
    async with services(request).database.write() as session:
        return NumDeleted(deleted=await repository.remove_all(session, principal.user_id))


@router.get("/search")
async def search_conversations(
    request: Request,
    principal: User,
    q: Annotated[str, Query(min_length=1, max_length=500)],
    limit: Annotated[int, Query(ge=1, le=MAX_HITS)] = 30,
) -> Page[SearchHit]:
    """Find titles and messages in which every word stands; the last letters of a word may be missing."""
    async with services(request).database.read() as session:
        found = await hits(session, principal.user_id, q, limit=limit + 1)
    return Page(data=found[:limit], has_more=len(found) > limit)


@router.get("/{conversation_id}")
async def get_conversation(conversation_id: PathId, request: Request, principal: User) -> ConversationView:
    """A conversation; its messages are at ``…/messages``."""
    async with services(request).database.read() as session:
        return ConversationView.of(await repository.get(session, principal.user_id, conversation_id))


@router.patch("/{conversation_id}")
async def change_conversation(
    conversation_id: PathId, body: ConversationChanges, request: Request, principal: User
) -> ConversationView:
    """Rename, pin, archive, move to a folder, show another branch, or change model, persona and sampling."""
    changes = body.model_dump(include=body.model_fields_set - {"sampling"})
    if "sampling" in body.model_fields_set:
        changes["sampling"] = body.sampling.given()
    if "title" in changes:
        changes["title_by"] = "person"
    async with services(request).database.write() as session:
        if body.folder_id is not None:
            await repository.folder(session, principal.user_id, body.folder_id)
        if "current_id" in changes:
            await messages.get(session, principal.user_id, body.current_id, conversation_id=conversation_id)
        row = await repository.change(session, principal.user_id, conversation_id, changes)
    return ConversationView.of(row)


@router.delete("/{conversation_id}", status_code=204)
async def delete_conversation(conversation_id: PathId, request: Request, principal: User) -> None:
    """Delete a conversation with everything that hangs on it; an answer that is being written is stopped."""
    async with services(request).database.write() as session:
        await repository.remove(session, principal.user_id, conversation_id)
    services(request).conversations.generations.end_conversation(conversation_id)


@router.get("/{conversation_id}/context")
async def get_context(
    conversation_id: PathId, request: Request, principal: User, leaf_id: QueryId = None
) -> ContextView:
    """How full the model's context is."""
    room = services(request)
    return await context_of(room.database, room.answering, principal, conversation_id, leaf_id)
