"""The layer before the routes."""

import asyncio
from typing import Final

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from chatwright.server.accounts.in_flight import Handle
from chatwright.server.errors import ApiError
from chatwright.server.guard import rules
from chatwright.server.guard.exchange import Exchange, TooLargeError
from chatwright.server.guard.places import Places
from chatwright.server.policy import unidentified
from chatwright.server.principal import Principal
from chatwright.server.settings import ServerSettings

_POLICY_VIOLATION: Final = 1008
_PREFLIGHT: Final = {
    "access-control-allow-methods": "GET, POST, PUT, PATCH, DELETE",
    "access-control-allow-headers": "Authorization, Content-Type, X-Requested-With, Last-Event-ID",
    "access-control-max-age": "600",
}
_READABLE: Final = b", ".join(
    [b"x-request-id", b"retry-after", b"retry-after-ms"]
    + [
        b"x-ratelimit-%s-%s" % (part, unit)
        for part in (b"limit", b"remaining", b"reset")
        for unit in (b"requests", b"tokens")
    ]
)


class Guard:
    """Lets through what comes from where it may, is no larger than it may be, and whose sender keeps access meanwhile.

    Pages of allowed origins may read answers; the header that would let them send cookies is never given.

    Args:
        app: the routes.
        settings: name hosts, origins and sizes.
    """

    def __init__(self, app: ASGIApp, settings: ServerSettings) -> None:
        self._app = app
        self._settings = settings
        self._places = Places(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "websocket":  # there are none, and they would come with cookies from any origin
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        exchange = Exchange(scope, receive, send, headers=self._cors(headers))
        try:
            rules.check_headers(headers)
            host = rules.check_host(headers, self._places)
            rules.check_path(scope)
            origin = rules.check_origin(scope, headers, host, self._places)
            exchange.limit = limit = await self._body_limit(scope, headers)
        except ApiError as error:
            await exchange.refuse(error)
            return
        if origin == "allowed" and scope["method"] == "OPTIONS" and "access-control-request-method" in headers:
            await Response(status_code=204, headers=_PREFLIGHT)(scope, receive, exchange.send)
            return
        await self._answer(scope, exchange)
        if exchange.too_large:
            await exchange.refuse(rules.too_large(headers, limit))

    async def _body_limit(self, scope: Scope, headers: Headers) -> int:
        """How many bytes the body may have, from whoever it is that sends it.

        Raises:
            ApiError: 413 for more than anybody may send, 401 for more than somebody unknown may.
        """
        limit, announced = rules.body_limit(scope, self._settings), rules.announced_bytes(headers)
        if announced > limit:
            raise rules.too_large(headers, limit)
        if not rules.needs_a_name(headers):
            return min(limit, rules.ANYBODYS_BYTES)
        request = Request(scope)
        principal: Principal = await request.app.state.identify(request)
        if principal.user_id:
            return limit
        if announced > rules.ANYBODYS_BYTES:
            refusal = unidentified(principal)
            refusal.headers["Connection"] = "close"  # the body is not read
            raise refusal
        return min(limit, rules.ANYBODYS_BYTES)

    async def _answer(self, scope: Scope, exchange: Exchange) -> None:
        """Have the routes answer, until they have or the caller's access ends."""
        task = asyncio.current_task()
        assert task is not None
        handle = scope.setdefault("state", {})["in_flight"] = Handle(task)
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except TooLargeError:
            pass  # the caller sees to it
        except asyncio.CancelledError:
            if not handle.ended:
                raise
        finally:
            handle.leave()
        if handle.ended:
            task.uncancel()
            await exchange.refuse(ApiError(401, "your access has ended; sign in again", code="session_ended"))

    def _cors(self, headers: Headers) -> list[tuple[bytes, bytes]]:
        """Headers by which a page of an allowed origin may read the answer."""
        origin, host = headers.get("origin"), headers.get("host", "")
        if origin is None or self._places.kind_of(origin, host) != "allowed":
            return []
        return [
            (b"access-control-allow-origin", origin.encode("latin-1")),
            (b"access-control-expose-headers", _READABLE),
            (b"vary", b"Origin"),
        ]
