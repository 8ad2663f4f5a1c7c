"""The engine without its thread: requests in, one ``step()`` at a time. Everything here runs on one thread."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from chatwright.engine.blocks import BlockManager
from chatwright.engine.generation import Generation
from chatwright.engine.request import Request
from chatwright.engine.runner import Chunk, Runner
from chatwright.engine.scheduler import Plan, Scheduler
from chatwright.engine.sequence import Sequence
from chatwright.errors import EngineError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EngineStats:
    """What the engine holds now, and what it has done so far.

    Attributes:
        running, waiting: sequences in the batch, and in the queues.
        blocks_total, blocks_used: blocks of key/value memory, and those that sequences hold.
        blocks_remembered: blocks whose contents the prefix cache can find again, used ones included.
        prompt_tokens: tokens of all prompts so far.
        cached_tokens: tokens taken from the prefix cache instead of being run.
        generated_tokens: tokens generated.
        steps: runs of the model.
        preemptions: times that a sequence lost its blocks to others.
        requests: finished requests, cancelled and failed ones included.
        cancelled, failed: how many of them were cancelled, or ended with an error.
    """

    running: int = 0
    waiting: int = 0
    blocks_total: int = 0
    blocks_used: int = 0
    blocks_remembered: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    generated_tokens: int = 0
    steps: int = 0
    preemptions: int = 0
    requests: int = 0
    cancelled: int = 0
    failed: int = 0


class EngineCore:
    """Schedules requests onto a runner.

    Args:
        runner: computes logits.
        max_num_seqs, max_batch_tokens, prefix_cache: see :class:`~chatwright.engine.engine.Engine`.
        on_leave: called with a request that has finished, was cancelled, or failed.
    """

    def __init__(
        self,
        runner: Runner,
        *,
        max_num_seqs: int,
        max_batch_tokens: int,
        prefix_cache: bool = True,
        on_leave: Callable[[Request], None] = lambda request: None,
    ) -> None:
        self.blocks = BlockManager(
            runner.num_blocks, runner.block_size, remembered=runner.num_remembered if prefix_cache else 0
        )
        self.scheduler = Scheduler(self.blocks, max_num_seqs=max_num_seqs, max_batch_tokens=max_batch_tokens)
        self._runner = runner
        self._on_leave = on_leave
        self._requests: dict[str, Request] = {}
        self._untold: dict[Generation, None] = {}  # those with new pieces, in the order of these
        self._prompt_tokens = 0
        self._generated_tokens = 0
        self._steps = 0
        self._finished = 0
        self._cancelled = 0
        self._failed = 0

    @property
    def busy(self) -> bool:
        """Whether any request is unfinished."""
        return bool(self._requests)

    def add(self, request: Request) -> None:
        """Take a request into the queue."""
        self._requests[request.id] = request
        self._prompt_tokens += request.first.prompt_length
        self.scheduler.add(request.first)

    def cancel(self, request_id: str) -> None:
        """End a request now; its place and blocks are free at once. No effect on one that is finished."""
        request = self._requests.get(request_id)
        if request is not None:
            self._cancelled += 1
            request.cancel(self.scheduler)
            self._finish(request)

    def fail(self, request: Request, error: EngineError) -> None:
        """End a request with an error."""
        self._failed += 1
        request.leave(self.scheduler)
        self._drop(request)
        request.generation.finish(None, error)

    def fail_all(self, error: EngineError) -> None:
        """End every request with an error, and forget cached contents: nobody knows what the runner has written."""
        for request in list(self._requests.values()):
            self.fail(request, error)
        self.blocks.forget()

    def step(self) -> None:
        """Schedule, run, sample, emit; does nothing without requests.

        Raises:
            Exception: whatever the runner raised; then :meth:`fail_all` is due.
        """
        if not self._requests:
            return
        plan = self.scheduler.schedule()
        assert plan.num_tokens, "requests are waiting but nothing can run"
        for source, target in plan.copies:
            self._runner.copy_block(source, target)
        work = self._chunks(plan)
        logits_NV = self._runner.run([chunk for _, chunk in work])
        self._steps += 1
        for sequence, chunk in work:  # all before any logits are looked at, which may end a request and free its blocks
            self.blocks.commit(sequence, len(chunk.tokens))
        row = 0
        for sequence, chunk in work:
            request = self._requests.get(sequence.request_id)  # None: another sequence of it failed in this very step
            if chunk.num_logits and request is not None:
                self._untold[request.generation] = None
                self._deliver(request, sequence, logits_NV[row : row + chunk.num_logits])
            row += chunk.num_logits
        # Only now, when the next run is about to give up the interpreter: whoever is woken earlier fights for it with
        # the sampling of the other sequences.
        now_s = time.monotonic()
        for generation in [generation for generation in self._untold if generation.due(now_s)]:
            del self._untold[generation]
            generation.wake(now_s)

    def stats(self) -> EngineStats:
        """Counters; may be read from another thread, where they can be a step apart from each other."""
        return EngineStats(
            running=len(self.scheduler.running),
            waiting=self.scheduler.num_waiting,
            blocks_total=self.blocks.num_blocks,
            blocks_used=self.blocks.num_blocks - self.blocks.num_free,
            blocks_remembered=self.blocks.num_remembered,
            prompt_tokens=self._prompt_tokens,
            cached_tokens=self.scheduler.num_cached_tokens,
            generated_tokens=self._generated_tokens,
            steps=self._steps,
            preemptions=self.scheduler.num_preemptions,
            requests=self._finished,
            cancelled=self._cancelled,
            failed=self._failed,
        )

    def _chunks(self, plan: Plan) -> list[tuple[Sequence, Chunk]]:
        work = []
        for sequence_id, num_tokens in plan.num_tokens.items():
            sequence = self.scheduler.running[sequence_id]
            start = sequence.num_computed
            tokens = sequence.tokens[start : start + num_tokens]
            wanted = self._requests[sequence.request_id].logits_wanted(sequence, num_tokens)
            work.append((sequence, Chunk(tokens, start, sequence.blocks, wanted)))
        return work

    def _deliver(self, request: Request, sequence: Sequence, logits_NV: np.ndarray) -> None:
        try:
            self._generated_tokens += request.receive(sequence, logits_NV, self.scheduler)
        except EngineError as error:
            self.fail(request, error)
        except Exception as error:  # a bug in one request's code must not take the others down
            log.exception("request %s failed", request.id)
            self.fail(request, EngineError(f"the request failed inside the engine: {error!r}; see the log"))
        else:
            if request.done:
                self._finish(request)

    def _finish(self, request: Request) -> None:
        self._drop(request)  # first, so that whoever gets the result finds the place free
        request.generation.finish(request.completions())

    def _drop(self, request: Request) -> None:
        del self._requests[request.id]
        self._untold.pop(request.generation, None)  # is told of its end
        self._finished += 1
        self._on_leave(request)
