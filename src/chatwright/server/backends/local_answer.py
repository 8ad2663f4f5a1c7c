"""An answer that the engine in this process is writing: its deltas read into text, thoughts and tool calls."""

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

from chatwright.engine.generation import Delta, Generation
from chatwright.server.backends.base import FinishReason, Piece, TokenScore, TokenUsage
from chatwright.server.backends.reading import Read, Reader
from chatwright.server.backends.scores import scored
from chatwright.tokenizer import Tokenizer


class LocalAnswer:
    """See :class:`~chatwright.server.backends.base.Answer`.

    Args:
        generation: of the engine.
        tokenizer: gives tokens their text where scores are asked for.
        readers: one per answer (``n``), in the order of their index.
        prompt_tokens: length of the prompt.
        dropped_turns: turns that the prompt leaves out.
    """

    def __init__(
        self,
        generation: Generation,
        tokenizer: Tokenizer,
        readers: Sequence[Reader],
        *,
        prompt_tokens: int,
        dropped_turns: int = 0,
    ) -> None:
        self.dropped_turns = dropped_turns
        self.prompt_scores: tuple[TokenScore | None, ...] | None = None
        self._generation = generation
        self._tokenizer = tokenizer
        self._readers = readers
        self._prompt_tokens = prompt_tokens
        self._completion_tokens = 0
        self._reasoning_tokens = 0
        self._cached_tokens = 0
        self._unshown = [0] * len(readers)  # tokens whose text is held back

    @property
    def usage(self) -> TokenUsage:
        """Tokens so far; final after the last piece."""
        return TokenUsage(self._prompt_tokens, self._completion_tokens, self._cached_tokens, self._reasoning_tokens)

    async def __aiter__(self) -> AsyncIterator[Piece]:
        async with aclosing(self._generation.batches()) as batches:
            async for deltas in batches:
                for index, written in _by_answer(deltas).items():
                    if (piece := self._read(index, written)) is not None:
                        yield piece
        completion = self._generation.result()[0]
        self._cached_tokens = completion.cached_tokens
        if completion.prompt_logprobs is not None:
            self.prompt_scores = tuple(
                None if entry is None else scored(self._tokenizer, entry) for entry in completion.prompt_logprobs
            )

    def cancel(self) -> None:
        """Stop generating; the engine's place is free within a step."""
        self._generation.cancel()

    def _read(self, index: int, deltas: Sequence[Delta]) -> Piece | None:
        """The piece that deltas of one answer make; None where nothing can be shown yet."""
        reader, finish_reason = self._readers[index], deltas[-1].finish_reason
        read = Read()
        for delta in deltas:
            self._completion_tokens += len(delta.token_ids)
            if reader.in_reasoning:
                self._reasoning_tokens += len(delta.token_ids)
            self._unshown[index] += len(delta.token_ids)
            read += reader.read(delta.text, delta.token_ids)
        if finish_reason is not None:
            read += reader.finish()
        scores = None
        if deltas[0].logprobs is not None:
            scores = tuple(scored(self._tokenizer, entry) for delta in deltas for entry in delta.logprobs or ())
        if not (read or scores or finish_reason):
            return None
        num_tokens, self._unshown[index] = self._unshown[index], 0
        finish: FinishReason | None = finish_reason
        if finish == "stop" and reader.has_calls:
            finish = "tool_calls"
        return Piece(index, read.text, read.reasoning, read.tool_calls, num_tokens, scores, finish)


def _by_answer(deltas: Sequence[Delta]) -> dict[int, list[Delta]]:
    found: dict[int, list[Delta]] = {}
    for delta in deltas:
        found.setdefault(delta.index, []).append(delta)
    return found
