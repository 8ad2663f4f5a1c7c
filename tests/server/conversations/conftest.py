"""A server whose model says what the test wants, when the test wants it."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from chatwright.server.answering import Served
from chatwright.server.app import create_app
from chatwright.server.backends.base import ChatRequest, Health, Piece, TokenUsage
from chatwright.server.services import Services

TITLE = "A fine title"


class ScriptedAnswer:
    """An answer whose pieces the test gives."""

    def __init__(self, request: ChatRequest) -> None:
        self.request = request
        self.dropped_turns = 0
        self.prompt_scores = None
        self.usage = TokenUsage(prompt=7)
        self.is_cancelled = asyncio.Event()
        self._pieces: asyncio.Queue[Piece | Exception] = asyncio.Queue()

    def say(self, *texts: str, reasoning: str = "") -> "ScriptedAnswer":
        if reasoning:
            self._pieces.put_nowait(Piece(reasoning=reasoning))
        for text in texts:
            self._pieces.put_nowait(Piece(text=text, num_tokens=1))
        return self

    def end(self, reason: Any = "stop") -> None:
        self._pieces.put_nowait(Piece(finish_reason=reason))

    def fail(self, error: Exception) -> None:
        self._pieces.put_nowait(error)

    def cancel(self) -> None:
        self.is_cancelled.set()

    async def __aiter__(self) -> AsyncIterator[Piece]:
        while True:
            piece = await self._pieces.get()
            if isinstance(piece, Exception):
                raise piece
            usage = self.usage
            self.usage = TokenUsage(usage.prompt, usage.completion + piece.num_tokens)
            yield piece
            if piece.finish_reason:
                return


@dataclass
class ScriptedBackend:
    """Answers at once with ``replies`` (titles always so), or holds still and lets the test speak."""

    context_length: int | None = 512
    version: str = "weights-1"
    replies: list[str] = field(default_factory=list)
    holds_still: bool = False
    refusal: Exception | None = None
    answers: list[ScriptedAnswer] = field(default_factory=list)
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    async def chat(self, request: ChatRequest) -> ScriptedAnswer:
        answer = ScriptedAnswer(request)
        if "title" in (request.messages[-1].content or "") or "标题" in (request.messages[-1].content or ""):
            answer.say(f'"{TITLE}"\nmore').end()
            return answer
        if self.refusal is not None:
            raise self.refusal
        self.answers.append(answer)
        self.asked.set()
        if not self.holds_still:
            reply = self.replies.pop(0) if self.replies else f"answer {len(self.answers)}"
            answer.say(*[f"{word} " for word in reply.split(" ")[:-1]], reply.split(" ")[-1]).end()
        return answer

    async def count(self, messages: Any, tools: Any = ()) -> int:
        return sum(len((message.content or "").split()) for message in messages)

    async def health(self) -> Health:
        return Health("ready")

    async def close(self) -> None:
        return None


@dataclass
class Event:
    name: str
    data: dict[str, Any]
    id: str | None


def events_of(body: str) -> list[Event]:
    """Server-sent events, comments left out."""
    events = []
    for block in body.strip().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if lines:
            events.append(Event(lines["event"], json.loads(lines["data"]), lines.get("id")))
    return events


@dataclass
class World:
    """A running server, its scripted model, and people with accounts."""

    app: FastAPI
    model: ScriptedBackend
    http: httpx.AsyncClient
    people: dict[str, httpx.AsyncClient] = field(default_factory=dict)

    @property
    def services(self) -> Services:
        services: Services = self.app.state.services
        return services

    def another_client(self) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000")

    async def person(self, name: str) -> httpx.AsyncClient:
        """A signed-in browser."""
        http = self.people[name] = self.another_client()
        answer = await http.post("/api/sign-up", json={"name": name, "password": f"the password of {name}"})
        assert answer.status_code == 201, answer.text
        return http

    async def conversation(self, http: httpx.AsyncClient | None = None, **body: Any) -> str:
        answer = await (http or self.http).post("/api/conversations", json=body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    async def ask(
        self, conversation: str, content: str, http: httpx.AsyncClient | None = None, **body: Any
    ) -> dict[str, Any]:
        """The answer's row as it was when the server had begun to write it."""
        answer = await (http or self.http).post(
            f"/api/conversations/{conversation}/messages", json={"content": content, **body}
        )
        assert answer.status_code == 201, answer.text
        message: dict[str, Any] = answer.json()["messages"][0]
        return message

    async def watch(self, message: str, http: httpx.AsyncClient | None = None, **params: Any) -> list[Event]:
        """All events of an answer, to its end."""
        answer = await (http or self.http).get(f"/api/messages/{message}/events", params=params)
        assert answer.status_code == 200, answer.text
        return events_of(answer.text)

    async def answered(
        self, conversation: str, content: str, http: httpx.AsyncClient | None = None, **body: Any
    ) -> dict[str, Any]:
        """The finished answer to a question."""
        message = await self.ask(conversation, content, http, **body)
        return await self.finished(message["id"], http)

    async def finished(self, message: str, http: httpx.AsyncClient | None = None) -> dict[str, Any]:
        events = await self.watch(message, http)
        done: dict[str, Any] = next(event for event in events if event.name == "done").data["message"]
        return done

    async def until_text(self, message: str, text: str) -> None:
        """Wait until this process has got so much of an answer."""
        live = self.services.conversations.generations.live(message)
        assert live is not None
        async with asyncio.timeout(10):
            while live.text != text:
                await live.changed.wait()


OpenWorld = Callable[..., AbstractAsyncContextManager[World]]


@pytest.fixture
def world(make_settings: Any, monkeypatch: pytest.MonkeyPatch) -> OpenWorld:
    """``async with world() as w``: a server for one person; ``world(accounts=True, sign_up="open")`` for several.

    Two of them at once are two server processes on one database.
    """

    models: dict[int, ScriptedBackend] = {}

    async def find(pool: object, name: str | None, _: object) -> Served:
        return Served(name or "scripted", models[id(pool)])  # type: ignore[arg-type]

    monkeypatch.setattr("chatwright.server.models.pool.ModelPool.find", find)

    @asynccontextmanager
    async def opened(**changes: Any) -> AsyncIterator[World]:
        app = create_app(make_settings(**({"accounts": False, "shutdown_seconds": 0} | changes)))
        async with app.router.lifespan_context(app):
            here = World(app, ScriptedBackend(), httpx.AsyncClient())
            models[id(here.services.models)] = here.model
            async with here.another_client() as here.http:
                try:
                    yield here
                finally:
                    for http in here.people.values():
                        await http.aclose()

    return opened
