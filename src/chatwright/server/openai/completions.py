"""``POST /v1/completions``: plain texts continued, and scored (``echo`` with ``logprobs``)."""

from collections.abc import AsyncGenerator
from typing import Annotated, Any, Final

from fastapi import APIRouter, Request, Response

from chatwright.server.answering import AdmittedAnswer, Answering, PromptScores
from chatwright.server.identifiers import new_id, now_ms
from chatwright.server.openai.completions_shapes import (
    Completion,
    CompletionRequest,
    Offsets,
    TextChoice,
    TextLogprobs,
)
from chatwright.server.openai.gathering import Whole, gather, raise_if_cancelled
from chatwright.server.openai.naming import constraint_names, errors_named
from chatwright.server.openai.shapes import EVENT_STREAM, Usage
from chatwright.server.policy import allow
from chatwright.server.principal import Principal
from chatwright.server.services import services
from chatwright.server.sse import EventStream, event, to_json, unless_disconnected

router = APIRouter(tags=["completions"])

_NAMES: Final = {"messages": "prompt", "prompt_ids": "prompt", **constraint_names("response_format")}


@router.post(
    "/v1/completions",
    response_model=Completion,
    responses={200: {"content": EVENT_STREAM, "description": "the answers, or a stream of their pieces"}},
)
async def create_completion(
    body: CompletionRequest,
    request: Request,
    response: Response,
    principal: Annotated[Principal, allow("user", scope="inference")],
) -> Any:
    """Continue one text or many."""
    answering = services(request).answering
    with errors_named(_NAMES):
        begun = answering.complete(principal, body.model, *body.texts())
        answer = await unless_disconnected(request.receive, begun)
    if body.stream:
        chunks = _chunks(body, answer, _Echo(body, principal, answering))
        return EventStream(chunks, headers=answer.headers, close=answer.close)
    response.headers.update(answer.headers)
    return await unless_disconnected(request.receive, _whole(body, answer, _Echo(body, principal, answering)))


class _Echo:
    """The prompts as text, and their first tokens, which no score names."""

    def __init__(self, body: CompletionRequest, principal: Principal, answering: Answering) -> None:
        self._body, self._principal, self._answering = body, principal, answering

    async def texts(self) -> list[str]:
        """Each prompt; empty where it is not echoed."""
        prompts = self._body.prompts
        if not self._body.echo:
            return ["" for _ in prompts]
        served = await self._answering.served(self._principal, self._body.model)
        return [prompt if isinstance(prompt, str) else await served.backend.decode(prompt) for prompt in prompts]

    async def scores(self, position: int, scores: PromptScores, offsets: Offsets) -> TextLogprobs:
        """Log-probabilities of a prompt's tokens."""
        model, prompt = self._body.model, self._body.prompts[position]
        served = await self._answering.served(self._principal, model)
        ids = (
            prompt if not isinstance(prompt, str) else (await self._answering.encode(self._principal, model, prompt))[1]
        )
        # One score more than tokens: the model's own mark for the beginning, which is no part of the text.
        first = await served.backend.decode(ids[:1]) if len(ids) == len(scores) else ""
        return _joined(offsets.first(first), offsets.write(score for score in scores if score is not None))


async def _whole(body: CompletionRequest, answer: AdmittedAnswer, echo: _Echo) -> Completion:
    number = body.n or 1
    async with answer:
        wholes = await gather(answer, len(body.prompts) * number)
    texts = await echo.texts()
    choices: list[TextChoice] = []
    for index, whole in enumerate(wholes):
        position = index // number
        offsets = Offsets()
        scored = TextLogprobs()
        scores = answer.prompt_scores[position]
        if body.echo and body.logprobs is not None and scores is not None:
            scored = await echo.scores(position, scores, offsets)
        else:
            offsets.skip(texts[position])
        if body.max_tokens == 0:
            whole = Whole(finish_reason="length")
        scored = _joined(scored, offsets.write(whole.scores))
        choices.append(
            TextChoice(
                index=index,
                text=texts[position] + whole.text,
                logprobs=scored if body.logprobs is not None else None,
                finish_reason=_finish(whole.finish_reason),
            )
        )
    return Completion(
        id=new_id("cmpl-"),
        created=now_ms() // 1000,
        model=answer.model,
        system_fingerprint=answer.version,
        choices=choices,
        usage=Usage.of(answer.usage),
    )


async def _chunks(body: CompletionRequest, answer: AdmittedAnswer, echo: _Echo) -> AsyncGenerator[bytes, None]:
    """The stream: prompts where they are echoed, what is written, the usage where asked for, ``[DONE]``."""
    envelope = {
        "id": new_id("cmpl-"),
        "object": "text_completion",
        "created": now_ms() // 1000,
        "model": answer.model,
        "system_fingerprint": answer.version,
    }
    head = to_json(envelope)[:-1]
    with_usage = bool(body.stream_options and body.stream_options.include_usage)
    tail = ',"usage":null}' if with_usage else "}"

    def chunk(index: int, text: str, finish: str | None, logprobs: Any = None) -> bytes:
        choice = {"index": index, "text": text, "logprobs": logprobs, "finish_reason": finish}
        return event(f'{head},"choices":[{to_json(choice)}]{tail}')

    number = body.n or 1
    offsets = [Offsets() for _ in range(len(body.prompts) * number)]
    async with answer:
        if body.echo:
            for position, text in enumerate(await echo.texts()):
                for index in range(position * number, (position + 1) * number):
                    offsets[index].skip(text)
                    yield chunk(index, text, None)
        async for piece in answer:
            raise_if_cancelled(piece)
            logprobs, text = None, piece.text
            if body.max_tokens == 0:
                text = ""
            elif piece.scores is not None:
                logprobs = offsets[piece.index].write(piece.scores).model_dump()
            yield chunk(piece.index, text, _finish(piece.finish_reason), logprobs)
    if with_usage:
        yield event(f'{head},"choices":[],"usage":{to_json(Usage.of(answer.usage).model_dump())}}}')
    yield event("[DONE]")


def _joined(one: TextLogprobs, other: TextLogprobs) -> TextLogprobs:
    return TextLogprobs(
        tokens=one.tokens + other.tokens,
        token_logprobs=one.token_logprobs + other.token_logprobs,
        top_logprobs=one.top_logprobs + other.top_logprobs,
        text_offset=one.text_offset + other.text_offset,
    )


def _finish(reason: str | None) -> Any:
    return reason if reason in (None, "length", "content_filter") else "stop"
