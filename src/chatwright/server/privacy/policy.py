"""The one place that decides about personal data: before storage, before training, before another server reads it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

from chatwright.chat import Message
from chatwright.safety.names import NameFinder
from chatwright.safety.pii import redact
from chatwright.server.backends.base import ChatRequest, TextRequest
from chatwright.server.settings import ServerSettings


class Runtime(Protocol):
    """Settings as administrators have them now."""

    async def get(self, name: str) -> Any:
        """The value of a setting."""
        ...


class PrivacyPolicy:
    """What is done with what people write.

    Redaction is a pure function of the text and costs time in proportion to it: whoever has a long text calls it in a
    thread.

    Args:
        settings: which texts are redacted.
        runtime: for what administrators may change while the server runs.
        names: finds names of people, where the server has a model for it; forms such as telephone numbers are found
            without.
    """

    def __init__(self, settings: ServerSettings, runtime: Runtime, names: NameFinder | None = None) -> None:
        self._settings = settings
        self._runtime = runtime
        self._names = names

    @property
    def finds_names(self) -> bool:
        """Whether names of people are redacted too."""
        return self._names is not None

    def for_upstream(self, request: ChatRequest) -> ChatRequest:
        """The request as another server may read it."""
        if not self._settings.redact_before_upstream:
            return request
        return replace(request, messages=tuple(map(self._redacted, request.messages)))

    def text_for_upstream(self, request: TextRequest) -> TextRequest:
        """The same of a text; token ids stay what they are, only the model knows what they say."""
        if not self._settings.redact_before_upstream or not isinstance(request.prompt, str):
            return request
        return replace(request, prompt=self._redact(request.prompt))

    def for_storage(self, text: str) -> str:
        """A text as it is written to the database."""
        return self._redact(text) if self._settings.redact_before_storage else text

    def for_training(self, text: str) -> str:
        """A text as a model may learn it."""
        return self._redact(text) if self._settings.redact_before_training else text

    async def admins_may_read(self) -> bool:
        """Whether administrators may read what people write: one switch for every route, log and export."""
        return bool(await self._runtime.get("admins_read_chats"))

    async def retention_days(self) -> int | None:
        """After how many days without a new message a conversation is deleted; None: never."""
        days = await self._runtime.get("retention_days")
        return None if days is None else int(days)

    def _redact(self, text: str) -> str:
        return redact(text, self._names)

    def _redacted(self, message: Message) -> Message:
        return replace(
            message,
            content=None if message.content is None else self._redact(message.content),
            reasoning_content=None if message.reasoning_content is None else self._redact(message.reasoning_content),
            tool_calls=tuple(self._redact_all(call) for call in message.tool_calls),
        )

    def _redact_all(self, value: Any) -> Any:
        """Every text within a value of JSON; names of keys are the caller's own schema and stay."""
        if isinstance(value, str):
            return self._redact(value)
        if isinstance(value, Mapping):
            return {key: self._redact_all(item) for key, item in value.items()}
        return [self._redact_all(item) for item in value] if isinstance(value, list | tuple) else value
