"""What a caller holds while an answer is being written: pieces to iterate over, a result to wait for, a way to stop."""

import asyncio
import contextlib
import math
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Final, Literal

from chatwright.errors import EngineError

FinishReason = Literal["stop", "length", "cancelled"]

# An event loop is told of an answer's first piece and its end at once, and of what grows in between at most so often:
# faster than eyes follow, and each time costs a processor that the other answers could use.
TELL_EVERY_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """How likely the model found a token.

    All log-probabilities (nats) are of the model's own distribution: the log-softmax of its logits at temperature 1,
    before penalties, biases, truncation and constraints. They so compare across requests and settings.

    Attributes:
        token_id: the token.
        logprob: its log-probability.
        top: the most likely tokens at this place and their log-probabilities, best first.
    """

    token_id: int
    logprob: float
    top: tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of an answer.

    Attributes:
        index: which of the ``n`` answers.
        text: characters that follow what came before; may be empty while a character or stop string is incomplete.
        token_ids: tokens generated since the last piece, an end token included.
        logprobs: one entry per token of ``token_ids``, where asked for.
        finish_reason: set on the last piece: "stop" (end token, stop string, or a complete constrained answer),
            "length" (max_tokens or the context), or "cancelled".
    """

    index: int
    text: str
    token_ids: tuple[int, ...]
    logprobs: tuple[TokenLogprob, ...] | None = None
    finish_reason: FinishReason | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """A whole answer.

    Attributes:
        index: which of the ``n`` answers.
        text: the answer, without stop string and control tokens.
        token_ids: every generated token, an end token included.
        finish_reason: as in :class:`Delta`.
        logprobs: one entry per token, where asked for.
        prompt_logprobs: one entry per prompt token (the first is None: nothing precedes it), where asked for.
        score: for a beam search, the length-penalised log-probability by which answers are ordered.
        prompt_tokens: length of the prompt.
        cached_tokens: how many of them were in the prefix cache.
    """

    index: int
    text: str
    token_ids: tuple[int, ...]
    finish_reason: FinishReason
    logprobs: tuple[TokenLogprob, ...] | None = None
    prompt_logprobs: tuple[TokenLogprob | None, ...] | None = None
    score: float | None = None
    prompt_tokens: int = 0
    cached_tokens: int = 0


class Generation:
    """One submitted request. Iterate over it (``for`` or ``async for``) or wait for its result; from any thread.

    Leaving an iteration early (``break``, an exception, a cancelled task) cancels the generation: whoever walks away
    does not leave a model running. Iterate once; pieces go to whoever takes them first.

    Args:
        cancel: called when the caller wants no more.
    """

    def __init__(self, cancel: Callable[["Generation"], None]) -> None:
        self._cancel = cancel
        self._pieces: SimpleQueue[Delta | None] = SimpleQueue()  # None: nothing follows
        self._completions: list[Completion] = []
        self._error: EngineError | None = None
        self._done = threading.Event()
        self._wake: Callable[[], None] | None = None  # set while an event loop waits
        self._told_s = -math.inf

    def __iter__(self) -> Iterator[Delta]:
        try:
            while (delta := self._pieces.get()) is not None:
                yield delta
            self._end()
        finally:
            if not self.done:
                self.cancel()

    async def __aiter__(self) -> AsyncIterator[Delta]:
        batches = self.batches()
        try:
            async for deltas in batches:
                for delta in deltas:
                    yield delta
        finally:
            await batches.aclose()

    async def batches(self) -> AsyncGenerator[list[Delta], None]:
        """The pieces as they come, those together that have come together; like ``async for`` besides."""
        loop, pieces = asyncio.get_running_loop(), self._pieces
        waiter: asyncio.Future[None] | None = None

        def arrived() -> None:
            if waiter is not None and not waiter.done():
                waiter.set_result(None)

        def wake() -> None:
            try:
                loop.call_soon_threadsafe(arrived)
            except RuntimeError:  # the loop was closed meanwhile: nobody listens any more
                self.cancel()

        ended = False
        try:
            while not ended:
                if pieces.empty():
                    waiter, self._wake = loop.create_future(), wake  # only while waiting: waking costs a system call
                    if pieces.empty():  # or a piece that was put in between would be missed
                        await waiter
                    self._wake = waiter = None
                deltas = []
                with contextlib.suppress(Empty):
                    while (delta := pieces.get_nowait()) is not None:
                        deltas.append(delta)
                    ended = True
                if deltas:
                    yield deltas
            self._end()
        finally:
            self._wake = None
            if not self.done:
                self.cancel()

    @property
    def done(self) -> bool:
        """Whether the result is known."""
        return self._done.is_set()

    def cancel(self) -> None:
        """Stop generating; the place and the memory are free within one step. No effect on what is finished."""
        self._cancel(self)

    def result(self, timeout_s: float | None = None) -> list[Completion]:
        """Wait for the end and return the answers, in the order of their index. Ctrl-C while waiting cancels.

        Raises:
            EngineError: the engine was closed or failed, or ``timeout_s`` passed.
        """
        try:
            finished = self._done.wait(timeout_s)
        except BaseException:
            self.cancel()
            raise
        if not finished:
            raise EngineError(f"no result within {timeout_s} s; the generation goes on until it is cancelled")
        self._raise_error()
        return self._completions

    async def wait(self) -> list[Completion]:
        """Like :meth:`result`, for asynchronous callers; a cancelled task cancels the generation."""
        async for _ in self:
            pass
        return self.result()

    # The engine's side: called on its thread only.

    def put(self, delta: Delta) -> None:
        """Hand a piece to the caller, who sees it at the next :meth:`wake` where an event loop waits."""
        self._pieces.put(delta)

    def finish(self, completions: list[Completion] | None, error: EngineError | None = None) -> None:
        """Hand over the result, or what went wrong; nothing follows."""
        if completions is not None:
            self._completions = completions
        self._error = error
        self._done.set()
        self._pieces.put(None)
        self.wake()

    def _raise_error(self) -> None:
        if self._error is not None:
            # A fresh exception for every caller: one object raised in two threads would mix their tracebacks.
            raise type(self._error)(str(self._error)) from self._error

    def _end(self) -> None:
        self._pieces.put(None)  # for whoever iterates again: ends at once
        self._raise_error()

    def due(self, now_s: float) -> bool:
        """Whether a waiting event loop is to be told of new pieces already."""
        return now_s - self._told_s >= TELL_EVERY_S

    def wake(self, now_s: float = -math.inf) -> None:
        """Tell a waiting event loop that there are pieces."""
        self._told_s = now_s
        wake = self._wake
        if wake is not None:
            wake()
