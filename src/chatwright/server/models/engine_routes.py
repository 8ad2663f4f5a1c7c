"""The engine process: models for other servers that share a key with this one. Not for people, not for clients.

Those servers have admitted, limited and moderated already; here requests only take turns by their owners. The owner's
name is believed because the key is: nobody else gets here.
"""

from collections.abc import AsyncGenerator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request
from fastapi.responses import StreamingResponse
from pydantic import StringConstraints

from chatwright.errors import InputError
from chatwright.server.accounts.tokens import same_secret
from chatwright.server.backends.base import Answer
from chatwright.server.backends.wire import (
    WireChat,
    WireCount,
    WireEvent,
    WireFacts,
    WireIds,
    WireInputs,
    WireInside,
    WireInsideRequest,
    WireModel,
    WireNumber,
    WireState,
    WireString,
    WireText,
    WireVectors,
)
from chatwright.server.errors import REFUSALS, ApiError
from chatwright.server.models.local_model import LocalModel
from chatwright.server.models.remote_model import OWNER_HEADER
from chatwright.server.policy import allow
from chatwright.server.services import services
from chatwright.server.sse import EventStream, event


async def check_engine_key(request: Request) -> None:
    """Let in who has the engine's key, also where this server asks nobody else for a key.

    Raises:
        ApiError: 404 where no other server is served; 403 without the key.
    """
    settings = services(request).settings
    if settings.engine_key is None or settings.engine_url is not None:
        raise ApiError(404, "this server runs no models for other servers", code="unknown_url")
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not same_secret(key.strip(), settings.engine_key.get_secret_value()):
        raise ApiError(403, "this is for servers that have the engine_key", code="engine_key_required")


router = APIRouter(
    prefix="/engine",
    include_in_schema=False,  # no part of the API: both sides are of one version
    tags=["engine process"],
    responses=REFUSALS,
    dependencies=[allow("user", scope="inference"), Depends(check_engine_key)],
)
Owner = Annotated[Annotated[str, StringConstraints(max_length=255)], Header(alias=OWNER_HEADER)]
STREAM: dict[int | str, dict[str, Any]] = {200: {"content": {"text/event-stream": {}}, "description": "Events."}}


@router.post("/chat", response_class=StreamingResponse, responses=STREAM)
async def chat(request: Request, body: WireChat, owner: Owner = "") -> EventStream:
    """Answer a chat."""
    return _stream(await _model(request, body.model).chat(body.chat(owner)))


@router.post("/complete", response_class=StreamingResponse, responses=STREAM)
async def complete(request: Request, body: WireText, owner: Owner = "") -> EventStream:
    """Continue a text."""
    return _stream(await _model(request, body.model).complete(body.text(owner)))


@router.post("/embed")
async def embed(request: Request, body: WireInputs, owner: Owner = "") -> WireVectors:
    """Vectors of texts."""
    return WireVectors.of(await _model(request, body.model).embed(body.inputs, owner=owner))


@router.post("/inside")
async def inside(request: Request, body: WireInsideRequest) -> WireInside:
    """The view inside an answer."""
    return WireInside(inside=await _model(request, body.model).inside(body.request))


@router.post("/encode")
async def encode(request: Request, body: WireInputs) -> WireIds:
    """Token ids of one text."""
    (text,) = body.inputs or [""]
    if not isinstance(text, str):
        raise InputError("inputs must be one text")
    return WireIds(ids=await _model(request, body.model).encode(text))


@router.post("/decode")
async def decode(request: Request, body: WireInputs) -> WireString:
    """The text of token ids."""
    ids = body.inputs[0] if body.inputs else []
    if isinstance(ids, str):
        raise InputError("inputs must be one list of token ids")
    return WireString(text=await _model(request, body.model).decode(ids))


@router.post("/facts")
async def facts(request: Request, body: WireModel) -> WireFacts:
    """What is known of a model's tokenizer."""
    return WireFacts(facts=await _model(request, body).tokenizer_facts())


@router.post("/count")
async def count(request: Request, body: WireCount) -> WireNumber:
    """Tokens of a chat."""
    return WireNumber(count=await _model(request, body.model).count(body.messages, body.tools))


@router.post("/load")
async def load(request: Request, body: WireModel) -> WireState:
    """Have a model in memory."""
    model = _model(request, body)
    await model.load()
    return await _state(model)


@router.post("/unload")
async def unload(request: Request, body: WireModel) -> WireState:
    """Give a model's memory back, unless it is used."""
    model = _model(request, body)
    await model.unload()
    return await _state(model)


@router.post("/state")
async def state(request: Request, body: WireModel) -> WireState:
    """How a model is."""
    return await _state(_model(request, body))


def _model(request: Request, model: WireModel) -> LocalModel:
    return services(request).models.for_server(model)


async def _state(model: LocalModel) -> WireState:
    health = await model.health()
    return WireState(
        state=health.state,
        detail=health.detail,
        version=model.version,
        context_length=model.context_length,
        memory_bytes=model.memory_bytes,
    )


def _stream(answer: Answer) -> EventStream:
    async def events() -> AsyncGenerator[bytes, None]:
        yield event(WireEvent(dropped_turns=answer.dropped_turns).json_text())
        async for piece in answer:
            yield event(WireEvent(piece=piece).json_text())
        yield event(WireEvent(usage=answer.usage, prompt_scores=answer.prompt_scores).json_text())
        yield event("[DONE]")

    async def close() -> None:
        answer.cancel()

    return EventStream(events(), close=close)
