"""Who may call a route. Every route declares one policy; a test fails on a route without.

::

    @router.get("/api/folders")
    async def folders(principal: Annotated[Principal, allow("user", scope="conversations")]) -> ...:

A policy decides about the route. Whether a *thing* is the caller's is decided where it is read: repositories take the
user's id, and what belongs to somebody else is as absent as what does not exist (404).
"""

from collections.abc import Awaitable, Callable
from typing import Any, Literal

from fastapi import Depends, Request

from chatwright.server.errors import ApiError
from chatwright.server.language import language_of
from chatwright.server.principal import SCOPES, Principal

Access = Literal["public", "user", "admin"]


class Policy:
    """A dependency that identifies the caller and refuses whom the route is not for.

    Attributes:
        access: ``public`` (anybody, signed in or not), ``user`` (any account) or ``admin``.
        scope: what an API key must be for; None refuses keys altogether: the route is for the page.
    """

    def __init__(self, access: Access, scope: str | None) -> None:
        assert scope is None or scope in SCOPES
        self.access = access
        self.scope = scope

    async def __call__(self, request: Request) -> Principal:
        """The caller.

        Raises:
            ApiError: 401 for nobody, 403 for somebody who may not.
        """
        identify: Callable[[Request], Awaitable[Principal]] = request.app.state.identify
        try:
            principal = await identify(request)
        except ApiError:
            if self.access != "public":
                raise
            # An old cookie or a wrong key opens nothing, and closes nothing that is open to everybody.
            principal = Principal(language=language_of(request.headers.get("accept-language")))
        request.state.principal = principal
        if self.access == "public":
            return principal
        if principal.role == "anonymous":
            raise unidentified(principal)
        if principal.channel == "key" and self.scope not in principal.scopes:
            raise ApiError(
                403,
                principal.say(
                    f"this API key may not be used here; make one with the scope {self.scope}"
                    if self.scope
                    else "API keys cannot be used here; sign in on the page",
                    f"此 API 密钥没有所需权限 {self.scope}" if self.scope else "此处不能使用 API 密钥，请在网页上登录",
                ),
                code="insufficient_scope",
            )
        if self.access == "admin" and not principal.is_admin:
            raise ApiError(
                403, principal.say("only an administrator may do this", "仅管理员可执行此操作"), code="admin_only"
            )
        return principal


def unidentified(principal: Principal) -> ApiError:
    """401: nobody can tell who asks."""
    return ApiError(
        401,
        principal.say(
            "sign in, or send an API key in the Authorization header (Bearer sk-…)",
            "请先登录，或在 Authorization 请求头中提供 API 密钥（Bearer sk-…）",
        ),
        code="invalid_api_key",
        headers={"WWW-Authenticate": "Bearer"},
    )


def allow(access: Access, *, scope: str | None = None) -> Any:
    """Declare the policy of a route; see :class:`Policy`."""
    return Depends(Policy(access, scope))
