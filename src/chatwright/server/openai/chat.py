"""``POST /v1/chat/completions``."""

from collections.abc import AsyncGenerator, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response

from chatwright.server.answering import AdmittedAnswer
from chatwright.server.backends.base import Piece, ToolCallPiece
from chatwright.server.identifiers import new_id, now_ms
from chatwright.server.openai.chat_shapes import (
    AnswerMessage,
    CalledFunction,
    ChatChoice,
    ChatCompletion,
    ChatCompletionRequest,
    ChoiceLogprobs,
    ToolCall,
)
from chatwright.server.openai.gathering import Whole, gather, raise_if_cancelled
from chatwright.server.openai.naming import errors_named
from chatwright.server.openai.shapes import EVENT_STREAM, Logprob, Usage
from chatwright.server.policy import allow
from chatwright.server.principal import Principal
from chatwright.server.services import services
from chatwright.server.sse import EventStream, event, to_json, unless_disconnected

router = APIRouter(tags=["chat"])


@router.post(
    "/v1/chat/completions",
    response_model=ChatCompletion,
    responses={200: {"content": EVENT_STREAM, "description": "the answer, or a stream of its chunks"}},
)
async def create_chat_completion(
    body: ChatCompletionRequest,
    request: Request,
    response: Response,
    principal: Annotated[Principal, allow("user", scope="inference")],
) -> Any:
    """Answer a conversation, whole or as a stream."""
    with errors_named(body.names()):
        begun = services(request).answering.chat(principal, body.model, body.chat())
        answer = await unless_disconnected(request.receive, begun)
    number = body.n or 1
    if body.stream:
        with_usage = bool(body.stream_options and body.stream_options.include_usage)
        return EventStream(_chunks(answer, number, with_usage), headers=answer.headers, close=answer.close)
    response.headers.update(answer.headers)
    return await unless_disconnected(request.receive, _whole(answer, number, bool(body.logprobs)))


async def _whole(answer: AdmittedAnswer, number: int, with_scores: bool) -> ChatCompletion:
    async with answer:
        wholes = await gather(answer, number)
    return ChatCompletion(
        id=new_id("chatcmpl-"),
        created=now_ms() // 1000,
        model=answer.model,
        system_fingerprint=answer.version,
        choices=[_choice(index, whole, with_scores) for index, whole in enumerate(wholes)],
        usage=Usage.of(answer.usage),
    )


def _choice(index: int, whole: Whole, with_scores: bool) -> ChatChoice:
    calls = [
        ToolCall(id=call.id, function=CalledFunction(name=call.name, arguments=call.arguments))
        for _, call in sorted(whole.calls.items())
    ]
    message = AnswerMessage(
        content=whole.text or (None if calls else ""),
        reasoning_content=whole.reasoning or None,
        tool_calls=calls or None,
    )
    logprobs = ChoiceLogprobs(content=[Logprob.of(score) for score in whole.scores]) if with_scores else None
    return ChatChoice(index=index, message=message, logprobs=logprobs, finish_reason=whole.finish_reason or "stop")


async def _chunks(answer: AdmittedAnswer, number: int, with_usage: bool) -> AsyncGenerator[bytes, None]:
    """The stream: the role, what is written, why it ended, the usage where asked for, ``[DONE]``."""
    envelope = {
        "id": new_id("chatcmpl-"),
        "object": "chat.completion.chunk",
        "created": now_ms() // 1000,
        "model": answer.model,
        "system_fingerprint": answer.version,
    }
    head = to_json(envelope)[:-1]  # of every chunk the same: written once, not once per token
    tail = ',"usage":null}' if with_usage else "}"

    def chunk(index: int, delta: Mapping[str, Any], finish: str | None = None, scores: Any = None) -> bytes:
        choice = {"index": index, "delta": delta, "logprobs": scores, "finish_reason": finish}
        return event(f'{head},"choices":[{to_json(choice)}]{tail}')

    async with answer:
        for index in range(number):
            yield chunk(index, {"role": "assistant", "content": "", "refusal": None})
        async for piece in answer:
            raise_if_cancelled(piece)
            delta = _delta(piece)
            if delta or piece.scores:
                yield chunk(piece.index, delta, scores=_scores(piece))
            if piece.finish_reason is not None:
                yield chunk(piece.index, {}, piece.finish_reason)
    if with_usage:
        yield event(f'{head},"choices":[],"usage":{to_json(Usage.of(answer.usage).model_dump())}}}')
    yield event("[DONE]")


def _delta(piece: Piece) -> dict[str, Any]:
    delta: dict[str, Any] = {}
    if piece.text:
        delta["content"] = piece.text
    if piece.reasoning:
        delta["reasoning_content"] = piece.reasoning
    if piece.tool_calls:
        delta["tool_calls"] = [_call_delta(call) for call in piece.tool_calls]
    return delta


def _call_delta(call: ToolCallPiece) -> dict[str, Any]:
    delta: dict[str, Any] = {"index": call.index}
    function = {"arguments": call.arguments}
    if call.name is not None:
        delta |= {"id": call.id or new_id("call_"), "type": "function"}
        function = {"name": call.name, **function}
    return delta | {"function": function}


def _scores(piece: Piece) -> dict[str, Any] | None:
    if piece.scores is None:
        return None
    return {"content": [Logprob.of(score).model_dump() for score in piece.scores], "refusal": None}
