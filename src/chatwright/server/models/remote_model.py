"""A model in another Chatwright process, which several servers share: the same answers, over HTTP."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

from pydantic import ValidationError

from chatwright.chat import Message
from chatwright.errors import ChatwrightError
from chatwright.server.backends.base import Answer, ChatRequest, Embeddings, Health, TextRequest, TokenizerFacts
from chatwright.server.backends.inside import Inside, InsideRequest
from chatwright.server.backends.upstream_answer import UpstreamAnswer
from chatwright.server.backends.upstream_client import UpstreamClient
from chatwright.server.backends.wire import (
    Wire,
    WireChat,
    WireCount,
    WireFacts,
    WireIds,
    WireInputs,
    WireInside,
    WireInsideRequest,
    WireModel,
    WireNumber,
    WireParser,
    WireState,
    WireString,
    WireText,
    WireVectors,
)
from chatwright.server.errors import ApiError

OWNER_HEADER: Final = "X-Chatwright-Owner"
_FRESH_S: Final = 30.0  # so long what is known of a model holds; the engine process loads it again by itself
Shape = TypeVar("Shape", bound=Wire)


class RemoteModel:
    """A :class:`~chatwright.server.backends.base.Backend` over the engine process.

    Args:
        client: of the engine process; whoever made it closes it.
        model: which one.

    Attributes:
        model: as given.
        memory_bytes: that it takes over there.
    """

    def __init__(self, client: UpstreamClient, model: WireModel) -> None:
        self.name = model.name
        self.memory_bytes = 0
        self._client = client
        self.model = model
        self._known = WireState(state="unloaded")
        self._known_s = -_FRESH_S
        self._answers: set[UpstreamAnswer] = set()

    @property
    def version(self) -> str:
        """Which weights; known once they were loaded."""
        return self._known.version

    @property
    def context_length(self) -> int | None:
        """Tokens of prompt and answer; None while it is not known."""
        return self._known.context_length

    async def load(self, *, again: bool = False) -> None:
        """Have it in the engine process's memory. Raises ApiError as that process does."""
        if not again and self._known.state == "ready" and time.monotonic() - self._known_s < _FRESH_S:
            return
        self._learn(await self._ask(WireState, "/load", self.model))

    async def unload(self) -> bool:
        """Give its memory back; returns False while it is used."""
        self._known_s = -_FRESH_S
        self._learn(await self._ask(WireState, "/unload", self.model))
        return self._known.state != "ready"

    async def chat(self, request: ChatRequest) -> Answer:
        """See :class:`~chatwright.server.backends.base.Backend`."""
        return await self._begin("/chat", WireChat(model=self.model, request=request), request)

    async def complete(self, request: TextRequest) -> Answer:
        """See :class:`~chatwright.server.backends.base.Backend`."""
        return await self._begin("/complete", WireText(model=self.model, request=request), request)

    async def embed(self, inputs: Sequence[str | Sequence[int]], *, owner: str = "") -> Embeddings:
        """See :class:`~chatwright.server.backends.base.Backend`."""
        return (await self._ask(WireVectors, "/embed", self._inputs(*inputs), owner)).embeddings()

    async def inside(self, request: InsideRequest) -> Inside:
        """See :class:`~chatwright.server.backends.inside.SeesInside`."""
        return (await self._ask(WireInside, "/inside", WireInsideRequest(model=self.model, request=request))).inside

    async def encode(self, text: str) -> list[int]:
        """See :class:`~chatwright.server.backends.base.Backend`."""
        return (await self._ask(WireIds, "/encode", self._inputs(text))).ids

    async def decode(self, ids: Sequence[int]) -> str:
        """See :class:`~chatwright.server.backends.base.Backend`."""
        return (await self._ask(WireString, "/decode", self._inputs(ids))).text

    async def tokenizer_facts(self) -> TokenizerFacts:
        """See :class:`~chatwright.server.backends.base.Backend`."""
        return (await self._ask(WireFacts, "/facts", self.model)).facts

    async def count(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] = ()) -> int:
        """See :class:`~chatwright.server.backends.base.Backend`."""
        body = WireCount(model=self.model, messages=tuple(messages), tools=tuple(tools))
        return (await self._ask(WireNumber, "/count", body)).count

    async def health(self) -> Health:
        """See :class:`~chatwright.server.backends.base.Backend`."""
        try:
            self._learn(await self._ask(WireState, "/state", self.model))
        except ChatwrightError as error:
            return Health("failed", str(error))
        return Health(self._known.state, self._known.detail)

    async def close(self) -> None:
        """See :class:`~chatwright.server.backends.base.Backend`. The model stays loaded: others use it too."""
        for answer in list(self._answers):
            answer.cancel()

    def _learn(self, state: WireState) -> None:
        self._known, self._known_s, self.memory_bytes = state, time.monotonic(), state.memory_bytes

    def _inputs(self, *inputs: str | Sequence[int]) -> WireInputs:
        return WireInputs(model=self.model, inputs=[i if isinstance(i, str) else list(i) for i in inputs])

    async def _ask(self, shape: type[Shape], path: str, body: Wire, owner: str = "") -> Shape:
        answer = await self._client.post(f"/engine{path}", body.json_object(), headers={OWNER_HEADER: owner})
        try:
            return shape.model_validate(answer)
        except ValidationError:
            raise ApiError(
                502, "the engine process is another version of Chatwright; update both", code="engine_unavailable"
            ) from None

    async def _begin(self, path: str, body: Wire, request: ChatRequest | TextRequest) -> UpstreamAnswer:
        answer = UpstreamAnswer(
            self._client.stream(f"/engine{path}", body.json_object(), {OWNER_HEADER: request.owner}),
            WireParser(),
            n=int(request.sampling.get("n", 1)),
            opens_with_event=True,
            on_end=self._answers.discard,
        )
        self._answers.add(answer)
        await answer.begin()
        return answer
