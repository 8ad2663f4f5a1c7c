"""Another server on loopback whose every byte a test decides, and who notices when nobody listens any more."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Asked:
    """A request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass(slots=True)
class FakeUpstream:
    """``routes`` maps paths to what answers them; ``asked`` are the requests so far."""

    routes: "dict[str, Handler]" = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""


Handler = Callable[[Asked, asyncio.StreamWriter], Awaitable[None]]


def json_answer(body: Any, status: int = 200, **headers: str) -> Handler:
    """Always the same JSON."""

    async def answer(_: Asked, writer: asyncio.StreamWriter) -> None:
        data = json.dumps(body).encode()
        lines = [f"HTTP/1.1 {status} X", "Content-Type: application/json", f"Content-Length: {len(data)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        writer.write("\r\n".join([*lines, "Connection: close", "", ""]).encode() + data)
        await writer.drain()

    return answer


def events(*bodies: Any, done: bool = True) -> Handler:
    """A stream of these events, cut into odd pieces."""

    async def answer(_: Asked, writer: asyncio.StreamWriter) -> None:
        text = "".join(f"data: {json.dumps(body, ensure_ascii=False)}\n\n" for body in bodies)
        data = (": hello\n\n" + text + ("data: [DONE]\n\n" if done else "")).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
        for start in range(0, len(data), 7):
            writer.write(data[start : start + 7])
            await writer.drain()

    return answer


def chat_event(content: str | None = None, *, index: int = 0, finish: str | None = None, **delta: Any) -> Any:
    """One chunk of a chat."""
    given = {"content": content} if content is not None else {}
    return {"choices": [{"index": index, "delta": given | delta, "finish_reason": finish}]}


@asynccontextmanager
async def fake_upstream(**routes: Handler) -> AsyncIterator[FakeUpstream]:
    """``async with fake_upstream(chat_completions=events(…)) as fake``: running at ``fake.url``."""
    fake = FakeUpstream({f"/v1/{name.replace('_', '/')}": handler for name, handler in routes.items()})

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            method, path, _ = head[0].split(" ")
            pairs = (line.partition(":") for line in head[1:] if line)
            headers = {name.lower(): value.strip() for name, _, value in pairs}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            asked = Asked(method, path, headers, json.loads(body) if body else None)
            fake.asked.append(asked)
            missing = json_answer({"error": {"message": "not here"}}, 404)
            handler = asyncio.ensure_future(fake.routes.get(path, missing)(asked, writer))
            gone = asyncio.ensure_future(reader.read())  # ends when the other side closes
            await asyncio.wait([handler, gone], return_when=asyncio.FIRST_COMPLETED)
            if gone.done():
                fake.gone.set()
            handler.cancel()
            gone.cancel()
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    fake.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield fake
    finally:
        server.close()
