"""What people may take with them, and have deleted."""

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Depends, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from chatwright.server.accounts.cookies import drop_session
from chatwright.server.errors import REFUSALS
from chatwright.server.policy import allow
from chatwright.server.portability.exporter import disposition
from chatwright.server.principal import Principal
from chatwright.server.privacy.erasure import GONE
from chatwright.server.privacy.personal_export import personal_export
from chatwright.server.services import Services, services

router = APIRouter(tags=["privacy"], responses=REFUSALS)

# No API key: one that was lost must not take everything away, nor destroy it.
Caller = Annotated[Principal, allow("user")]
TheServices = Annotated[Services, Depends(services)]


class Farewell(BaseModel):
    """Proof that it is the person who wants it."""

    model_config = ConfigDict(extra="forbid")

    current_password: str | None = Field(
        default=None,
        min_length=1,
        max_length=1024,
        description="null for an account without one, whose owner must have proved who it is to its identity provider "
        "within ten minutes",
    )


@router.get(
    "/api/me/export",
    response_class=StreamingResponse,
    responses={200: {"description": "A ZIP.", "content": {"application/zip": {}}}},
)
async def export_me(caller: Caller, all_services: TheServices) -> StreamingResponse:
    """Everything that the server keeps about the caller: records, conversations, files."""
    pieces = personal_export(all_services.database, all_services.files.vault, caller)
    return StreamingResponse(pieces, media_type="application/zip", headers=disposition("chatwright-export.zip"))


@router.delete("/api/me", status_code=204)
async def delete_me(response: Response, caller: Caller, all_services: TheServices, body: Farewell) -> None:
    """Delete the caller's account and everything that belongs to it. It cannot be undone; backups made before keep it
    until they are deleted themselves.
    """
    accounts = all_services.accounts
    await accounts.sign_in.prove(caller, body.current_password)
    await accounts.directory.delete(replace(caller, name=GONE, address=""), caller.user_id)
    await all_services.erasure.scrub()
    drop_session(response, all_services.settings)
