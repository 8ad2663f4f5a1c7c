"""The engine: one thread that owns the model, and a door through which any thread submits requests."""

import atexit
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from itertools import count
from typing import Self, TypeVar

from chatwright.engine.answer import Answer
from chatwright.engine.beam import BeamRequest
from chatwright.engine.core import EngineCore, EngineStats
from chatwright.engine.generation import Generation
from chatwright.engine.grammar import GrammarCompiler
from chatwright.engine.params import Constraint, SamplingParams
from chatwright.engine.request import Request, SampledRequest
from chatwright.engine.runner import Runner
from chatwright.engine.sampler import LogitsHook, fresh_seed
from chatwright.engine.sequence import Sequence as TokenSequence
from chatwright.errors import ContextLengthError, EngineError, InputError, InvalidParameterError
from chatwright.model.gpt import GPT
from chatwright.tokenizer import Tokenizer

T = TypeVar("T")
log = logging.getLogger(__name__)


class Engine:
    """Generates text for many callers at once from one model.

    Args:
        runner: computes logits; belongs to the engine from now on, which closes it.
        tokenizer: turns generated tokens into text.
        eos_ids: tokens with which the model ends an answer.
        max_num_seqs: most sequences that run together.
        max_batch_tokens: length of the pieces in which long prompts are read. Nobody who is being answered waits longer
            for the next token than two such pieces take; larger pieces read long prompts a little faster.
        max_requests: most unfinished requests, beyond which new ones are refused.
        prefix_cache: whether the beginning of a prompt is remembered and not computed again. Only prompts of the same
            owner share it.
    """

    def __init__(
        self,
        runner: Runner,
        tokenizer: Tokenizer,
        *,
        eos_ids: Sequence[int] | frozenset[int],
        max_num_seqs: int = 64,
        max_batch_tokens: int = 512,
        max_requests: int = 1024,
        prefix_cache: bool = True,
    ) -> None:
        limits = {"max_num_seqs": max_num_seqs, "max_batch_tokens": max_batch_tokens, "max_requests": max_requests}
        for name, value in limits.items():
            if value < 1:
                raise InvalidParameterError(name, f"{name} is {value}; it must be at least 1")
        self.tokenizer = tokenizer
        self.eos_ids = frozenset(eos_ids)
        self.vocab_size = runner.vocab_size
        self.max_model_len = min(runner.max_model_len, runner.num_blocks * runner.block_size)
        self._runner = runner
        self._max_num_seqs = max_num_seqs
        self._max_requests = max_requests
        self._grammars = GrammarCompiler(tokenizer, runner.vocab_size, self.eos_ids)
        self._core = EngineCore(
            runner,
            max_num_seqs=max_num_seqs,
            max_batch_tokens=max_batch_tokens,
            prefix_cache=prefix_cache,
            on_leave=self._leave,
        )
        self._ids = count()
        self._changed = threading.Condition()  # guards the fields below
        self._inbox: list[Callable[[], None]] = []  # what the engine's thread is to do before its next step
        self._unfinished = 0
        self._held = 0
        self._closing = False
        self._thread = threading.Thread(target=self._loop, name="chatwright-engine", daemon=True)
        self._thread.start()
        # A daemon thread inside a native kernel while the interpreter is torn down crashes the process.
        atexit.register(self.close)

    def submit(
        self,
        prompt_ids: Sequence[int],
        params: SamplingParams | None = None,
        *,
        owner: str = "",
        hook: LogitsHook | None = None,
    ) -> Generation:
        """Ask for an answer; returns at once (after compiling, where a constraint is new: that can take a second).

        The prompt may end in the middle of an answer, which is then continued without a seam.

        Args:
            prompt_ids: the prompt, at least one token.
            params: how to sample and when to stop; None takes the defaults.
            owner: for whom; owners take turns, and share no cached memory with each other.
            hook: changes the logits before each token is chosen, such as a watermark; log-probabilities do not show it.
        Raises:
            InputError: the prompt is empty.
            ContextLengthError: the prompt leaves no room for an answer; it is never shortened here.
            InvalidParameterError: a parameter is out of bounds for this model, or a constraint is not valid.
            EngineError: the engine is closed, or too many requests are unfinished.
        """
        params = params or SamplingParams()
        self._check_prompt(prompt_ids, params)
        params.check_vocabulary(self.vocab_size)
        if hook is not None and params.beam_width > 1:
            raise InvalidParameterError("beam_width", "a beam search takes no hook: it searches, it does not sample")
        request_id = str(next(self._ids))
        generation = Generation(lambda _: self._do(partial(self._core.cancel, request_id)))
        request = self._make_request(request_id, list(prompt_ids), params, owner, generation, hook)
        with self._changed:
            if self._closing:
                raise EngineError("the engine is closed; make a new one")
            if self._unfinished >= self._max_requests:
                raise EngineError(
                    f"the engine has {self._unfinished} unfinished requests, its limit (max_requests); try again later"
                )
            self._unfinished += 1
            self._inbox.append(partial(self._core.add, request))
            self._changed.notify()
        return generation

    def prepare(self, constraint: Constraint) -> None:
        """Compile a constraint, so that submitting it returns at once: for callers that must not wait.

        Raises:
            InvalidParameterError: it is not valid, or uses what is not supported.
            EngineError: constraints do not work here.
        """
        self._grammars.matcher(constraint)

    def call(self, function: Callable[[], T]) -> "Future[T]":
        """Run something on the engine's thread, between two steps: for whoever wants the weights (:attr:`model`).

        Answers in flight wait meanwhile, so keep it short.

        Raises:
            EngineError: the engine is closed.
        """
        future: Future[T] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(function())
            except BaseException as error:
                future.set_exception(error)

        with self._changed:
            if self._closing:
                raise EngineError("the engine is closed; make a new one")
            self._inbox.append(run)
            self._changed.notify()
        return future

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is submitted within the block starts in one step, after it.

        Which requests share a step then does not depend on the threads' timing, nor do the last bits of their logits,
        which may depend on the size of a batch. Whatever runs already waits too.
        """
        with self._changed:
            self._held += 1
        try:
            yield
        finally:
            with self._changed:
                self._held -= 1
                self._changed.notify()

    @property
    def model(self) -> GPT | None:
        """The weights as a module, as the runner holds them. To be run by :meth:`call`, or while nobody else asks."""
        return self._runner.model

    @property
    def unfinished(self) -> int:
        """How many requests were taken and are not finished."""
        with self._changed:
            return self._unfinished

    def stats(self) -> EngineStats:
        """What the engine holds and has done; cheap, from any thread."""
        return self._core.stats()

    def close(self) -> None:
        """Stop the thread and close the runner. Unfinished requests end with EngineError. May be called twice."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()
        atexit.unregister(self.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _check_prompt(self, prompt_ids: Sequence[int], params: SamplingParams) -> None:
        if len(prompt_ids) == 0:
            raise InputError("the prompt has no tokens; give at least one")
        if len(prompt_ids) >= self.max_model_len:
            raise ContextLengthError(
                f"the prompt has {len(prompt_ids)} tokens, but the model holds {self.max_model_len} with the answer; "
                "shorten the prompt",
                prompt_tokens=len(prompt_ids),
                limit=self.max_model_len,
            )
        lowest, highest = min(prompt_ids), max(prompt_ids)
        if lowest < 0 or highest >= self.vocab_size:
            bad = lowest if lowest < 0 else highest
            raise InvalidParameterError(
                "prompt_ids", f"prompt_ids has token id {bad}; the model's ids go from 0 to {self.vocab_size - 1}"
            )
        if params.beam_width > self._max_num_seqs:
            raise InvalidParameterError(
                "beam_width",
                f"beam_width is {params.beam_width}; this engine runs {self._max_num_seqs} sequences at once",
            )
        self._check_beam_memory(len(prompt_ids), params)

    def _check_beam_memory(self, prompt_tokens: int, params: SamplingParams) -> None:
        # Beams advance together, so all of them have to fit at once; other sequences can wait for each other.
        needed = params.beam_width * self._core.blocks.blocks_for(self._limit(prompt_tokens, params))
        if params.beam_width > 1 and needed > self._core.blocks.num_blocks:
            raise InvalidParameterError(
                "beam_width",
                f"{params.beam_width} beams of up to {self._limit(prompt_tokens, params)} tokens need {needed} blocks "
                f"of memory, but there are {self._core.blocks.num_blocks}; lower beam_width or max_tokens",
            )

    def _limit(self, prompt_tokens: int, params: SamplingParams) -> int:
        """Most tokens the sequence may have, prompt included."""
        if params.max_tokens is None:
            return self.max_model_len
        return min(self.max_model_len, prompt_tokens + params.max_tokens)

    def _make_request(
        self,
        request_id: str,
        prompt_ids: list[int],
        params: SamplingParams,
        owner: str,
        generation: Generation,
        hook: LogitsHook | None,
    ) -> Request:
        limit = self._limit(len(prompt_ids), params)
        end_ids = frozenset(params.stop_token_ids) | (frozenset() if params.ignore_eos else self.eos_ids)
        if params.beam_width > 1:
            return BeamRequest(
                TokenSequence(f"{request_id}.0", request_id, owner, prompt_ids, len(prompt_ids)),
                params=params,
                limit=limit,
                end_ids=end_ids,
                tokenizer=self.tokenizer,
                generation=generation,
            )
        seed = params.seed if params.seed is not None else fresh_seed()
        matcher = self._grammars.matcher(params.constraint) if params.constraint is not None else None
        answers = [
            Answer(
                TokenSequence(f"{request_id}.{index}", request_id, owner, prompt_ids.copy(), len(prompt_ids)),
                index=index,
                params=params,
                seed=seed,
                limit=limit,
                end_ids=end_ids,
                tokenizer=self.tokenizer,
                matcher=matcher.copy() if matcher is not None else None,
                hook=hook,
            )
            for index in range(params.n)
        ]
        return SampledRequest(params, answers, generation)

    def _do(self, command: Callable[[], None]) -> None:
        with self._changed:
            if not self._closing:
                self._inbox.append(command)
                self._changed.notify()

    def _leave(self, request: Request) -> None:
        with self._changed:
            self._unfinished -= 1

    def _loop(self) -> None:
        while (commands := self._next_commands()) is not None:
            try:
                for command in commands:
                    command()
                self._core.step()
            except Exception as error:
                log.exception("the model runner failed; every request in flight is ended")
                self._core.fail_all(EngineError(f"the model runner failed: {error!r}; see the log"))
        self._core.fail_all(EngineError("the engine was closed before the answer was finished"))
        self._runner.close()

    def _next_commands(self) -> list[Callable[[], None]] | None:
        """Wait until there is something to do, and return what callers asked for; None when the engine is to close."""
        with self._changed:
            while not self._closing and (self._held or not (self._inbox or self._core.busy)):
                self._changed.wait()
            commands, self._inbox = self._inbox, []
            if not self._closing:
                return commands
        for command in commands:  # so that nobody who submitted just before is forgotten
            command()
        return None
