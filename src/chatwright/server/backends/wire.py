"""Requests and answers between a server and the process that runs its models: all that they hold, as JSON."""

import base64
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from chatwright.chat import Message
from chatwright.server.backends.base import (
    ChatRequest,
    Embeddings,
    Piece,
    TextRequest,
    TokenizerFacts,
    TokenScore,
    TokenUsage,
)
from chatwright.server.backends.inside import Inside, InsideRequest
from chatwright.server.errors import CONSTRAINT_UNSATISFIABLE, ApiError

Request = TypeVar("Request", ChatRequest, TextRequest)


class Wire(BaseModel):
    """Base of all of them. Bytes of tokens are no text, so they travel as base64."""

    model_config = ConfigDict(extra="forbid", ser_json_bytes="base64", val_json_bytes="base64")

    def json_object(self) -> dict[str, Any]:
        """As plain JSON."""
        return self.model_dump(mode="json")


class WireModel(Wire):
    """Which model; without a source the one that the engine process was started with."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=255)]
    source: Annotated[str, StringConstraints(min_length=1, max_length=1000)] | None = None
    options: dict[str, Any] = {}
    version: str = ""


class WireChat(Wire):
    """A chat to be answered."""

    model: WireModel
    request: ChatRequest

    def chat(self, owner: str) -> ChatRequest:
        """The request, on behalf of ``owner``."""
        return _owned(self.request, owner)


class WireText(Wire):
    """A text to be continued."""

    model: WireModel
    request: TextRequest

    def text(self, owner: str) -> TextRequest:
        """The request, on behalf of ``owner``."""
        return _owned(self.request, owner)


class WireInputs(Wire):
    """Texts or token ids to be embedded; or one text to be encoded, or ids to be decoded."""

    model: WireModel
    inputs: list[str | list[int]]


class WireCount(Wire):
    """A chat whose tokens are to be counted."""

    model: WireModel
    messages: tuple[Message, ...]
    tools: tuple[Mapping[str, Any], ...] = ()


class WireState(Wire):
    """How a model is."""

    state: Literal["ready", "loading", "unloaded", "failed"]
    detail: str = ""
    version: str = ""
    context_length: int | None = None
    memory_bytes: int = 0


class WireVectors(Wire):
    """Embeddings: float32 rows one after the other."""

    data: str
    width: int = Field(ge=1)
    num_tokens: int

    @classmethod
    def of(cls, found: Embeddings) -> "WireVectors":
        """Pack them."""
        packed = base64.b64encode(np.ascontiguousarray(found.vectors, "<f4").tobytes()).decode()
        return cls(data=packed, width=found.vectors.shape[1], num_tokens=found.num_tokens)

    def embeddings(self) -> Embeddings:
        """Unpack them."""
        rows = np.frombuffer(base64.b64decode(self.data), "<f4").reshape(-1, self.width)
        return Embeddings(rows.astype(np.float32), self.num_tokens)


class WireInsideRequest(Wire):
    """An answer whose making is asked about."""

    model: WireModel
    request: InsideRequest


class WireInside(Wire):
    """What was found of it."""

    inside: Inside


class WireIds(Wire):
    """Token ids."""

    ids: list[int]


class WireString(Wire):
    """A text."""

    text: str


class WireNumber(Wire):
    """A count."""

    count: int


class WireFacts(Wire):
    """What is known of a tokenizer."""

    facts: TokenizerFacts


class WireEvent(Wire):
    """A part of an answer: first what it began with, then pieces, at last what it took."""

    dropped_turns: int | None = None
    piece: Piece | None = None
    usage: TokenUsage | None = None
    prompt_scores: tuple[TokenScore | None, ...] | None = None
    error: dict[str, Any] | None = None

    def json_text(self) -> str:
        """As one line of JSON."""
        return self.model_dump_json(exclude_none=True)


class WireParser:
    """Reads the events of an answer; a :class:`~chatwright.server.backends.upstream_answer.Parser`."""

    def __init__(self) -> None:
        self.usage: TokenUsage | None = None
        self.prompt_scores: tuple[TokenScore | None, ...] | None = None
        self.dropped_turns: int | None = None

    def pieces(self, data: str) -> Iterable[Piece]:
        """See :class:`~chatwright.server.backends.upstream_answer.Parser`."""
        event = WireEvent.model_validate_json(data)
        if event.error is not None:
            raise _error(event.error)
        if event.dropped_turns is not None:
            self.dropped_turns = event.dropped_turns
        if event.usage is not None:
            self.usage, self.prompt_scores = event.usage, event.prompt_scores
        return [] if event.piece is None else [event.piece]


def _owned(request: Request, owner: str) -> Request:
    """A request with its owner, and with the keys that JSON has made strings as numbers again."""
    sampling = dict(request.sampling)
    if isinstance(bias := sampling.get("logit_bias"), Mapping):
        sampling["logit_bias"] = {int(token): value for token, value in bias.items()}
    return replace(request, sampling=sampling, owner=owner)


def _error(body: Mapping[str, Any]) -> ApiError:
    message, code = body.get("message"), body.get("code")
    status = 400 if code == CONSTRAINT_UNSATISFIABLE else 502  # the request's own fault, found only as it was answered
    return ApiError(status, str(message or "the engine process failed"), code=str(code or "engine_unavailable"))
