"""The way to an answer: find the model, admit by the limits, moderate, generate, record the use."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import anyio
import anyio.to_thread

from chatwright.chat import Message
from chatwright.server.answering.admitted import AdmittedAnswer
from chatwright.server.answering.protocols import Limits, Models, Moderation, Privacy, Served
from chatwright.server.backends.base import (
    Answer,
    Backend,
    ChatRequest,
    Embeddings,
    NoTokenizer,
    TextRequest,
    TokenUsage,
    estimated_tokens,
)
from chatwright.server.errors import ApiError
from chatwright.server.principal import Principal


class Answering:
    """Answers whoever may ask.

    Args:
        models, limits, moderation, privacy: see the protocols.
    """

    def __init__(self, models: Models, limits: Limits, moderation: Moderation, privacy: Privacy) -> None:
        self._models = models
        self._limits = limits
        self._moderation = moderation
        self._privacy = privacy

    async def chat(self, principal: Principal, model: str | None, request: ChatRequest) -> AdmittedAnswer:
        """Begin an answer to a conversation.

        Raises:
            ApiError, ChatwrightError: it is refused; nothing is held then.
        """
        served = await self._models.find(model, principal)
        texts = _unanswered(request.messages)
        request = replace(await self._as_sent(served, request), owner=principal.user_id)
        tokens = await served.backend.count(request.messages, request.tools)
        _check_room(served, request.sampling, tokens if request.context_policy == "error" else 0, "messages")

        async def begin() -> list[Answer]:
            # Last: reading costs time, which nobody gets for a chat that is too long or one request too many.
            await self._moderation.check_input(principal, served.name, texts)
            return [await served.backend.chat(request)]

        return await self._admit(principal, served, tokens, begin)

    async def complete(self, principal: Principal, model: str | None, *requests: TextRequest) -> AdmittedAnswer:
        """Begin continuations, at the same time and under one admission. Raises as :meth:`chat`.

        Args:
            principal: who asks.
            model: its name; None: the default.
            requests: one at least, all with the same ``n``.
        """
        served = await self._models.find(model, principal)
        sent = [await self._text_as_sent(served, request) for request in requests]
        tokens = 0
        for request in sent:
            length = await _length(served.backend, request.prompt)
            _check_room(served, request.sampling, length, "prompt")
            tokens += length

        async def begin() -> list[Answer]:
            texts = tuple([await _text(served.backend, request.prompt) for request in requests])
            await self._moderation.check_input(principal, served.name, texts)
            begun: list[Answer] = []
            try:
                for request in sent:
                    begun.append(await served.backend.complete(replace(request, owner=principal.user_id)))
            except BaseException:
                for answer in begun:
                    answer.cancel()
                raise
            return begun

        return await self._admit(principal, served, tokens, begin, requests[0].sampling.get("n", 1))

    async def embed(
        self, principal: Principal, model: str | None, inputs: Sequence[str | Sequence[int]]
    ) -> tuple[Served, Embeddings, Mapping[str, str]]:
        """Vectors of texts, the model that made them, and headers for the HTTP answer. Raises as :meth:`chat`."""
        served = await self._models.find(model, principal)
        requests = [TextRequest(text if isinstance(text, str) else tuple(text)) for text in inputs]
        inputs = [(await self._text_as_sent(served, request)).prompt for request in requests]
        tokens = 0
        for text in inputs:
            tokens += await _length(served.backend, text)
        async with self._limits.admit(principal, served.name, prompt_tokens=tokens) as admitted:
            used = TokenUsage()
            try:
                vectors = await served.backend.embed(inputs, owner=principal.user_id)
                used = TokenUsage(prompt=vectors.num_tokens)
            finally:
                with anyio.CancelScope(shield=True):
                    await admitted.settle(used)
        return served, vectors, admitted.headers

    async def encode(self, principal: Principal, model: str | None, text: str) -> tuple[Served, list[int]]:
        """Token ids of a text, and the model that reads them so. Raises ApiError as :meth:`chat`."""
        served = await self._models.find(model, principal)
        prompt = (await self._text_as_sent(served, TextRequest(text))).prompt
        assert isinstance(prompt, str)
        return served, await served.backend.encode(prompt)

    async def count(self, principal: Principal, model: str | None, request: ChatRequest) -> tuple[Served, int]:
        """Tokens of the prompt that a chat makes, and the model. Raises ApiError as :meth:`chat`."""
        served = await self._models.find(model, principal)
        request = await self._as_sent(served, request)
        return served, await served.backend.count(request.messages, request.tools)

    async def served(self, principal: Principal, model: str | None) -> Served:
        """The model itself, for what sends no text anywhere. Raises ApiError as :meth:`chat`."""
        return await self._models.find(model, principal)

    # Another server may be asked to count, too: whatever it is sent goes through here. In a thread, because finding
    # names takes a model of its own.

    async def _as_sent(self, served: Served, request: ChatRequest) -> ChatRequest:
        if not served.is_upstream:
            return request
        return await anyio.to_thread.run_sync(self._privacy.for_upstream, request)

    async def _text_as_sent(self, served: Served, request: TextRequest) -> TextRequest:
        if not served.is_upstream:
            return request
        return await anyio.to_thread.run_sync(self._privacy.text_for_upstream, request)

    async def _admit(
        self,
        principal: Principal,
        served: Served,
        prompt_tokens: int,
        begin: Callable[[], Awaitable[Sequence[Answer]]],
        n: int = 1,
    ) -> AdmittedAnswer:
        admission = self._limits.admit(principal, served.name, prompt_tokens=prompt_tokens)
        admitted = await admission.__aenter__()
        try:
            answers = await begin()
        except BaseException as error:
            with anyio.CancelScope(shield=True):
                try:
                    await admitted.settle(TokenUsage())
                finally:
                    await admission.__aexit__(type(error), error, error.__traceback__)
            raise
        return AdmittedAnswer(served, principal, self._moderation, admission, admitted, answers, n)


def _unanswered(messages: Sequence[Message]) -> tuple[str, ...]:
    """What moderation reads: every text since the model's last answer, and the system's, which any client may write.

    What precedes the last answer was read when it was asked; a beginning of an answer that the client wrote is new.
    """
    answers = [index for index, message in enumerate(messages[:-1]) if message.role == "assistant"]
    since = answers[-1] + 1 if answers else 0
    new = [message for index, message in enumerate(messages) if index >= since or message.role == "system"]
    return tuple(text for message in new for text in (message.content, message.reasoning_content) if text)


def _check_room(served: Served, sampling: Mapping[str, Any], prompt_tokens: int, param: str) -> None:
    """Whether prompt and answer fit together. The engine would cut the answer short: who asks for so much is told."""
    limit, wanted = served.backend.context_length, sampling.get("max_tokens") or 0
    if limit is None or served.is_upstream or prompt_tokens + wanted <= limit:  # another server counts exactly
        return
    if wanted:
        message = (
            f"the context of {served.name} holds {limit:,} tokens, but {prompt_tokens + wanted:,} are asked for: "
            f"{prompt_tokens:,} in the {param}, {wanted:,} for the answer; shorten one of them"
        )
    else:
        message = (
            f"the context of {served.name} holds {limit:,} tokens, but there are {prompt_tokens:,} in the {param}; "
            "shorten it"
        )
    raise ApiError(400, message, code="context_length_exceeded", param=param)


async def _text(backend: Backend, prompt: str | Sequence[int]) -> str:
    """What moderation reads of a prompt: token ids would pass it unread otherwise."""
    if isinstance(prompt, str):
        return prompt
    try:
        return await backend.decode(prompt)
    except NoTokenizer:
        return ""


async def _length(backend: Backend, prompt: str | Sequence[int]) -> int:
    if not isinstance(prompt, str):
        return len(prompt)
    try:
        return len(await backend.encode(prompt))
    except NoTokenizer:
        return estimated_tokens(prompt)
