"""Accounts, invitations, settings and the record of what was done, for administrators."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, JsonValue

from chatwright.server.accounts.directory import Changes
from chatwright.server.accounts.runtime import RuntimeSettings, RuntimeValues
from chatwright.server.accounts.shapes import (
    AuditInfo,
    CreatedInvitation,
    InvitationInfo,
    NewInvitationRequest,
    NewUser,
    Page,
    UserChanges,
    UserInfo,
)
from chatwright.server.errors import REFUSALS, not_found
from chatwright.server.fields import STORABLE, PageSize, PathId, QueryId
from chatwright.server.policy import allow
from chatwright.server.principal import Principal
from chatwright.server.services import services

router = APIRouter(tags=["administration"], responses=REFUSALS)

Admin = Annotated[Principal, allow("admin", scope="admin")]
Words = Annotated[str, Query(max_length=100), STORABLE]


class SettingsInfo(BaseModel):
    """The settings that can be changed while the server runs.

    Attributes:
        values: what holds now.
        defaults: what the server was started with.
        changed: names of those that administrators set.
    """

    values: RuntimeValues
    defaults: RuntimeValues
    changed: list[str]


@router.get("/api/admin/users")
async def list_users(
    request: Request, _: Admin, limit: PageSize = 50, after: QueryId = None, query: Words = ""
) -> Page[UserInfo]:
    """Accounts, oldest first; ``query`` finds a part of a name."""
    rows = await services(request).accounts.directory.page(limit=limit + 1, after=after, query=query)
    return Page[UserInfo].of([UserInfo.of(row) for row in rows], [row.id for row in rows], limit)


@router.post("/api/admin/users", status_code=201)
async def create_user(request: Request, admin: Admin, body: NewUser) -> UserInfo:
    """Make an account."""
    user = await services(request).accounts.directory.create(admin, body.name, body.password, body.role)
    return UserInfo.of(user)


@router.get("/api/admin/users/{user_id}")
async def read_user(request: Request, _: Admin, user_id: PathId) -> UserInfo:
    """One account."""
    return UserInfo.of(await services(request).accounts.directory.one(user_id))


@router.patch("/api/admin/users/{user_id}")
async def change_user(request: Request, admin: Admin, user_id: PathId, body: UserChanges) -> UserInfo:
    """Change an account: where role, password or access change, its sessions and streams end at once."""
    changes = Changes(**body.model_dump())
    return UserInfo.of(await services(request).accounts.directory.change(admin, user_id, changes))


@router.delete("/api/admin/users/{user_id}", status_code=204)
async def delete_user(request: Request, admin: Admin, user_id: PathId) -> None:
    """Delete an account and all that belongs to it."""
    await services(request).accounts.directory.delete(admin, user_id)


@router.get("/api/admin/invitations")
async def list_invitations(
    request: Request, _: Admin, limit: PageSize = 50, after: QueryId = None
) -> Page[InvitationInfo]:
    """Invitations that were not revoked, newest first."""
    rows = await services(request).accounts.invitations.page(limit=limit + 1, after=after)
    return Page[InvitationInfo].of([InvitationInfo.of(row) for row in rows], [row.id for row in rows], limit)


@router.post("/api/admin/invitations", status_code=201)
async def create_invitation(request: Request, admin: Admin, body: NewInvitationRequest) -> CreatedInvitation:
    """Make an invitation. Its code is shown in this answer and never again."""
    new = await services(request).accounts.invitations.create(
        admin, note=body.note, role=body.role, days=body.expires_in_days, max_uses=body.max_uses
    )
    return CreatedInvitation.shown(new.row, new.code)


@router.delete("/api/admin/invitations/{invitation_id}", status_code=204)
async def revoke_invitation(request: Request, admin: Admin, invitation_id: PathId) -> None:
    """Make an invitation useless."""
    await services(request).accounts.invitations.revoke(admin, invitation_id)


@router.get("/api/admin/audit")
async def read_audit(
    request: Request,
    _: Admin,
    limit: PageSize = 50,
    after: QueryId = None,
    action: Words | None = None,
    target: Words | None = None,
) -> Page[AuditInfo]:
    """What was done, newest first."""
    rows = await services(request).audit.entries(limit=limit + 1, after=after, action=action, target=target)
    return Page[AuditInfo].of([AuditInfo.of(row) for row in rows], [row.id for row in rows], limit)


@router.get("/api/admin/settings")
async def read_settings(request: Request, _: Admin) -> SettingsInfo:
    """The settings that can be changed while the server runs."""
    return await _settings(services(request).runtime)


@router.patch("/api/admin/settings")
async def change_settings(request: Request, admin: Admin, body: dict[str, JsonValue]) -> SettingsInfo:
    """Change settings, by name; they hold at once, and after a restart."""
    runtime = services(request).runtime
    await runtime.change(admin, body)
    return await _settings(runtime)


@router.delete("/api/admin/settings/{name}")
async def reset_setting(request: Request, admin: Admin, name: PathId) -> SettingsInfo:
    """Let the value with which the server was started hold again."""
    runtime = services(request).runtime
    if name not in RuntimeValues.model_fields:
        raise not_found("setting", name)
    await runtime.reset(admin, name)
    return await _settings(runtime)


async def _settings(runtime: RuntimeSettings) -> SettingsInfo:
    return SettingsInfo(
        values=await runtime.values(), defaults=runtime.defaults, changed=sorted(await runtime.changed())
    )
