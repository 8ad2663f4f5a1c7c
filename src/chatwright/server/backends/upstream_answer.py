"""An answer that another server is writing, read by a task of its own: to cancel it is to close the connection."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from pydantic import ValidationError

from chatwright.errors import ChatwrightError
from chatwright.server.backends.base import FinishReason, Piece, TokenScore, TokenUsage, ToolCallPiece
from chatwright.server.backends.reading import AnswerReader, Grammar
from chatwright.server.backends.upstream_shapes import CallDelta, ChatChoice, ChatChunk, TextChoice, TextChunk
from chatwright.server.errors import ApiError
from chatwright.server.identifiers import new_id

Lines = AbstractAsyncContextManager[AsyncIterator[str]]
_FINISHES: dict[str, FinishReason] = {
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}


class Parser(Protocol):
    """Reads events of one API.

    Attributes:
        usage: as the other server counted it, once it has said so.
        prompt_scores: of the prompt's tokens, where they were asked for and have come.
        dropped_turns: turns that the other server left out; None where it leaves that to us.
    """

    usage: TokenUsage | None
    prompt_scores: tuple[TokenScore | None, ...] | None
    dropped_turns: int | None

    def pieces(self, data: str) -> Iterable[Piece]:
        """The pieces of one event. Raises ValidationError, ApiError."""
        ...


class ChatParser:
    """Reads the events of ``/chat/completions``."""

    def __init__(self) -> None:
        self.usage: TokenUsage | None = None
        self.prompt_scores: tuple[TokenScore | None, ...] | None = None
        self.dropped_turns: int | None = None
        self._readers: dict[int, AnswerReader] = {}
        self._calls: set[tuple[int, int]] = set()

    def pieces(self, data: str) -> Iterable[Piece]:
        """See :class:`Parser`."""
        chunk = ChatChunk.model_validate_json(data)
        if chunk.error:
            raise failed_in_the_middle()
        if chunk.usage is not None:
            self.usage = chunk.usage.counted()
        return [self._piece(choice) for choice in chunk.choices]

    def _piece(self, choice: ChatChoice) -> Piece:
        # A server without a reasoning parser leaves the thoughts in the text.
        reader = self._readers.setdefault(choice.index, AnswerReader(Grammar(thinks=True)))
        read = reader.read(choice.delta.content or "", ())
        if choice.finish_reason is not None:
            read += reader.finish()
        scores = None
        if choice.logprobs is not None and choice.logprobs.content is not None:
            scores = tuple(token.score() for token in choice.logprobs.content)
        reasoning = (choice.delta.reasoning_content or choice.delta.reasoning or "") + read.reasoning
        calls = tuple(self._call(choice.index, call) for call in choice.delta.tool_calls or ())
        given = bool(choice.delta.content or reasoning or calls)
        num_tokens = len(scores) if scores is not None else int(given)
        return Piece(choice.index, read.text, reasoning, calls, num_tokens, scores, _finish(choice.finish_reason))

    def _call(self, index: int, call: CallDelta) -> ToolCallPiece:
        arguments = call.function.arguments or ""
        if (index, call.index) in self._calls:
            return ToolCallPiece(call.index, arguments)
        self._calls.add((index, call.index))
        return ToolCallPiece(call.index, arguments, call.id or new_id("call_"), call.function.name or "")


class TextParser:
    """Reads the events of ``/completions``.

    Args:
        prompt_tokens: of an answer that begins with the prompt and its scores (``echo``): how many are the prompt's,
            or -1 where the other server is to say; None for answers without the prompt.
    """

    def __init__(self, prompt_tokens: int | None = None) -> None:
        self.usage: TokenUsage | None = None
        self.prompt_scores: tuple[TokenScore | None, ...] | None = None
        self.dropped_turns: int | None = None
        self._prompt_tokens = prompt_tokens

    def pieces(self, data: str) -> Iterable[Piece]:
        """See :class:`Parser`."""
        chunk = TextChunk.model_validate_json(data)
        if chunk.error:
            raise failed_in_the_middle()
        if chunk.usage is not None:
            self.usage = chunk.usage.counted()
        return [self._piece(choice) for choice in chunk.choices]

    def _piece(self, choice: TextChoice) -> Piece:
        found = choice.logprobs.scores() if choice.logprobs is not None else None
        text = choice.text
        if self._prompt_tokens is not None and found is not None and choice.logprobs is not None:
            prompt = self._prompt_tokens if self._prompt_tokens >= 0 else self.usage.prompt if self.usage else 0
            self.prompt_scores, found = tuple(found[:prompt]), found[prompt:]
            text = "".join(choice.logprobs.tokens[prompt:])
        scores = tuple(score for score in found if score is not None) if found is not None else None
        num_tokens = len(scores) if scores is not None else int(bool(choice.text))
        return Piece(
            choice.index, text, num_tokens=num_tokens, scores=scores, finish_reason=_finish(choice.finish_reason)
        )


class UpstreamAnswer:
    """See :class:`~chatwright.server.backends.base.Answer`.

    Args:
        lines: the other server's events.
        parser: reads them.
        n: how many answers come.
        prompt_tokens: an estimate, until the other server says it.
        dropped_turns: turns that it was not sent.
        opens_with_event: the first event says that the answer has begun, and not the status already.
        on_end: called when the connection is closed.
    """

    def __init__(
        self,
        lines: Lines,
        parser: Parser,
        *,
        n: int = 1,
        prompt_tokens: int = 0,
        dropped_turns: int = 0,
        opens_with_event: bool = False,
        on_end: "Callable[[UpstreamAnswer], None]" = lambda _: None,
    ) -> None:
        self._dropped_turns = dropped_turns
        self._opens_with_event = opens_with_event
        self._lines = lines
        self._parser = parser
        self._unfinished = set(range(n))
        self._prompt_tokens = prompt_tokens
        self._completion_tokens = 0
        self._pieces: asyncio.Queue[Piece | ChatwrightError | None] = asyncio.Queue()
        self._begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._pump(), name="read an upstream's answer")
        self._task.add_done_callback(lambda _: on_end(self))

    @property
    def prompt_scores(self) -> tuple[TokenScore | None, ...] | None:
        """See :class:`~chatwright.server.backends.base.Answer`."""
        return self._parser.prompt_scores

    @property
    def dropped_turns(self) -> int:
        """See :class:`~chatwright.server.backends.base.Answer`."""
        return self._parser.dropped_turns or self._dropped_turns

    @property
    def usage(self) -> TokenUsage:
        """As the other server counts; before it has said so, by what came."""
        return self._parser.usage or TokenUsage(self._prompt_tokens, self._completion_tokens)

    async def begin(self) -> None:
        """Wait until the other server has taken the request. Raises ApiError where it has not."""
        try:
            await asyncio.shield(self._begun)
        except asyncio.CancelledError:
            self._task.cancel()
            raise

    async def __aiter__(self) -> AsyncIterator[Piece]:
        while (piece := await self._pieces.get()) is not None:
            if not isinstance(piece, Piece):
                raise piece
            yield piece

    def cancel(self) -> None:
        """Close the connection, by which the other server learns that nobody listens."""
        self._task.cancel()

    async def _pump(self) -> None:
        try:
            async with self._lines as lines:
                if not self._opens_with_event:
                    self._begun.set_result(None)
                await self._read(lines)
            if self._unfinished:
                raise failed_in_the_middle()
        except asyncio.CancelledError:  # nobody but cancel() cancels this task: it has ended as it was asked to
            for index in sorted(self._unfinished):
                self._pieces.put_nowait(Piece(index, finish_reason="cancelled"))
            if not self._begun.done():
                self._fail_to_begin(failed_in_the_middle())
        except ChatwrightError as error:
            if self._begun.done():
                self._pieces.put_nowait(error)
            else:
                self._fail_to_begin(error)
        finally:
            self._pieces.put_nowait(None)

    def _fail_to_begin(self, error: ChatwrightError) -> None:
        self._begun.set_exception(error)
        self._begun.exception()  # whoever waited may have gone: then nobody is to be told

    async def _read(self, lines: AsyncIterator[str]) -> None:
        async for line in lines:
            if not line.startswith("data:"):
                continue
            data = line.removeprefix("data:").strip()
            if data == "[DONE]":
                return
            try:
                pieces = self._parser.pieces(data)
            except ValidationError:
                raise failed_in_the_middle() from None
            if not self._begun.done():
                self._begun.set_result(None)
            for piece in pieces:
                self._completion_tokens += piece.num_tokens
                if piece.finish_reason is not None:
                    self._unfinished.discard(piece.index)
                self._pieces.put_nowait(piece)


def failed_in_the_middle() -> ApiError:
    """The other server stopped in the middle of its answer; why is its own affair."""
    return ApiError(502, "the server behind this model failed in the middle of its answer", code="upstream_error")


def _finish(reason: str | None) -> FinishReason | None:
    return None if reason is None else _FINISHES.get(reason, "stop")
