"""The cookies that signed-in browsers keep."""

from typing import Final

from fastapi import Response

from chatwright.server.accounts.sessions import COOKIE
from chatwright.server.accounts.sign_in import DEVICE_COOKIE
from chatwright.server.settings import ServerSettings

_DAY_S: Final = 86_400
_DEVICE_DAYS: Final = 365


def is_secure(settings: ServerSettings) -> bool:
    """Whether browsers reach the server by HTTPS, so that cookies need not travel otherwise."""
    if settings.secure_cookies is not None:
        return settings.secure_cookies
    return (settings.public_url or "").lower().startswith("https://")


def keep(response: Response, settings: ServerSettings, name: str, value: str, *, seconds: int, path: str = "/") -> None:
    """Have the browser keep a cookie that scripts cannot read and that other sites' forms do not send."""
    response.set_cookie(
        name, value, max_age=seconds, path=path, httponly=True, samesite="lax", secure=is_secure(settings)
    )


def keep_session(response: Response, settings: ServerSettings, token: str, device: str) -> None:
    """Have the browser keep a session, and the mark that it has signed in before."""
    keep(response, settings, COOKIE, token, seconds=settings.session_days * _DAY_S)
    keep(response, settings, DEVICE_COOKIE, device, seconds=_DEVICE_DAYS * _DAY_S, path="/api/sign-in")


def drop_session(response: Response, settings: ServerSettings) -> None:
    """Have the browser forget its session."""
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="lax", secure=is_secure(settings))
