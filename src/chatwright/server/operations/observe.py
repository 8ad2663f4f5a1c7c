"""What is noticed of every request: an id, a line in the log, figures. Never its content, nor its query."""

import logging
import time
from typing import Any, Final

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bound_contextvars

from chatwright.server.errors import server_bug
from chatwright.server.identifiers import new_id
from chatwright.server.language import language_of
from chatwright.server.operations import metrics
from chatwright.server.principal import Principal

log = logging.getLogger(__name__)

_QUIET: Final = ("/health", "/ready", "/metrics")  # asked for every few seconds by machines
_UNKNOWN: Final = "unknown"


class Observe:
    """Outermost layer of the application, where bugs end too. Nothing is buffered.

    The id is in ``scope["state"]["request_id"]``, in every line of the log that the request causes, and in the
    answer's header ``x-request-id``. A route is known by its template: ids and tokens in paths are not repeated.

    Args:
        app: what answers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        seen = _Seen()
        request_id = new_id("req_")
        scope.setdefault("state", {})["request_id"] = request_id

        async def observed(message: Message) -> None:
            if message["type"] == "http.response.start":
                seen.status, seen.first_byte_s = message["status"], time.perf_counter()
                headers = [pair for pair in message.get("headers", ()) if pair[0].lower() != b"x-request-id"]
                message = {**message, "headers": [*headers, (b"x-request-id", request_id.encode())]}
            await send(message)

        metrics.open_requests.inc()
        with bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, observed)
            except Exception as error:
                log.error("a bug of Chatwright: %s", type(error).__name__, exc_info=error)
                if seen.first_byte_s is not None:
                    raise  # the answer has begun: closing the connection is all that can be said
                refusal = server_bug(_caller(scope))
                await JSONResponse(refusal.body(), refusal.status)(scope, receive, observed)
            finally:
                metrics.open_requests.dec()
                seen.report(scope)


class _Seen:
    """What is known of a request; status 499, as nginx has it, for a client that went before the first byte."""

    def __init__(self) -> None:
        self.started_s = time.perf_counter()
        self.first_byte_s: float | None = None
        self.status = 499

    def report(self, scope: Scope) -> None:
        route = _template(scope)
        method = scope["method"] if route != _UNKNOWN else _UNKNOWN  # any word can be sent as a method
        now = time.perf_counter()
        metrics.requests.labels(method, route, str(self.status)).inc()
        metrics.duration.labels(method, route).observe(now - self.started_s)
        if self.first_byte_s is not None:
            metrics.first_byte.labels(method, route).observe(self.first_byte_s - self.started_s)
        details: dict[str, Any] = {"method": method, "route": route, "status": self.status}
        details["milliseconds"] = round((now - self.started_s) * 1000, 1)
        principal = scope["state"].get("principal")
        if principal is not None and principal.user_id:
            details["user"] = principal.user_id
        log.log(logging.DEBUG if route in _QUIET else logging.INFO, "request", extra=details)


def _caller(scope: Scope) -> Principal:
    """Whoever asks; before that is known, somebody with the language of the browser."""
    known: Principal | None = scope["state"].get("principal")
    return known or Principal(language=language_of(Headers(scope=scope).get("accept-language")))


def _template(scope: Scope) -> str:
    return str(getattr(scope.get("route"), "path", _UNKNOWN))
