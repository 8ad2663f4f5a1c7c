"""Answers as they grow: server-sent events that are never buffered, and work that ends when its reader is gone.

Source:
    WHATWG HTML, section 9.2 (server-sent events).
"""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final, TypeVar

import anyio
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from chatwright.errors import ChatwrightError
from chatwright.server.errors import ApiError, as_api_error, server_bug
from chatwright.server.principal import NOBODY, Principal

log = logging.getLogger(__name__)
T = TypeVar("T")

KEEP_ALIVE_S: Final = 15.0  # proxies close what is silent for a minute or less
_KEEP_ALIVE: Final = b": keep-alive\n\n"
_HEADERS: Final = {"cache-control": "no-cache", "x-accel-buffering": "no"}  # nginx would collect events otherwise

# One encoder for all: json.dumps makes one per call when it is given options. Text that is not ASCII stays readable
# and short; NaN is no JSON.
to_json: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


def event(data: str, *, name: str | None = None, id: str | None = None) -> bytes:
    """One event as it goes over the wire.

    Args:
        data: of one line, as JSON is.
        name: kind of event; the browser's ``message`` otherwise.
        id: what a browser sends back as ``Last-Event-ID`` when it connects again.
    """
    head = (f"id: {id}\n" if id is not None else "") + (f"event: {name}\n" if name is not None else "")
    return f"{head}data: {data}\n\n".encode(errors="replace")  # a refusal may repeat what is no character


class EventStream(Response):
    """An HTTP answer of events.

    An error in the middle becomes a last event with the four keys of every error of ours. When the client goes, the
    generator is cancelled where it waits: whatever it holds is freed at once.

    Args:
        events: made by :func:`event`.
        headers: further ones.
        close: called at the end, whatever happened, even if ``events`` was never begun. May have been called before.
        error_name: kind of the event that tells an error.
        keep_alive_s: seconds of silence after which a comment is sent.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        events: AsyncGenerator[bytes, None],
        *,
        headers: Mapping[str, str] | None = None,
        close: Callable[[], Awaitable[None]] | None = None,
        error_name: str | None = None,
        keep_alive_s: float = KEEP_ALIVE_S,
    ) -> None:
        self.status_code = 200
        self.background = None
        self.init_headers({**_HEADERS, **(headers or {})})
        self._events = events
        self._close = close
        self._error_name = error_name
        self._keep_alive_s = keep_alive_s
        self._sent = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events, as ASGI asks for it."""
        try:
            with until_disconnect(receive):
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                keeper = asyncio.create_task(self._keep_alive(send))
                try:
                    await self._send_events(send, scope.get("state", {}).get("principal", NOBODY))
                finally:
                    keeper.cancel()
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            with anyio.CancelScope(shield=True):
                await self._events.aclose()
                if self._close is not None:
                    await self._close()

    async def _send_events(self, send: Send, reader: Principal) -> None:
        try:
            async for data in self._events:
                await send({"type": "http.response.body", "body": data, "more_body": True})
                self._sent += 1
        except ChatwrightError as error:
            refusal = as_api_error(error, reader)
            if refusal.status == 500:
                log.error("a stream failed: %s", type(error).__name__, exc_info=error)
        except Exception as error:
            log.error("a bug of Chatwright: %s", type(error).__name__, exc_info=error)
            refusal = server_bug(reader)
        else:
            return
        last = event(to_json(refusal.body()), name=self._error_name)
        await send({"type": "http.response.body", "body": last, "more_body": True})

    async def _keep_alive(self, send: Send) -> None:
        """A comment whenever nothing was sent for a while. A task of its own: a timer per token would cost more."""
        while True:
            before = self._sent
            await asyncio.sleep(self._keep_alive_s)
            if self._sent == before:
                await send({"type": "http.response.body", "body": _KEEP_ALIVE, "more_body": True})


@contextmanager
def until_disconnect(receive: Receive) -> Iterator[None]:
    """Cancel what is within the block when the client goes, and leave the block quietly.

    The task is cancelled once, as ``asyncio.timeout`` does it: what cleans up after itself may wait for something,
    which a cancel scope of anyio would cancel again and again.

    Args:
        receive: of a request whose body has been read.
    """
    task = asyncio.current_task()
    assert task is not None
    already, gone = task.cancelling(), False

    async def watch() -> None:
        nonlocal gone
        while (await receive())["type"] != "http.disconnect":
            pass
        gone = True
        task.cancel()

    watcher = asyncio.create_task(watch())
    try:
        yield
    except asyncio.CancelledError:
        if not (gone and task.uncancel() <= already):  # somebody else cancels, too
            raise
    finally:
        watcher.cancel()


async def unless_disconnected(receive: Receive, work: Awaitable[T]) -> T:
    """What ``work`` gives; it is cancelled when nobody waits for it any more.

    Raises:
        ApiError: 499 when the client went, for the logs: nobody reads it.
    """
    with until_disconnect(receive):
        return await work
    raise ApiError(499, "the client closed the connection", code="client_closed_request")
