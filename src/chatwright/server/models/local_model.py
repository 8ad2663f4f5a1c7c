"""A model of this server, in memory or not: loaded by whoever asks first, never unloaded while anybody is served."""

import asyncio
import gc
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from chatwright.chat import Message
from chatwright.errors import ChatwrightError
from chatwright.server.backends.base import Answer, ChatRequest, Embeddings, Health, TextRequest, TokenizerFacts
from chatwright.server.backends.inside import Inside, InsideRequest
from chatwright.server.backends.local import LocalBackend
from chatwright.server.errors import ApiError
from chatwright.server.models.loading import ServerStops
from chatwright.server.models.memory import NoRoom

log = logging.getLogger(__name__)
_RETRY_SECONDS: Final = 30.0  # a model that cannot be loaded is not tried again for every request


class LocalModel:
    """A :class:`~chatwright.server.backends.base.Backend` that loads its model when it is first used.

    Args:
        name: by which clients ask for it.
        load: makes room and opens the model.

    Attributes:
        memory_bytes: what it takes while it is loaded.
        used_s: when it was last used, on the clock of ``time.monotonic``.
    """

    def __init__(self, name: str, load: "Callable[[LocalModel], Awaitable[LocalBackend]]") -> None:
        self.name = name
        self.memory_bytes = 0
        self.used_s = time.monotonic()
        self._open = load
        self._backend: LocalBackend | None = None
        self._loading: asyncio.Task[LocalBackend] | None = None
        self._failure: str | None = None
        self._failed_s = 0.0
        self._holders = 0
        self._version = ""

    @property
    def version(self) -> str:
        """Which weights; known once they were loaded."""
        return self._version

    @property
    def context_length(self) -> int | None:
        """Tokens of prompt and answer; None while it is not loaded."""
        return self._backend.context_length if self._backend is not None else None

    @property
    def is_loaded(self) -> bool:
        """Whether it takes memory now."""
        return self._backend is not None

    @property
    def is_idle(self) -> bool:
        """Whether it could be unloaded: in memory, and nobody is using it."""
        return self._backend is not None and not self._holders and not self._backend.busy

    async def load(self, *, again: bool = False) -> None:
        """Have it in memory, whoever else asks for it at the same time.

        Args:
            again: try even though it has just failed.

        Raises:
            ApiError: 503; what was wrong is in the log and in :meth:`health`.
        """
        async with self._held(again=again):
            pass

    async def unload(self) -> bool:
        """Give its memory back; returns False, and does nothing, while it is used."""
        if not self.is_idle:
            return self._backend is None and self._loading is None
        await self.close()
        return True

    async def chat(self, request: ChatRequest) -> Answer:
        """See :class:`~chatwright.server.backends.base.Backend`."""
        async with self._held() as backend:
            return await backend.chat(request)

    async def complete(self, request: TextRequest) -> Answer:
        """See :class:`~chatwright.server.backends.base.Backend`."""
        async with self._held() as backend:
            return await backend.complete(request)

    async def embed(self, inputs: Sequence[str | Sequence[int]], *, owner: str = "") -> Embeddings:
        """See :class:`~chatwright.server.backends.base.Backend`."""
        async with self._held() as backend:
            return await backend.embed(inputs, owner=owner)

    async def inside(self, request: InsideRequest) -> Inside:
        """See :class:`~chatwright.server.backends.inside.SeesInside`."""
        async with self._held() as backend:
            return await backend.inside(request)

    async def encode(self, text: str) -> list[int]:
        """See :class:`~chatwright.server.backends.base.Backend`."""
        async with self._held() as backend:
            return await backend.encode(text)

    async def decode(self, ids: Sequence[int]) -> str:
        """See :class:`~chatwright.server.backends.base.Backend`."""
        async with self._held() as backend:
            return await backend.decode(ids)

    async def tokenizer_facts(self) -> TokenizerFacts:
        """See :class:`~chatwright.server.backends.base.Backend`."""
        async with self._held() as backend:
            return await backend.tokenizer_facts()

    async def count(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] = ()) -> int:
        """See :class:`~chatwright.server.backends.base.Backend`."""
        async with self._held() as backend:
            return await backend.count(messages, tools)

    async def health(self) -> Health:
        """See :class:`~chatwright.server.backends.base.Backend`."""
        if self._backend is not None:
            return Health("ready")
        if self._loading is not None:
            return Health("loading")
        return Health("failed", self._failure) if self._failure is not None else Health("unloaded")

    def stop_loading(self) -> None:
        """Give up a load that is going on; whoever waits for it is told that the server stops."""
        if self._loading is not None:
            self._loading.cancel()

    async def close(self) -> None:
        """See :class:`~chatwright.server.backends.base.Backend`. Waits for a load that was not given up."""
        if self._loading is not None:
            await asyncio.wait([self._loading])
        if self._backend is not None:
            backend, self._backend = self._backend, None
            await backend.close()
            del backend
            gc.collect()  # weights hang in cycles of modules; the next model needs their memory now
            self.memory_bytes = 0

    @asynccontextmanager
    async def _held(self, *, again: bool = False) -> AsyncIterator[LocalBackend]:
        """The loaded model, which is not unloaded within the block. Afterwards the engine's own requests keep it."""
        self._holders += 1
        try:
            yield self._backend or await self._loaded(again)
        finally:
            self._holders -= 1
            self.used_s = time.monotonic()

    async def _loaded(self, again: bool) -> LocalBackend:
        if self._loading is None:
            if self._failure is not None and not again and time.monotonic() - self._failed_s < _RETRY_SECONDS:
                raise self._unavailable()
            self._loading = asyncio.create_task(self._load(), name=f"load {self.name}")
            self._loading.add_done_callback(_seen)
        loading = self._loading
        try:
            return await asyncio.shield(loading)  # who goes away does not take the model from those who wait
        except (NoRoom, ServerStops) as error:
            raise type(error) from error  # everybody who waits gets an exception of their own
        except ChatwrightError:
            raise self._unavailable() from None
        except asyncio.CancelledError:
            waiting = asyncio.current_task()
            if loading.cancelled() and waiting is not None and not waiting.cancelling():
                raise ServerStops from None
            raise

    async def _load(self) -> LocalBackend:
        started = time.monotonic()
        try:
            backend = await self._open(self)
        except (NoRoom, ServerStops):
            raise
        except ChatwrightError as error:
            self._failure, self._failed_s = str(error), time.monotonic()
            log.error("model %s cannot be loaded: %s", self.name, error)
            raise
        except Exception as error:
            self._failure, self._failed_s = f"a bug: {error!r}; the log has the details", time.monotonic()
            log.exception("model %s cannot be loaded", self.name)
            raise ApiError(
                500, "this is a bug of the server; its log has the details", code="internal_error"
            ) from error
        finally:
            self._loading = None
        self._backend, self._failure, self._version = backend, None, backend.version
        log.info("model %s is loaded after %.1f s", self.name, time.monotonic() - started)
        return backend

    def _unavailable(self) -> ApiError:
        return ApiError(
            503,
            f"the model {self.name!r} cannot be loaded now; try again later, or ask an administrator",
            code="model_unavailable",
            headers={"Retry-After": str(int(_RETRY_SECONDS))},
        )


def _seen(loading: "asyncio.Task[LocalBackend]") -> None:
    """The failure is in the log already, even where everybody who waited has gone."""
    if not loading.cancelled():
        loading.exception()
