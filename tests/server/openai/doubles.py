"""A model whose every word a test decides, and a server that answers with it."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from chatwright.chat import Message
from chatwright.errors import EngineError
from chatwright.server.answering import Admission, Answering, Served
from chatwright.server.backends.base import (
    Answer,
    ChatRequest,
    Embeddings,
    Health,
    Piece,
    TextRequest,
    TokenizerFacts,
    TokenScore,
    TokenUsage,
)
from chatwright.server.principal import Principal


class ScriptedAnswer:
    """Writes the pieces of a list; ``None`` waits until it is cancelled, an error is raised."""

    dropped_turns = 0
    prompt_scores: tuple[TokenScore | None, ...] | None = None

    def __init__(self, script: Sequence[Piece | Exception | None]) -> None:
        self.cancelled = asyncio.Event()
        self._script = script
        self._written = 0

    @property
    def usage(self) -> TokenUsage:
        return TokenUsage(prompt=3, completion=self._written)

    async def __aiter__(self) -> AsyncIterator[Piece]:
        for step in self._script:
            if step is None:
                await self.cancelled.wait()
                yield Piece(finish_reason="cancelled")
                return
            if isinstance(step, Exception):
                raise step
            self._written += 1
            yield step

    def cancel(self) -> None:
        self.cancelled.set()


@dataclass
class ScriptedBackend:
    """Answers by script, and remembers what it was asked."""

    script: Sequence[Piece | Exception | None] = ()
    context_length: int | None = 100
    version: str = "v1"
    asked: list[ChatRequest | TextRequest] = field(default_factory=list)
    answers: list[ScriptedAnswer] = field(default_factory=list)
    counted: list[Sequence[Message]] = field(default_factory=list)
    refuse_after: int = 1_000_000

    async def chat(self, request: ChatRequest) -> Answer:
        return self._answer(request)

    async def complete(self, request: TextRequest) -> Answer:
        return self._answer(request)

    async def embed(self, inputs: Sequence[str | Sequence[int]], *, owner: str = "") -> Embeddings:
        return Embeddings(np.ones((len(inputs), 1), np.float32), len(inputs))

    async def encode(self, text: str) -> list[int]:
        return [ord(letter) for letter in text]

    async def decode(self, ids: Sequence[int]) -> str:
        return "".join(map(chr, ids))

    async def count(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] = ()) -> int:
        self.counted.append(messages)
        return sum(len(message.content or "") for message in messages)

    async def tokenizer_facts(self) -> TokenizerFacts:
        return TokenizerFacts(1_114_112, None, None, None, "")

    async def health(self) -> Health:
        return Health("ready")

    async def close(self) -> None:
        pass

    def _answer(self, request: ChatRequest | TextRequest) -> Answer:
        if len(self.asked) >= self.refuse_after:
            raise EngineError("full")
        self.asked.append(request)
        self.answers.append(ScriptedAnswer(self.script))
        return self.answers[-1]


@dataclass
class OneModel:
    """Serves one backend under every name."""

    backend: ScriptedBackend
    is_upstream: bool = False

    async def find(self, name: str | None, principal: Principal) -> Served:
        return Served(name or "scripted", self.backend, self.is_upstream)


class Counted:
    """Limits that let everybody in and keep the books."""

    def __init__(self) -> None:
        self.admitted: list[int] = []
        self.settled: list[TokenUsage] = []
        self.inside = 0

    @asynccontextmanager
    async def admit(self, principal: Principal, model: str, *, prompt_tokens: int) -> AsyncIterator[Admission]:
        self.admitted.append(prompt_tokens)
        self.inside += 1
        try:
            yield _Ticket(self)
        finally:
            await asyncio.sleep(0)  # as a database would: where a cancelled task loses its way
            self.inside -= 1


@dataclass
class _Ticket:
    limits: Counted
    headers: Mapping[str, str] = field(default_factory=lambda: {"x-ratelimit-remaining-requests": "9"})

    async def settle(self, usage: TokenUsage) -> None:
        await asyncio.sleep(0)
        self.limits.settled.append(usage)


@dataclass
class Reading:
    """Moderation that only notes what it reads."""

    texts: list[tuple[str, ...]] = field(default_factory=list)

    async def check_input(self, principal: Principal, model: str, texts: tuple[str, ...]) -> None:
        self.texts.append(texts)

    def watch_output(self, principal: Principal, model: str, pieces: AsyncIterator[Piece]) -> AsyncIterator[Piece]:
        return pieces


class NothingRedacted:
    """Every request leaves as it came."""

    def for_upstream(self, request: ChatRequest) -> ChatRequest:
        return request

    def text_for_upstream(self, request: TextRequest) -> TextRequest:
        return request


@dataclass
class Desk:
    """An ``Answering`` with everything around it in sight."""

    backend: ScriptedBackend
    limits: Counted = field(default_factory=Counted)
    moderation: Reading = field(default_factory=Reading)

    @property
    def answering(self) -> Answering:
        return Answering(OneModel(self.backend), self.limits, self.moderation, NothingRedacted())
