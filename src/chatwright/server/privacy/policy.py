"""The one place that decides about personal data: before storage, before training, before another server reads it."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any, Final

import anyio

from chatwright.chat import Message
from chatwright.safety.names import NameFinder, load_name_finder
from chatwright.safety.pii import redact
from chatwright.server.accounts import RuntimeSettings, RuntimeValues
from chatwright.server.backends.base import ChatRequest, TextRequest
from chatwright.server.settings import ServerSettings

log = logging.getLogger(__name__)

_LOOK_EVERY_S: Final = 1.0


class PrivacyPolicy:
    """What is done with what people write, as administrators have it now.

    Redaction costs time in proportion to the text, and much more of it where names are looked for: whoever has a long
    text calls it in a thread.

    Args:
        runtime: the settings that say so.
        names: finds names of people, where the server has a model for it; forms such as telephone numbers are found
            without.
    """

    def __init__(self, runtime: RuntimeSettings, names: NameFinder | None = None) -> None:
        self._runtime = runtime
        self._values: RuntimeValues = runtime.defaults
        self._names = names

    @property
    def finds_names(self) -> bool:
        """Whether names of people are redacted too."""
        return self._names is not None

    def for_upstream(self, request: ChatRequest) -> ChatRequest:
        """The request as another server may read it."""
        if not self._values.redact_before_upstream:
            return request
        return replace(request, messages=tuple(map(self._redacted, request.messages)))

    def text_for_upstream(self, request: TextRequest) -> TextRequest:
        """The same of a text; token ids stay what they are, only the model knows what they say."""
        if not self._values.redact_before_upstream or not isinstance(request.prompt, str):
            return request
        return replace(request, prompt=self._redact(request.prompt))

    def for_storage(self, text: str) -> str:
        """A text as it is written to the database."""
        return self._redact(text) if self._values.redact_before_storage else text

    def for_training(self, text: str) -> str:
        """A text as a model may learn it."""
        return self._redact(text) if self._values.redact_before_training else text

    async def admins_may_read(self) -> bool:
        """Whether administrators may read what people write: one switch for every route, log and export."""
        return (await self._runtime.values()).admins_read_chats

    async def retention_days(self) -> int | None:
        """After how many days without a new message a conversation is deleted; None: never."""
        return (await self._runtime.values()).retention_days

    async def refresh(self) -> None:
        """Take over what administrators have changed."""
        self._values = await self._runtime.values()

    async def watch(self) -> None:
        """Keep up with changes; runs until it is cancelled."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            try:
                await self.refresh()
            except Exception:  # a database that is away for a moment must not freeze the policy
                log.exception("the privacy settings could not be read; trying again")

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


@asynccontextmanager
async def open_privacy(settings: ServerSettings, runtime: RuntimeSettings) -> AsyncIterator[PrivacyPolicy]:
    """The policy of a running server.

    Raises:
        ConfigError: ``names_model`` cannot be opened.
    """
    names = None
    if settings.names_model is not None:
        names = await anyio.to_thread.run_sync(load_name_finder, settings.names_model)
    policy = PrivacyPolicy(runtime, names)
    await policy.refresh()
    watching = asyncio.create_task(policy.watch(), name="privacy settings")
    try:
        yield policy
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
