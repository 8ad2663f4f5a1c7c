"""One's own account: settings, password, sessions, API keys."""

from typing import Annotated

from fastapi import APIRouter, Request, Response

from chatwright.server.accounts.routes import begin_session
from chatwright.server.accounts.shapes import (
    CreatedKey,
    IdentityInfo,
    KeyChanges,
    KeyInfo,
    Me,
    MeChanges,
    NewKeyRequest,
    Page,
    PasswordChange,
    SessionInfo,
)
from chatwright.server.errors import REFUSALS, not_found
from chatwright.server.fields import PageSize, PathId, QueryId
from chatwright.server.policy import allow
from chatwright.server.principal import Principal
from chatwright.server.services import services

router = APIRouter(tags=["account"], responses=REFUSALS)

Caller = Annotated[Principal, allow("user")]  # no API key: one that was lost must not be able to make another


@router.get("/api/me")
async def me(request: Request, caller: Annotated[Principal, allow("user", scope="conversations")]) -> Me:
    """The caller's account."""
    return Me.of(await services(request).accounts.profiles.read(caller), caller)


@router.patch("/api/me")
async def change_me(request: Request, caller: Caller, body: MeChanges) -> Me:
    """Change the caller's name, language, consent or preferences."""
    user = await services(request).accounts.profiles.change(caller, body.model_dump(exclude_unset=True))
    return Me.of(user, caller)


@router.post("/api/me/password")
async def change_password(request: Request, response: Response, caller: Caller, body: PasswordChange) -> Me:
    """Change the caller's password. Every other session and every stream ends; this browser gets a new session."""
    sign_in = services(request).accounts.sign_in
    user = await sign_in.change_password(caller, body.current_password, body.new_password)
    return await begin_session(request, response, caller, user)


@router.get("/api/me/identities")
async def list_identities(request: Request, caller: Caller) -> list[IdentityInfo]:
    """Names at identity providers by which the caller can sign in."""
    return [IdentityInfo.of(row) for row in await services(request).accounts.identities.of(caller)]


@router.delete("/api/me/identities/{identity_id}", status_code=204)
async def unlink_identity(request: Request, caller: Caller, identity_id: PathId) -> None:
    """Let one of these names not sign in any more. Refused for the only way into the account."""
    if not await services(request).accounts.identities.unlink(caller, identity_id):
        raise not_found("identity", identity_id)


@router.get("/api/me/sessions")
async def list_sessions(
    request: Request, caller: Caller, limit: PageSize = 50, after: QueryId = None
) -> Page[SessionInfo]:
    """Browsers in which the caller is signed in, newest first."""
    rows = await services(request).accounts.sign_in.page(caller, limit=limit + 1, after=after)
    return Page[SessionInfo].of([SessionInfo.shown(row, caller) for row in rows], [row.id for row in rows], limit)


@router.delete("/api/me/sessions/{session_id}", status_code=204)
async def end_session(request: Request, caller: Caller, session_id: PathId) -> None:
    """Sign one of the caller's browsers out."""
    if not await services(request).accounts.sign_in.end(caller, session_id):
        raise not_found("session", session_id)


@router.get("/api/me/keys")
async def list_keys(request: Request, caller: Caller, limit: PageSize = 50, after: QueryId = None) -> Page[KeyInfo]:
    """The caller's API keys, newest first."""
    rows = await services(request).accounts.key_ring.page(caller.user_id, limit=limit + 1, after=after)
    return Page[KeyInfo].of([KeyInfo.of(row) for row in rows], [row.id for row in rows], limit)


@router.post("/api/me/keys", status_code=201)
async def create_key(request: Request, caller: Caller, body: NewKeyRequest) -> CreatedKey:
    """Make an API key. It is shown in this answer and never again."""
    new = await services(request).accounts.key_ring.create(
        caller,
        caller.user_id,
        caller.role,
        name=body.name,
        scopes=tuple(body.scopes),
        expires_in_days=body.expires_in_days,
    )
    return CreatedKey.shown(new.row, new.key)


@router.patch("/api/me/keys/{key_id}")
async def change_key(request: Request, caller: Caller, key_id: PathId, body: KeyChanges) -> KeyInfo:
    """Rename a key, or change what it is for."""
    scopes = tuple(body.scopes) if body.scopes is not None else None
    return KeyInfo.of(await services(request).accounts.key_ring.change(caller, key_id, name=body.name, scopes=scopes))


@router.delete("/api/me/keys/{key_id}", status_code=204)
async def revoke_key(request: Request, caller: Caller, key_id: PathId) -> None:
    """Make a key useless, and end what it is doing."""
    await services(request).accounts.key_ring.revoke(caller, key_id)
