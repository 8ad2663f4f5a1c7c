"""Several answers read as one: what a request with a list of prompts gets."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from chatwright.server.backends.base import Answer, Piece, TokenScore, TokenUsage


class JoinedAnswer:
    """Answers that are written at the same time; see :class:`~chatwright.server.backends.base.Answer`.

    Args:
        answers: in the order of their prompts.
        n: how many answers each prompt gets: those of prompt ``i`` have the indices from ``i * n``.
    """

    dropped_turns = 0
    prompt_scores: tuple[TokenScore | None, ...] | None = None  # each of the answers has its own

    def __init__(self, answers: Sequence[Answer], n: int) -> None:
        self._answers = answers
        self._n = n

    @property
    def usage(self) -> TokenUsage:
        """Tokens of all."""
        each = [answer.usage for answer in self._answers]
        return TokenUsage(
            sum(usage.prompt for usage in each),
            sum(usage.completion for usage in each),
            sum(usage.cached for usage in each),
            sum(usage.reasoning for usage in each),
        )

    async def __aiter__(self) -> AsyncIterator[Piece]:
        # Bounded, so that a reader who is slow slows the writers' tasks and not the memory.
        queue: asyncio.Queue[Piece | BaseException | None] = asyncio.Queue(maxsize=64)
        tasks = [
            asyncio.create_task(_pump(answer, position * self._n, queue))
            for position, answer in enumerate(self._answers)
        ]
        try:
            unfinished = len(tasks)
            while unfinished:
                item = await queue.get()
                if item is None:
                    unfinished -= 1
                elif isinstance(item, BaseException):
                    raise item
                else:
                    yield item
        finally:
            self.cancel()
            for task in tasks:
                task.cancel()

    def cancel(self) -> None:
        """Stop all of them."""
        for answer in self._answers:
            answer.cancel()


async def _pump(answer: Answer, offset: int, queue: "asyncio.Queue[Piece | BaseException | None]") -> None:
    try:
        async for piece in answer:
            await queue.put(replace(piece, index=piece.index + offset))
    except Exception as error:
        await queue.put(error)
    else:
        await queue.put(None)
