"""Another server with OpenAI's API as a backend: vLLM, SGLang, llama.cpp, Ollama, or a service."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

import anyio
import numpy as np
from pydantic import BaseModel, ValidationError

from chatwright.chat import Message
from chatwright.engine.params import Constraint, SamplingParams
from chatwright.errors import ChatwrightError, InvalidParameterError
from chatwright.server.backends.base import (
    ChatRequest,
    Embeddings,
    Health,
    NoTokenizer,
    TextRequest,
    TokenizerFacts,
    estimated_tokens,
)
from chatwright.server.backends.upstream_answer import ChatParser, Parser, TextParser, UpstreamAnswer
from chatwright.server.backends.upstream_client import UpstreamClient
from chatwright.server.backends.upstream_shapes import Text, Tokens, Vectors
from chatwright.server.errors import ApiError

Shape = TypeVar("Shape", bound=BaseModel)
_SAME_NAME: Final = (
    *("temperature", "top_p", "top_k", "min_p", "repetition_penalty", "presence_penalty", "frequency_penalty"),
    *("seed", "max_tokens", "stop", "stop_token_ids", "n", "ignore_eos"),
)
_MESSAGE_TOKENS: Final = 4  # what templates add to a message, about
_HEALTH_SECONDS: Final = 5.0


class UpstreamBackend:
    """See :class:`~chatwright.server.backends.base.Backend`.

    Args:
        client: of the other server; whoever made it closes it.
        model: its name there.
        version: what stored answers carry.
        context_length: in tokens, where an administrator has said it.
    """

    def __init__(self, client: UpstreamClient, model: str, *, version: str, context_length: int | None = None) -> None:
        self.version = version
        self.context_length = context_length
        self._client = client
        self._model = model
        self._tokenizes: bool | None = None  # not known yet
        self._answers: set[UpstreamAnswer] = set()

    async def chat(self, request: ChatRequest) -> UpstreamAnswer:
        """See :class:`~chatwright.server.backends.base.Backend`."""
        body = self._sampling(request.sampling) | _chat_body(request)
        if (top := request.sampling.get("logprobs")) is not None:
            body |= {"logprobs": True, "top_logprobs": top}
        chat, dropped = request.messages, 0
        while True:
            sent = body | {"messages": [_message(message) for message in chat]}
            try:
                return await self._begin(
                    "/chat/completions", sent, ChatParser(), prompt_tokens=_estimate(chat), dropped_turns=dropped
                )
            except ApiError as error:
                shorter = _without_oldest(chat)
                if error.code != "context_length_exceeded" or request.context_policy == "error" or shorter is None:
                    raise
                chat, dropped = shorter, dropped + 1

    async def complete(self, request: TextRequest) -> UpstreamAnswer:
        """See :class:`~chatwright.server.backends.base.Backend`."""
        body = self._sampling(request.sampling) | _constraint_body(request.constraint)
        prompt = request.prompt if isinstance(request.prompt, str) else list(request.prompt)
        body |= {"prompt": prompt}
        wanted = [request.sampling.get(name) for name in ("logprobs", "prompt_logprobs")]
        if any(value is not None for value in wanted):
            body["logprobs"] = max(value or 0 for value in wanted)
        if wanted[1] is None:
            tokens = estimated_tokens(prompt) if isinstance(prompt, str) else len(prompt)
            return await self._begin("/completions", body, TextParser(), prompt_tokens=tokens)
        known = -1 if isinstance(prompt, str) else len(prompt)
        return await self._begin("/completions", body | {"echo": True}, TextParser(known), streams=False)

    async def embed(self, inputs: Sequence[str | Sequence[int]], *, owner: str = "") -> Embeddings:
        """See :class:`~chatwright.server.backends.base.Backend`."""
        given = [text if isinstance(text, str) else list(text) for text in inputs]
        answer = await self._client.post(
            "/embeddings", {"model": self._model, "input": given, "encoding_format": "float"}
        )
        vectors = _parsed(Vectors, answer)
        rows = {vector.index: vector.embedding for vector in vectors.data}
        widths = {len(row) for row in rows.values()}
        if sorted(rows) != list(range(len(given))) or len(widths) != 1 or widths == {0}:
            raise _unreadable()
        array = np.array([rows[index] for index in range(len(given))], np.float32)
        length = np.linalg.norm(array, axis=1, keepdims=True)
        if not np.isfinite(length).all() or not length.all():
            raise _unreadable()
        counted = vectors.usage.prompt_tokens if vectors.usage is not None else 0
        return Embeddings(array / length, counted or sum(_length(text) for text in given))

    async def encode(self, text: str) -> list[int]:
        """See :class:`~chatwright.server.backends.base.Backend`."""
        body = {"model": self._model, "prompt": text, "content": text, "add_special_tokens": False}
        return _parsed(Tokens, await self._tokenize("/tokenize", body)).tokens

    async def decode(self, ids: Sequence[int]) -> str:
        """See :class:`~chatwright.server.backends.base.Backend`."""
        found = _parsed(Text, await self._tokenize("/detokenize", {"model": self._model, "tokens": list(ids)}))
        text = found.prompt if found.prompt is not None else found.content
        if text is None:
            raise _unreadable()
        return text

    async def tokenizer_facts(self) -> TokenizerFacts:
        """Not known: servers do not agree on how to ask for it."""
        raise NoTokenizer

    async def count(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] = ()) -> int:
        """See :class:`~chatwright.server.backends.base.Backend`. An estimate: to ask would take another request."""
        return _estimate(messages) + sum(estimated_tokens(json.dumps(tool)) for tool in tools)

    async def health(self) -> Health:
        """See :class:`~chatwright.server.backends.base.Backend`."""
        try:
            with anyio.fail_after(_HEALTH_SECONDS):
                await self._client.get("/models")
        except TimeoutError:
            return Health("failed", "it does not answer in time")
        except ChatwrightError as error:
            return Health("failed", str(error))
        return Health("ready")

    async def close(self) -> None:
        """See :class:`~chatwright.server.backends.base.Backend`."""
        for answer in list(self._answers):
            answer.cancel()

    async def _begin(
        self,
        path: str,
        body: Mapping[str, Any],
        parser: Parser,
        *,
        streams: bool = True,
        prompt_tokens: int = 0,
        dropped_turns: int = 0,
    ) -> UpstreamAnswer:
        sent = {"model": self._model, **body}
        if streams:
            lines = self._client.stream(path, sent | {"stream": True, "stream_options": {"include_usage": True}})
        else:
            lines = self._as_event(path, sent)
        answer = UpstreamAnswer(
            lines,
            parser,
            n=int(body.get("n", 1)),
            prompt_tokens=prompt_tokens,
            dropped_turns=dropped_turns,
            on_end=self._answers.discard,
        )
        self._answers.add(answer)
        await answer.begin()
        return answer

    @asynccontextmanager
    async def _as_event(self, path: str, body: Mapping[str, Any]) -> AsyncIterator[AsyncIterator[str]]:
        """An answer in one piece, as if it were streamed: few servers stream a prompt that they echo."""
        answer = await self._client.post(path, body)

        async def event() -> AsyncIterator[str]:
            yield f"data: {json.dumps(answer)}"

        yield event()

    async def _tokenize(self, path: str, body: Mapping[str, Any]) -> Any:
        if self._tokenizes is False:
            raise NoTokenizer
        try:
            answer = await self._client.post(path, body, beside_v1=True)
        except ApiError as error:
            if error.code != "upstream_error":
                raise
            self._tokenizes = False
            raise NoTokenizer from None
        self._tokenizes = True
        return answer

    def _sampling(self, sampling: Mapping[str, Any]) -> dict[str, Any]:
        """What the caller set, by the names of other servers."""
        SamplingParams().replace(**sampling)  # bounds are ours, so that a wrong value is named as everywhere else
        body: dict[str, Any] = {}
        for name, value in sampling.items():
            if value is None or name in ("logprobs", "prompt_logprobs"):
                continue
            if name == "logit_bias":
                body[name] = {str(token): bias for token, bias in value.items()}
            elif name in _SAME_NAME:
                body[name] = list(value) if isinstance(value, tuple) else value
            else:
                raise InvalidParameterError(name, f"{name} has no effect on models of other servers; leave it out")
        return body


def _chat_body(request: ChatRequest) -> dict[str, Any]:
    body = _constraint_body(request.constraint)
    if request.tools:
        named = request.tool_choice not in ("auto", "none", "required")
        choice = {"type": "function", "function": {"name": request.tool_choice}} if named else request.tool_choice
        body |= {"tools": [dict(tool) for tool in request.tools], "tool_choice": choice}
        if not request.parallel_tool_calls:
            body["parallel_tool_calls"] = False
    if request.continue_final:
        body |= {"continue_final_message": True, "add_generation_prompt": False}
    if request.template_variables:
        body["chat_template_kwargs"] = dict(request.template_variables)
    return body


def _constraint_body(constraint: Constraint | None) -> dict[str, Any]:
    if constraint is None:
        return {}
    match constraint.kind:
        case "json_schema":
            schema = {"name": "answer", "schema": json.loads(constraint.text), "strict": True}
            return {"response_format": {"type": "json_schema", "json_schema": schema}}
        case "json_object":
            return {"response_format": {"type": "json_object"}}
        case "regex":
            return {"structured_outputs": {"regex": constraint.text}}
        case "choice":
            return {"structured_outputs": {"choice": json.loads(constraint.text)}}
        case "grammar":
            raise InvalidParameterError("response_format", "models of other servers take no grammar of ours")


def _message(message: Message) -> dict[str, Any]:
    """In OpenAI's form: arguments of calls as JSON text; thoughts stay here, other servers refuse or ignore them."""
    fields = message.to_dict()
    fields.pop("reasoning_content", None)
    if message.tool_calls:
        fields.setdefault("content", None)
        fields["tool_calls"] = [_call(index, call) for index, call in enumerate(message.tool_calls)]
    return fields


def _call(index: int, call: Mapping[str, Any]) -> dict[str, Any]:
    function = call.get("function", call)
    arguments = function.get("arguments")
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return {
        "id": call.get("id") or f"call_{index}",
        "type": "function",
        "function": {"name": function.get("name"), "arguments": text},
    }


def _without_oldest(messages: tuple[Message, ...]) -> tuple[Message, ...] | None:
    """The chat without its oldest turn; None where only the last is left."""
    first = next((i for i, message in enumerate(messages) if message.role != "system"), len(messages))
    second = next((i for i in range(first + 1, len(messages)) if messages[i].role == "user"), None)
    return None if second is None else (*messages[:first], *messages[second:])


def _estimate(messages: Sequence[Message]) -> int:
    return sum(estimated_tokens(message.content or "") + _MESSAGE_TOKENS for message in messages)


def _length(text: str | Sequence[int]) -> int:
    return estimated_tokens(text) if isinstance(text, str) else len(text)


def _parsed(shape: type[Shape], answer: Any) -> Shape:
    try:
        return shape.model_validate(answer)
    except ValidationError:
        raise _unreadable() from None


def _unreadable() -> ApiError:
    return ApiError(502, "the server behind this model answers in a form that is not OpenAI's", code="upstream_error")
