"""Signing up, in and out."""

from typing import Annotated

from fastapi import APIRouter, Request, Response

from chatwright import __version__
from chatwright.server.accounts import cookies
from chatwright.server.accounts.shapes import Credentials, Me, NewAccount, Setup
from chatwright.server.accounts.sign_in import DEVICE_COOKIE
from chatwright.server.database.tables import User
from chatwright.server.errors import REFUSALS, ApiError
from chatwright.server.policy import allow
from chatwright.server.principal import SCOPES, Principal
from chatwright.server.services import services

router = APIRouter(tags=["accounts"], responses=REFUSALS)

Anybody = Annotated[Principal, allow("public")]
Caller = Annotated[Principal, allow("user")]


@router.get("/api/setup")
async def setup(request: Request, _: Anybody) -> Setup:
    """What a page needs to know before anybody has signed in."""
    found = services(request)
    return Setup(
        version=__version__,
        accounts=found.settings.accounts,
        first_account=await found.accounts.registration.first_exists(),
        sign_up=(await found.runtime.values()).sign_up,
        oidc=found.settings.accounts and found.settings.oidc_issuer is not None,
    )


@router.post("/api/sign-up", status_code=201)
async def sign_up(request: Request, response: Response, caller: Anybody, body: NewAccount) -> Me:
    """Make an account and sign in. The first of all administers the server."""
    _need_accounts(request, caller)
    user = await services(request).accounts.registration.sign_up(caller, body.name, body.password, body.invitation)
    return await begin_session(request, response, caller, user)


@router.post("/api/sign-in")
async def sign_in(request: Request, response: Response, caller: Anybody, body: Credentials) -> Me:
    """Sign in with name and password."""
    _need_accounts(request, caller)
    accounts = services(request).accounts
    device = request.cookies.get(DEVICE_COOKIE)
    user = await accounts.sign_in.by_password(caller, body.name, body.password, device)
    return await begin_session(request, response, caller, user)


@router.post("/api/sign-out", status_code=204)
async def sign_out(request: Request, response: Response, caller: Anybody) -> None:
    """End this browser's session and its streams. Also for one whose session has ended already."""
    found = services(request)
    if caller.session_id is not None:
        await found.accounts.sign_in.end(caller, caller.session_id)
    cookies.drop_session(response, found.settings)


@router.post("/api/sign-out-everywhere", status_code=204)
async def sign_out_everywhere(request: Request, response: Response, caller: Caller) -> None:
    """End every session of the caller, and all that the account is doing."""
    found = services(request)
    await found.accounts.sign_in.end_all(caller)
    cookies.drop_session(response, found.settings)


async def begin_session(
    request: Request, response: Response, caller: Principal, user: User, *, proved_ms: int | None = None
) -> Me:
    """Sign this browser in; a session that it had is ended, so that nobody else's is taken over with it."""
    found = services(request)
    if caller.session_id is not None:
        await found.accounts.sign_in.end(caller, caller.session_id)
    user_agent = request.headers.get("user-agent", "")
    session = await found.accounts.sign_in.begin(caller, user, user_agent, proved_ms=proved_ms)
    cookies.keep_session(response, found.settings, session.token, await found.accounts.sign_in.device(user))
    scopes = frozenset(SCOPES) - (frozenset() if user.role == "admin" else {"admin"})
    owner = Principal(
        user_id=user.id,
        name=user.name,
        role="admin" if user.role == "admin" else "user",
        channel="session",
        scopes=scopes,
    )
    return Me.of(user, owner)


def _need_accounts(request: Request, caller: Principal) -> None:
    if not services(request).settings.accounts:
        raise ApiError(
            409,
            caller.say("this server runs without accounts", "此服务器未启用账号"),
            code="accounts_off",
        )
