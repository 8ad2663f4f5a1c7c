"""``/v1/responses``: answers in items, which are kept so that later ones may follow them."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response

from chatwright.errors import ChatwrightError
from chatwright.server.answering import AdmittedAnswer
from chatwright.server.backends.base import ChatRequest
from chatwright.server.errors import ApiError, as_api_error, not_found
from chatwright.server.fields import PathId, QueryId
from chatwright.server.identifiers import new_id, now_ms
from chatwright.server.openai.gathering import raise_if_cancelled
from chatwright.server.openai.naming import errors_named
from chatwright.server.openai.responses_items import as_items, as_messages
from chatwright.server.openai.responses_shapes import (
    Asked,
    DeletedResponse,
    InputTokens,
    ItemList,
    ResponseBody,
    ResponseRequest,
)
from chatwright.server.openai.responses_store import ResponseStore
from chatwright.server.openai.responses_writer import Event, ResponseWriter
from chatwright.server.openai.shapes import EVENT_STREAM
from chatwright.server.policy import allow
from chatwright.server.principal import Principal
from chatwright.server.services import services
from chatwright.server.sse import EventStream, event, to_json, unless_disconnected

router = APIRouter(tags=["responses"])
Caller = Annotated[Principal, allow("user", scope="inference")]


@router.post(
    "/v1/responses",
    response_model=ResponseBody,
    responses={200: {"content": EVENT_STREAM, "description": "the response, or a stream of its events"}},
)
async def create_response(body: ResponseRequest, request: Request, response: Response, principal: Caller) -> Any:
    """Answer items, whole or as a stream."""
    body.check()
    store = services(request).responses
    items = as_items(body.input)
    chat = await _chat(request, body, principal, items)
    with errors_named(body.names()):
        begun = services(request).answering.chat(principal, body.model, chat)
        answer = await unless_disconnected(request.receive, begun)
    writer = ResponseWriter(_begun(body, answer))
    keep = store if body.store is not False else None
    events = _events(writer, answer, keep, principal.user_id, items)
    if body.stream:
        return EventStream(_written(events, writer), headers=answer.headers, close=answer.close)
    response.headers.update(answer.headers)
    await unless_disconnected(request.receive, _exhaust(events))
    return writer.body


@router.post("/v1/responses/input_tokens")
async def count_input_tokens(body: Asked, request: Request, response: Response, principal: Caller) -> InputTokens:
    """How many tokens a response would read."""
    found = services(request)
    served = await found.answering.served(principal, body.model)
    response.headers.update(await found.limiter.count(principal, served.name))
    chat = await _chat(request, body, principal, as_items(body.input))
    with errors_named(body.names()):
        _, tokens = await found.answering.count(principal, body.model, chat)
    return InputTokens(input_tokens=tokens)


@router.get("/v1/responses/{response_id}")
async def get_response(response_id: PathId, request: Request, principal: Caller) -> ResponseBody:
    """A response that was kept."""
    row = await services(request).responses.get(principal.user_id, response_id)
    return ResponseBody(**row.body, output=row.output)


@router.delete("/v1/responses/{response_id}")
async def delete_response(response_id: PathId, request: Request, principal: Caller) -> DeletedResponse:
    """Forget a response; those that follow it cannot be continued any more."""
    await services(request).responses.remove(principal.user_id, response_id)
    return DeletedResponse(id=response_id)


@router.post("/v1/responses/{response_id}/cancel", response_model=ResponseBody)
async def cancel_response(response_id: PathId, request: Request, principal: Caller) -> Any:
    """Refused: only responses in the background could be cancelled, and there are none. Close the connection."""
    await services(request).responses.get(principal.user_id, response_id)
    message = "this response is finished; one that is being written ends when its connection is closed"
    raise ApiError(400, message, code="invalid_value", param="response_id")


@router.get("/v1/responses/{response_id}/input_items")
async def list_input_items(
    response_id: PathId,
    request: Request,
    principal: Caller,
    after: QueryId = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    order: Literal["asc", "desc"] = "desc",
) -> ItemList:
    """What a response was asked, page by page."""
    row = await services(request).responses.get(principal.user_id, response_id)
    items: list[dict[str, Any]] = row.input if order == "asc" else row.input[::-1]
    if after is not None:
        place = next((index for index, item in enumerate(items) if item["id"] == after), None)
        if place is None:
            raise not_found("item", after)
        items = items[place + 1 :]
    page = items[:limit]
    return ItemList(
        data=page,
        first_id=page[0]["id"] if page else None,
        last_id=page[-1]["id"] if page else None,
        has_more=len(items) > limit,
    )


async def _chat(request: Request, body: Asked, principal: Principal, items: list[dict[str, Any]]) -> ChatRequest:
    """The chat that is asked of the model: what came before, and what is new."""
    before = await services(request).responses.history(principal.user_id, body.previous_response_id)
    with errors_named(body.names()):
        messages, constraint = as_messages([*before, *items], body.instructions), body.constraint()
    functions = [tool.model_dump(exclude={"type"}, exclude_none=True) for tool in body.tools or ()]
    effort = body.reasoning.effort if body.reasoning else None
    thinking = {"enable_thinking": False} if effort == "none" else {}
    return ChatRequest(
        messages=messages,
        tools=tuple({"type": "function", "function": function} for function in functions),
        tool_choice=body.choice(),
        parallel_tool_calls=body.parallel_tool_calls is not False,
        constraint=constraint,
        context_policy="drop_oldest" if body.truncation == "auto" else "error",
        template_variables=({"reasoning_effort": effort} if effort else {}) | thinking,
        sampling=body.sampling() if isinstance(body, ResponseRequest) else {},
    )


def _begun(body: ResponseRequest, answer: AdmittedAnswer) -> ResponseBody:
    text = body.text.model_dump(exclude_none=True) if body.text else {}
    choice = body.tool_choice or "auto"
    return ResponseBody(
        id=new_id("resp_"),
        created_at=now_ms() // 1000,
        status="in_progress",
        instructions=body.instructions,
        max_output_tokens=body.max_output_tokens,
        model=answer.model,
        system_fingerprint=answer.version,
        output=[],
        parallel_tool_calls=body.parallel_tool_calls is not False,
        previous_response_id=body.previous_response_id,
        reasoning={"effort": body.reasoning.effort if body.reasoning else None, "summary": None},
        store=body.store is not False,
        temperature=body.temperature,
        text={"format": {"type": "text"}} | text,
        tool_choice=choice if isinstance(choice, str) else choice.model_dump(),
        tools=[tool.model_dump() for tool in body.tools or ()],
        top_logprobs=body.top_logprobs or 0,
        top_p=body.top_p,
        truncation=body.truncation or "disabled",
        user=body.user,
        metadata=body.metadata or {},
        dropped_turns=answer.dropped_turns,
    )


async def _events(
    writer: ResponseWriter,
    answer: AdmittedAnswer,
    store: ResponseStore | None,
    user_id: str,
    items: list[dict[str, Any]],
) -> AsyncGenerator[Event, None]:
    """Every event of a response; it is stored before the last one tells that it is complete."""
    async with answer:
        for each in writer.start():
            yield each
        async for piece in answer:
            raise_if_cancelled(piece)
            for each in writer.add(piece):
                yield each
        for each in writer.finish(answer.usage):
            yield each
    if store is not None:
        await store.keep(user_id, writer.body, items)
    yield writer.end()


async def _written(events: AsyncGenerator[Event, None], writer: ResponseWriter) -> AsyncGenerator[bytes, None]:
    try:
        async with aclosing(events):
            async for each in events:
                yield event(to_json(each), name=each["type"])
    except ChatwrightError as error:
        refusal = as_api_error(error)
        failed = writer.fail(str(refusal), "server_error")
        yield event(to_json(failed), name=failed["type"])


async def _exhaust(events: AsyncGenerator[Event, None]) -> None:
    async for _ in events:
        pass
