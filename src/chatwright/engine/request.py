"""One submitted request inside the engine: its sequences, its answers, and the caller who waits."""

from typing import Protocol

import numpy as np

from chatwright.engine.answer import Answer
from chatwright.engine.generation import Completion, Generation, TokenLogprob
from chatwright.engine.params import SamplingParams
from chatwright.engine.sampler import token_logprob
from chatwright.engine.scheduler import Scheduler
from chatwright.engine.sequence import Sequence

PROMPT_LOGPROBS_CHUNK = 128  # rows of logits wanted at once: 128 of 150,000 tokens are 77 MB


class Request(Protocol):
    """What the engine asks of a request, sampled or searched.

    Attributes:
        id: unique within an engine.
        generation: what the caller holds.
        first: the sequence that runs the prompt.
    """

    id: str
    generation: Generation
    first: Sequence

    @property
    def done(self) -> bool:
        """Whether every answer is finished."""
        ...

    def completions(self) -> list[Completion]:
        """The answers, once all are finished."""
        ...

    def logits_wanted(self, sequence: Sequence, num_tokens: int) -> int:
        """How many trailing rows of logits are wanted of a chunk of ``num_tokens``."""
        ...

    def receive(self, sequence: Sequence, logits_NV: np.ndarray, scheduler: Scheduler) -> int:
        """Use the rows wanted of a chunk that has just been computed.

        Args:
            sequence: the chunk's tokens are counted as computed already.
            logits_NV: float32 [logits_wanted, vocab_size]; overwritten.
            scheduler: told of forks and of what is finished.
        Returns:
            How many tokens were generated.
        """
        ...

    def cancel(self, scheduler: Scheduler) -> None:
        """End every answer where it is and leave the scheduler."""
        ...

    def leave(self, scheduler: Scheduler) -> None:
        """Give back places and blocks, whatever the state."""
        ...


class SampledRequest:
    """``n`` answers to one prompt, each sampled by itself.

    The prompt runs once; the other answers fork from it when its last logits are there, and share its blocks.

    Args:
        params: the caller's parameters.
        answers: one per answer; the first one's sequence runs the prompt.
        generation: what the caller holds.
    """

    def __init__(self, params: SamplingParams, answers: list[Answer], generation: Generation) -> None:
        self.first = answers[0].sequence
        self.id = self.first.request_id
        self.generation = generation
        self._params = params
        self._answers = {answer.sequence.id: answer for answer in answers}
        self._forked = False
        self._cached_tokens = 0
        self._prompt_logprobs: list[TokenLogprob | None] = [None]
        if params.prompt_logprobs is not None:
            self.first.use_cache = False
            self.first.max_chunk = PROMPT_LOGPROBS_CHUNK

    @property
    def done(self) -> bool:
        """Whether every answer is finished."""
        return all(answer.finish_reason is not None for answer in self._answers.values())

    def logits_wanted(self, sequence: Sequence, num_tokens: int) -> int:
        """See :class:`Request`."""
        if self._scoring(sequence):
            return num_tokens
        return 1 if num_tokens == sequence.remaining else 0

    def receive(self, sequence: Sequence, logits_NV: np.ndarray, scheduler: Scheduler) -> int:
        """See :class:`Request`."""
        if self._scoring(sequence):
            self._score_prompt(sequence, logits_NV)
            if sequence.remaining:
                return 0
        row_V = logits_NV[-1]
        if self._forked:
            self._advance(self._answers[sequence.id], row_V, scheduler)
            return 1
        self._forked = True
        self._cached_tokens = sequence.num_cached
        answers = list(self._answers.values())
        for answer in answers[1:]:
            scheduler.fork(sequence, answer.sequence)
        for answer in answers[1:]:
            self._advance(answer, row_V.copy(), scheduler)
        self._advance(answers[0], row_V, scheduler)
        return len(answers)

    def cancel(self, scheduler: Scheduler) -> None:
        """See :class:`Request`."""
        for answer in self._answers.values():
            if answer.finish_reason is None:
                self.generation.put(answer.cancel())
        self.leave(scheduler)

    def leave(self, scheduler: Scheduler) -> None:
        """See :class:`Request`."""
        for answer in self._answers.values():
            scheduler.remove(answer.sequence)

    def completions(self) -> list[Completion]:
        """See :class:`Request`."""
        scored = self._params.prompt_logprobs is not None
        prompt_logprobs = tuple(self._prompt_logprobs) if scored else None
        return [
            answer.completion(
                prompt_logprobs=prompt_logprobs,
                prompt_tokens=self.first.prompt_length,
                cached_tokens=self._cached_tokens,
            )
            for answer in self._answers.values()
        ]

    def _advance(self, answer: Answer, row_V: np.ndarray, scheduler: Scheduler) -> None:
        delta = answer.take(row_V)
        if delta.finish_reason is not None:
            scheduler.remove(answer.sequence)
        self.generation.put(delta)

    def _scoring(self, sequence: Sequence) -> bool:
        """Whether log-probabilities of the prompt are still to come."""
        wanted = self._params.prompt_logprobs is not None and sequence is self.first
        return wanted and len(self._prompt_logprobs) < sequence.prompt_length

    def _score_prompt(self, sequence: Sequence, logits_NV: np.ndarray) -> None:
        assert self._params.prompt_logprobs is not None
        first = sequence.num_computed - len(logits_NV) + 1  # the row before a token says how likely the token is
        for position, row_V in enumerate(logits_NV, first):
            # A preempted prompt starts over: what is known already is not appended again.
            if position == len(self._prompt_logprobs) and position < sequence.prompt_length:
                self._prompt_logprobs.append(
                    token_logprob(row_V, sequence.tokens[position], self._params.prompt_logprobs)
                )
