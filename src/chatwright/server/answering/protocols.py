"""What stands between a question and its answer: who finds models, counts, moderates and redacts."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from chatwright.server.backends.base import Backend, ChatRequest, Piece, TextRequest, TokenUsage
from chatwright.server.principal import Principal


@dataclass(frozen=True, slots=True)
class Served:
    """A model by the name that clients use."""

    name: str
    backend: Backend
    is_upstream: bool = False


class Models(Protocol):
    """The models that are served."""

    async def find(self, name: str | None, principal: Principal) -> Served:
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

    def text_for_upstream(self, request: TextRequest) -> TextRequest:
        """The same of a text to be continued."""
        ...
