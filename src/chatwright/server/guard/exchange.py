"""One request and its answer as they pass the guard."""

from typing import Final

from starlette.responses import JSONResponse
from starlette.types import Message, Receive, Scope, Send

from chatwright.server.errors import ApiError
from chatwright.server.sse import event, to_json

_EVENTS: Final = b"text/event-stream"


class TooLargeError(Exception):
    """The body has more bytes than are allowed."""


class Exchange:
    """Counts the body as it comes in, and knows how far the answer has got. Nothing is buffered.

    Args:
        scope, receive, send: of ASGI.
        headers: for the answer.

    Attributes:
        limit: bytes that the body may have.
        too_large: whether it had more.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, *, headers: list[tuple[bytes, bytes]]) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._received = 0
        self._headers = headers
        self._started = False
        self._finished = False
        self._is_events = False
        self.limit = 0
        self.too_large = False

    async def receive(self) -> Message:
        """The next message of the client.

        Raises:
            TooLargeError: the body is too large.
        """
        message = await self._receive()
        if message["type"] == "http.request":
            self._received += len(message.get("body", b""))
            if self._received > self.limit:
                self.too_large = True
                raise TooLargeError
        return message

    async def send(self, message: Message) -> None:
        """The next message to the client."""
        if self.too_large and not self._started:
            return  # what a route makes of a body that was cut off; the guard itself says what is wrong
        if message["type"] == "http.response.start":
            self._started = True
            sent = message.get("headers", ())
            self._is_events = any(name.lower() == b"content-type" and _EVENTS in value for name, value in sent)
            message = {**message, "headers": [*sent, *self._headers]}
        elif message["type"] == "http.response.body":
            self._finished = not message.get("more_body", False)
        await self._send(message)

    async def refuse(self, error: ApiError) -> None:
        """Answer with a refusal: instead of an answer, or as the last event of a stream.

        Another answer that has begun is left unfinished, and the server closes the connection.
        """
        if not self._started:
            self.too_large = False
            await JSONResponse(error.body(), error.status, error.headers)(self._scope, self._receive, self.send)
        elif self._is_events and not self._finished:
            await self.send({"type": "http.response.body", "body": event(to_json(error.body())), "more_body": False})
