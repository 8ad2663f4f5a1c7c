"""The one way to an answer, for every API: find the model, admit by the limits, moderate, generate, record the use."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Protocol

from chatwright.server.backends.base import Answer, Backend, ChatRequest, Piece, TextRequest, TokenScore, TokenUsage
from chatwright.server.principal import Principal


class Models(Protocol):
    """The models that are served."""

    async def find(self, name: str | None, principal: Principal) -> "Served":
        """A model by name (None: the default), loaded and ready.

        Raises:
            ApiError: 404 for one that does not exist or is somebody else's; 503 when it cannot be loaded.
        """
        ...


class Admission(Protocol):
    """A request that was let in.

    Attributes:
        headers: ``x-ratelimit-*`` for the HTTP answer.
    """

    headers: Mapping[str, str]

    async def settle(self, usage: TokenUsage) -> None:
        """Count what was really used. Called once, whatever happened."""
        ...


class Limits(Protocol):
    """Who may take how much."""

    def admit(self, principal: Principal, model: str, *, prompt_tokens: int) -> AbstractAsyncContextManager[Admission]:
        """Wait for a place, hold it within the block.

        Raises:
            ApiError: 429 with ``Retry-After``; 503 when the queue is full.
        """
        ...


class Moderation(Protocol):
    """What may be asked and answered."""

    async def check_input(self, principal: Principal, model: str, texts: tuple[str, ...]) -> None:
        """Raises ApiError (400, ``content_policy_violation``) for what is blocked; logs what is flagged."""
        ...

    def watch_output(self, principal: Principal, model: str, pieces: AsyncIterator[Piece]) -> AsyncIterator[Piece]:
        """The pieces as they may be shown; what is blocked ends with the finish reason ``content_filter``."""
        ...


class Privacy(Protocol):
    """What leaves the server, and what is kept."""

    def for_upstream(self, request: ChatRequest) -> ChatRequest:
        """The request without personal data, where the policy says so."""
        ...


class NoLimits:
    """Everybody may take everything: for a process that only runs models for others, which limit."""

    @asynccontextmanager
    async def admit(self, principal: Principal, model: str, *, prompt_tokens: int) -> AsyncIterator[Admission]:
        """See :class:`Limits`."""
        yield _Uncounted()


class _Uncounted:
    headers: Mapping[str, str] = {}

    async def settle(self, usage: TokenUsage) -> None:
        """Nobody counts."""


class NoModeration:
    """Everything may be asked and answered."""

    async def check_input(self, principal: Principal, model: str, texts: tuple[str, ...]) -> None:
        """See :class:`Moderation`."""

    def watch_output(self, principal: Principal, model: str, pieces: AsyncIterator[Piece]) -> AsyncIterator[Piece]:
        """See :class:`Moderation`."""
        return pieces


class NothingRedacted:
    """Every request leaves as it came."""

    def for_upstream(self, request: ChatRequest) -> ChatRequest:
        """See :class:`Privacy`."""
        return request


@dataclass(frozen=True, slots=True)
class Served:
    """A model by the name that clients use."""

    name: str
    backend: Backend
    is_upstream: bool = False


class AdmittedAnswer:
    """An answer to somebody who was let in: moderated, counted, and freed whatever happens.

    Iterate over it within ``async with``: leaving the block cancels what is unfinished and gives the place back.

    Attributes:
        model: the name under which it is served; ``version`` is that of its weights.
        headers: for the HTTP answer.
    """

    def __init__(
        self,
        served: Served,
        principal: Principal,
        moderation: Moderation,
        admission: AbstractAsyncContextManager[Admission],
        admitted: Admission,
        answer: Answer,
    ) -> None:
        self.model = served.name
        self.version = served.backend.version
        self.headers = admitted.headers
        self._answer = answer
        self._admission = admission
        self._admitted = admitted
        self._pieces = moderation.watch_output(principal, served.name, aiter(answer))
        self._closed = False

    @property
    def usage(self) -> TokenUsage:
        """Tokens so far; final after the last piece."""
        return self._answer.usage

    @property
    def dropped_turns(self) -> int:
        """Turns that the model was not sent."""
        return self._answer.dropped_turns

    @property
    def prompt_scores(self) -> tuple[TokenScore | None, ...] | None:
        """See :class:`~chatwright.server.backends.base.Answer`."""
        return self._answer.prompt_scores

    def __aiter__(self) -> AsyncIterator[Piece]:
        return self._pieces

    def cancel(self) -> None:
        """Stop generating; the iteration ends soon with the finish reason ``cancelled``."""
        self._answer.cancel()

    async def __aenter__(self) -> "AdmittedAnswer":
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Cancel what is unfinished, count what was used, give the place back. May be called twice."""
        if self._closed:
            return
        self._closed = True
        self._answer.cancel()
        try:
            await self._admitted.settle(self._answer.usage)
        finally:
            await self._admission.__aexit__(None, None, None)


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
        last = request.messages[-1]
        texts = tuple(text for text in (last.content, last.reasoning_content) if text)
        await self._moderation.check_input(principal, served.name, texts)
        if served.is_upstream:
            request = self._privacy.for_upstream(request)
        request = replace(request, owner=principal.user_id)
        tokens = await served.backend.count(request.messages, request.tools)
        return await self._admit(principal, served, request, tokens)

    async def complete(self, principal: Principal, model: str | None, request: TextRequest) -> AdmittedAnswer:
        """Begin a continuation. Raises as :meth:`chat`."""
        served = await self._models.find(model, principal)
        request = replace(request, owner=principal.user_id)
        if isinstance(request.prompt, str):
            await self._moderation.check_input(principal, served.name, (request.prompt,))
            tokens = len(await served.backend.encode(request.prompt))
        else:
            tokens = len(request.prompt)
        return await self._admit(principal, served, request, tokens)

    async def _admit(
        self, principal: Principal, served: Served, request: ChatRequest | TextRequest, prompt_tokens: int
    ) -> AdmittedAnswer:
        admission = self._limits.admit(principal, served.name, prompt_tokens=prompt_tokens)
        admitted = await admission.__aenter__()
        try:
            answer = (
                await served.backend.chat(request)
                if isinstance(request, ChatRequest)
                else await served.backend.complete(request)
            )
        except BaseException as error:
            try:
                await admitted.settle(TokenUsage())
            finally:
                await admission.__aexit__(type(error), error, error.__traceback__)
            raise
        return AdmittedAnswer(served, principal, self._moderation, admission, admitted, answer)
