"""Signing in with an identity provider: there, and back."""

import logging
from typing import Annotated, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel, ConfigDict

from chatwright.server.accounts import cookies
from chatwright.server.accounts.identity import ProviderError
from chatwright.server.accounts.oidc import MINUTES, STATE_COOKIE, OidcSignIn
from chatwright.server.accounts.routes import begin_session
from chatwright.server.accounts.shapes import Code
from chatwright.server.errors import REFUSALS, ApiError
from chatwright.server.policy import allow
from chatwright.server.principal import Principal
from chatwright.server.services import services

log = logging.getLogger(__name__)
router = APIRouter(tags=["accounts"], responses=REFUSALS)

Anybody = Annotated[Principal, allow("public")]
Brought = Annotated[str, Query(max_length=4096)]
_PATH: Final = "/api/oidc"


class OidcStart(BaseModel):
    """What is to come of it: a session, or an account that is linked to the provider.

    ``again`` has the provider ask for the password, or whatever it asks for, even where it knows the browser.
    """

    model_config = ConfigDict(extra="forbid")

    link: bool = False
    again: bool = False
    invitation: Code | None = None


class OidcPlace(BaseModel):
    """Where to send the browser."""

    url: str


@router.post("/api/oidc/start")
async def start(request: Request, response: Response, caller: Anybody, body: OidcStart) -> OidcPlace:
    """Begin to sign in with the identity provider, or to link the caller's account to it.

    A request of the page rather than a link: no other site can have a browser begin to link an account.
    """
    oidc = _oidc(request, caller)
    if body.link and caller.channel != "session":
        raise ApiError(401, caller.say("sign in first", "请先登录"), code="oidc_not_signed_in")
    accounts = services(request).accounts
    if body.link and (await accounts.profiles.read(caller)).password_hash is None:
        await accounts.sign_in.prove(caller, None)  # or an open browser would be enough for a lasting way in
    settings = services(request).settings
    here = (settings.public_url or str(request.base_url)).rstrip("/")
    try:
        url, cookie = await oidc.begin(
            f"{here}{_PATH}/callback",
            link_to=caller.user_id if body.link else None,
            invitation=body.invitation,
            again=body.again,
        )
    except ProviderError as error:
        log.warning("signing in with the identity provider: %s", error)
        raise ApiError(
            503,
            caller.say("the identity provider cannot be reached; try again", "暂时无法连接身份提供方，请稍后再试"),
            code="oidc_unavailable",
        ) from error
    cookies.keep(response, settings, STATE_COOKIE, cookie, seconds=MINUTES * 60, path=_PATH)
    return OidcPlace(url=url)


@router.get(
    "/api/oidc/callback",
    status_code=303,
    response_class=RedirectResponse,
    responses={303: {"description": "To the page, signed in; or with the code of a refusal in sign_in_error."}},
)
async def callback(
    request: Request,
    caller: Anybody,
    code: Brought = "",
    state: Brought = "",
    error: Brought = "",
    iss: Annotated[str | None, Query(max_length=4096)] = None,
) -> RedirectResponse:
    """Where the identity provider sends the browser back to."""
    oidc = _oidc(request, caller)
    answer = RedirectResponse("/", status_code=303)
    try:
        if error or not code:
            raise ApiError(403, "the identity provider refused", code="oidc_refused")
        cookie = request.cookies.get(STATE_COOKIE)
        user, proved_ms = await oidc.finish(caller, cookie, code=code, state=state, issuer=iss)
        await begin_session(request, answer, caller, user, proved_ms=proved_ms)
    except ApiError as refusal:
        answer = _back(refusal.code or "oidc_refused")
    except ProviderError as problem:
        log.warning("signing in with the identity provider: %s", problem)
        answer = _back("oidc_refused")
    answer.delete_cookie(STATE_COOKIE, path=_PATH)
    return answer


def _back(code: str) -> RedirectResponse:
    return RedirectResponse(f"/?{urlencode({'sign_in_error': code})}", status_code=303)


def _oidc(request: Request, caller: Principal) -> OidcSignIn:
    oidc = services(request).accounts.oidc
    if oidc is None or not services(request).settings.accounts:
        raise ApiError(
            404, caller.say("this server has no identity provider", "此服务器未配置身份提供方"), code="oidc_off"
        )
    return oidc
