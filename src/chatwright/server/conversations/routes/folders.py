"""``/api/folders``."""

from typing import Annotated

from fastapi import APIRouter, Request

from chatwright.server.conversations import repository
from chatwright.server.conversations.schemas import FolderBody, FolderChanges, FolderView, Page
from chatwright.server.database.tables import Folder
from chatwright.server.fields import PathId
from chatwright.server.identifiers import new_id, now_ms
from chatwright.server.policy import allow
from chatwright.server.principal import Principal
from chatwright.server.services import services

router = APIRouter(prefix="/api/folders", tags=["folders"])
User = Annotated[Principal, allow("user", scope="conversations")]


@router.get("")
async def list_folders(request: Request, principal: User) -> Page[FolderView]:
    """All folders, in their order."""
    async with services(request).database.read() as session:
        rows = await repository.folders(session, principal.user_id)
    return Page(data=[FolderView.of(row) for row in rows], has_more=False)


@router.post("", status_code=201)
async def create_folder(body: FolderBody, request: Request, principal: User) -> FolderView:
    """Make a folder."""
    row = Folder(
        id=new_id("fold_"),
        user_id=principal.user_id,
        name=body.name,
        position=body.position,
        created_ms=now_ms(),
    )
    async with services(request).database.write() as session:
        session.add(row)
    return FolderView.of(row)


@router.patch("/{folder_id}")
async def change_folder(folder_id: PathId, body: FolderChanges, request: Request, principal: User) -> FolderView:
    """Rename or move a folder."""
    async with services(request).database.write() as session:
        row = await repository.folder(session, principal.user_id, folder_id)
        for name in body.model_fields_set:
            setattr(row, name, getattr(body, name))
    return FolderView.of(row)


@router.delete("/{folder_id}", status_code=204)
async def delete_folder(folder_id: PathId, request: Request, principal: User) -> None:
    """Delete a folder; its conversations stay, outside of it."""
    async with services(request).database.write() as session:
        await session.delete(await repository.folder(session, principal.user_id, folder_id))
