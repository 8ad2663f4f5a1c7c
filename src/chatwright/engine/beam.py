"""Beam search: the most likely answers, found by forking sequences instead of sampling.

Each step extends every beam by its most likely tokens and keeps the ``beam_width`` best of all extensions. An extension
by an end token, or one that completes a stop string, is a finished answer. The search ends when no beam can overtake
the worst of the ``beam_width`` best finished answers any more, or at the length limit.
"""

import numpy as np

from chatwright.engine.answer import primed_detokenizer
from chatwright.engine.generation import Completion, Delta, FinishReason, Generation
from chatwright.engine.params import SamplingParams
from chatwright.engine.sampler import log_sum_exp, top_logprobs
from chatwright.engine.scheduler import Scheduler
from chatwright.engine.sequence import Sequence
from chatwright.engine.stop import StopStrings
from chatwright.errors import EngineError
from chatwright.tokenizer import Tokenizer

Candidate = tuple[float, int, int]  # summed log-probability, index of the beam, next token


class BeamRequest:
    """One prompt, searched.

    Answers come at the end, all at once, best first; scores are summed log-probability / length ** length_penalty, with
    the length in generated tokens, an end token included.

    Args:
        sequence: the prompt.
        params: ``beam_width`` > 1.
        limit: most tokens a sequence may have, prompt included.
        end_ids: tokens that end an answer.
        tokenizer: turns tokens into text.
        generation: what the caller holds.
    """

    def __init__(
        self,
        sequence: Sequence,
        *,
        params: SamplingParams,
        limit: int,
        end_ids: frozenset[int],
        tokenizer: Tokenizer,
        generation: Generation,
    ) -> None:
        self.id = sequence.request_id
        self.first = sequence
        self.generation = generation
        self._done = False
        sequence.slots = params.beam_width
        self._beams = sequence.group
        self._width = params.beam_width
        self._room = params.beam_width  # how many beams may go on
        self._params = params
        self._limit = limit
        self._end_ids = end_ids
        self._tokenizer = tokenizer
        self._stop_bytes = [string.encode() for string in params.stop]
        self._scores = [0.0]
        self._candidates: dict[int, list[Candidate]] = {}  # of the beams whose logits are there
        self._finished: list[tuple[float, list[int], FinishReason]] = []
        self._completions: list[Completion] = []
        self._cached_tokens: int | None = None

    @property
    def done(self) -> bool:
        """Whether the search has ended."""
        return self._done

    def logits_wanted(self, sequence: Sequence, num_tokens: int) -> int:
        """See :class:`~chatwright.engine.request.Request`."""
        return 1 if num_tokens == sequence.remaining else 0

    def receive(self, sequence: Sequence, logits_NV: np.ndarray, scheduler: Scheduler) -> int:
        """See :class:`~chatwright.engine.request.Request`."""
        if self._cached_tokens is None:
            self._cached_tokens = sequence.num_cached
        row_V = logits_NV[-1]
        norm = log_sum_exp(row_V)
        if not np.isfinite(norm):
            raise EngineError("the logits are not finite: the model's weights or the number format are broken")
        beam = self._beams.index(sequence)
        # Even if a beam's best tokens are all the end tokens, enough live extensions are left.
        top = top_logprobs(row_V, norm, 2 * self._width + len(self._end_ids))
        self._candidates[beam] = [(self._scores[beam] + logprob, beam, token) for token, logprob in top]
        if len(self._candidates) < len(self._beams) or any(beam.remaining for beam in self._beams):
            return 0  # after a preemption, beams may be computed again in different steps
        return self._advance(scheduler)

    def cancel(self, scheduler: Scheduler) -> None:
        """See :class:`~chatwright.engine.request.Request`."""
        for score, beam in zip(self._scores, self._beams, strict=True):
            self._finish_answer(score, beam.tokens, "cancelled")
        self._end(scheduler)

    def completions(self) -> list[Completion]:
        """See :class:`~chatwright.engine.request.Request`."""
        return self._completions

    def leave(self, scheduler: Scheduler) -> None:
        """See :class:`~chatwright.engine.request.Request`."""
        for beam in self._beams.copy():
            scheduler.remove(beam)

    def _advance(self, scheduler: Scheduler) -> int:
        """Replace the beams by their best extensions."""
        pooled = sorted(
            (candidate for candidates in self._candidates.values() for candidate in candidates),
            key=lambda candidate: (-candidate[0], candidate[1], candidate[2]),
        )
        self._candidates.clear()
        tails = [self._tail(beam) for beam in self._beams]
        live: list[Candidate] = []
        late: list[Candidate] = []
        for rank, candidate in enumerate(pooled):
            if rank >= self._width and len(live) >= self._room:
                break
            if not self._ends(candidate, tails):
                live.append(candidate)
            elif rank < self._width:
                self._finish_candidate(candidate)
            else:  # an end that is not among the best extensions is no answer worth keeping
                late.append(candidate)
        if not live:  # unless nothing goes on
            for candidate in late:
                self._finish_candidate(candidate)
            self._end(scheduler)
            return 0
        live = live[: self._room]
        self._extend(live, scheduler)
        if len(self._beams[0].tokens) >= self._limit:
            for score, beam_sequence in zip(self._scores, self._beams, strict=True):
                self._finish_answer(score, beam_sequence.tokens, "length")
            self._end(scheduler)
        elif self._settled():
            self._end(scheduler)
        return len(live)

    def _tail(self, beam: Sequence) -> bytes:
        """The end of a beam's answer, as many bytes as a stop string may have begun with."""
        wanted = max(map(len, self._stop_bytes), default=1) - 1
        tail = b""
        for token in reversed(beam.tokens[self._prompt_length :]):
            if len(tail) >= wanted:
                break
            if token not in self._tokenizer.special_ids:
                tail = self._tokenizer.token_bytes(token) + tail
        return tail

    def _ends(self, candidate: Candidate, tails: list[bytes]) -> bool:
        _, beam, token = candidate
        if token in self._end_ids:
            return True
        if not self._stop_bytes or token in self._tokenizer.special_ids:
            return False
        text = tails[beam] + self._tokenizer.token_bytes(token)
        return any(string in text for string in self._stop_bytes)

    def _extend(self, live: list[Candidate], scheduler: Scheduler) -> None:
        blocks = scheduler.blocks
        for index in range(len(self._beams), len(live)):  # the first step: the prompt's sequence becomes many
            first = self.first
            child = Sequence(f"{self.id}.{index}", self.id, first.owner, first.tokens.copy(), first.prompt_length)
            child.group = self._beams
            scheduler.fork(first, child)
            self._beams.append(child)
        parents = [(beam.tokens, beam.blocks, beam.digests) for beam in self._beams]
        for beam, (_, parent, token) in zip(self._beams, live, strict=False):
            tokens, table, digests = parents[parent]
            beam.tokens = [*tokens, token]
            beam.blocks = blocks.share(table)
            beam.digests = digests.copy()
        for _, table, _ in parents[: len(live)]:  # only now: a table may have been shared by any of the beams
            blocks.release_blocks(table)
        for beam in self._beams[len(live) :]:  # stop strings have ended more extensions than there are others
            scheduler.remove(beam)
        del self._beams[len(live) :]
        self._room = len(live)
        self._scores = [score for score, _, _ in live]

    def _settled(self) -> bool:
        """Whether no beam can become better than the worst of the best finished answers."""
        if len(self._finished) < self._width:
            return False
        worst = sorted((score for score, _, _ in self._finished), reverse=True)[self._width - 1]
        # Log-probabilities only fall. Divided by a growing length they may still rise: then the longest length counts.
        length = (
            self._limit if self._params.length_penalty > 0 else len(self._beams[0].tokens) + 1
        ) - self._prompt_length
        return bool(self._scores[0] / length**self._params.length_penalty <= worst)

    @property
    def _prompt_length(self) -> int:
        return self.first.prompt_length

    def _finish_candidate(self, candidate: Candidate) -> None:
        score, beam, token = candidate
        self._finish_answer(score, [*self._beams[beam].tokens, token], "stop")

    def _finish_answer(self, score: float, tokens: list[int], reason: FinishReason) -> None:
        answer = tokens[self._prompt_length :]
        self._finished.append((score / max(len(answer), 1) ** self._params.length_penalty, answer, reason))

    def _end(self, scheduler: Scheduler) -> None:
        self.leave(scheduler)
        self._done = True
        self._finished.sort(key=lambda answer: -answer[0])
        best = self._finished[: self._params.n]
        self._completions = [self._completion(index, *answer) for index, answer in enumerate(best)]
        for answer in self._completions:
            self.generation.put(Delta(answer.index, answer.text, answer.token_ids, None, answer.finish_reason))

    def _completion(self, index: int, score: float, answer: list[int], reason: FinishReason) -> Completion:
        detokenizer = primed_detokenizer(self._tokenizer, self.first.tokens[: self._prompt_length])
        visible = [token for token in answer if token not in self._end_ids]
        stop = StopStrings(self._params.stop)
        text, stopped = stop.push("".join(map(detokenizer.push, visible)) + detokenizer.flush())
        if not stopped:
            text += stop.flush()
        return Completion(
            index=index,
            text=text,
            token_ids=tuple(answer),
            finish_reason=reason,
            score=score,
            prompt_tokens=self._prompt_length,
            cached_tokens=self._cached_tokens or 0,
        )
