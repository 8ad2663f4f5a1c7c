"""A conversation: what was said, what the model answers next, and how to go back, go on, and pick it up again."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from chatwright.chat import Message, Policy
from chatwright.conversation_file import read_conversation, write_conversation
from chatwright.engine.params import SamplingParams
from chatwright.errors import EngineError, InputError, InvalidParameterError, UnsupportedModelError
from chatwright.model.resolve import resolve_model

if TYPE_CHECKING:
    from chatwright.engine.generation import Completion, FinishReason, Generation
    from chatwright.loaded import LoadedModel


@dataclass(frozen=True, slots=True)
class Reply:
    """A finished answer and what it took.

    Attributes:
        text: the answer.
        finish_reason: "stop" (the model ended it, or a stop string), "length" (max_tokens or the context), "cancelled".
        prompt_tokens: tokens of the prompt, the conversation so far included.
        cached_tokens: how many of them were remembered from earlier turns.
        completion_tokens: tokens generated.
        dropped_turns: turns left out of the prompt because the conversation outgrew the context.
        first_token_s: seconds from the question to the first text.
        total_s: seconds from the question to the end.
    """

    text: str
    finish_reason: "FinishReason"
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    dropped_turns: int
    first_token_s: float
    total_s: float

    @property
    def tokens_per_second(self) -> float | None:
        """Speed after the first token; None for answers too short to tell."""
        seconds = self.total_s - self.first_token_s
        return (self.completion_tokens - 1) / seconds if self.completion_tokens > 1 and seconds > 0 else None


@dataclass(slots=True)
class _Turn:
    """One generation from question to end: how to start it, and how to leave the conversation whatever happens."""

    prompt_ids: list[int]
    dropped_turns: int
    params: SamplingParams
    restore: list[Message]  # the conversation, should no text come
    begun: str = ""  # what a continued answer has so far, as text and as tokens
    begun_ids: tuple[int, ...] | None = ()  # None: its tokens are not known


class Chat:
    """A conversation with a model.

    ``Chat()`` finds the model at once, and raises at once when there is none; its weights are loaded by the first
    question, or by :meth:`load_model`. One question at a time; :meth:`cancel` may be called from any thread.

    Args:
        model: None for the embedded default; a folder, a ``.gguf`` file or a name; or an open
            :class:`~chatwright.loaded.LoadedModel`, which several chats may share and which its opener closes.
        system: instructions that precede the conversation.
        device: "auto", "cpu", "cuda", "mps", …
        dtype: "auto", "float32", "bfloat16", …
        threads: processor threads; None leaves it to the machine.
        max_model_len: longest context in tokens; None takes the model's own, as far as memory allows.
        context_policy: when the conversation outgrows the context, "drop_oldest" leaves out the oldest turns (never the
            system message) and says so in :attr:`Reply.dropped_turns`; "error" raises ContextLengthError.
        sampling: defaults for every question, over those that the model's makers advise; names as in
            :class:`~chatwright.SamplingParams`.

    Attributes:
        messages: the conversation, oldest first; assign to it to replace it.
        last_reply: what the latest answer took; None before the first.
        sampling: the defaults given; may be changed between questions.
        context_policy: as given.

    Raises:
        ModelNotFoundError: there is no such model on this machine.
        InvalidParameterError: an option or sampling value is not allowed.
    """

    def __init__(
        self,
        model: "str | Path | LoadedModel | None" = None,
        *,
        system: str | None = None,
        device: str = "auto",
        dtype: str = "auto",
        threads: int | None = None,
        max_model_len: int | None = None,
        context_policy: Policy = "drop_oldest",
        **sampling: Any,
    ) -> None:
        if context_policy not in ("error", "drop_oldest"):
            raise InvalidParameterError(
                "context_policy", f"context_policy is {context_policy!r}; it must be 'error' or 'drop_oldest'"
            )
        self._loaded: LoadedModel | None = None
        self._owns_model = model is None or isinstance(model, (str, Path))
        if model is None or isinstance(model, (str, Path)):
            self._source = resolve_model(model)
        else:
            self._loaded, self._source = model, model.source
        self._options: dict[str, Any] = {
            "device": device,
            "dtype": dtype,
            "threads": threads,
            "max_model_len": max_model_len,
        }
        if self._loaded is not None:
            for name, value in self._options.items():
                if value not in (None, "auto"):
                    raise InvalidParameterError(
                        name, f"{name} has no effect on a model that is open already; give it to LoadedModel.open"
                    )
        self.context_policy = context_policy
        SamplingParams().replace(**sampling)  # a bad value is refused here, not at the first question
        self.sampling = sampling
        self.messages: list[Message] = []
        self.system = system
        self.last_reply: Reply | None = None
        self._answer_ids: tuple[int, ...] | None = None  # of the latest answer, to continue it without a seam
        self._busy = threading.Lock()
        self._generation: Generation | None = None

    @property
    def system(self) -> str | None:
        """The instructions that precede the conversation; may be changed at any time."""
        first = self.messages[0] if self.messages else None
        return first.content if first is not None and first.role == "system" else None

    @system.setter
    def system(self, text: str | None) -> None:
        rest = [message for message in self.messages if message.role != "system"]
        self.messages = [Message("system", text), *rest] if text else rest

    @property
    def model_name(self) -> str:
        """The model's file or folder name."""
        return self._source.stem if self._source.suffix == ".gguf" else self._source.name

    def load_model(self) -> "LoadedModel":
        """Load the model now instead of with the first question.

        Raises:
            ModelFormatError, UnsupportedModelError, StorageError, TemplateError: the model cannot be used.
        """
        if self._loaded is None:
            from chatwright.loaded import LoadedModel
            from chatwright.model.score_head import has_score_head

            if has_score_head(self._source):
                raise UnsupportedModelError(
                    f"{self._source} is a classifier or a reward model: it scores texts and writes none; "
                    "open it with chatwright.Classifier, or measure it with `chatwright eval`"
                )
            self._loaded = LoadedModel.open(self._source, **self._options)
        return self._loaded

    @property
    def effective_sampling(self) -> SamplingParams:
        """What a question is answered with: the model's own defaults, and over them this chat's."""
        return self._effective(self.load_model(), self.sampling)

    def ask(self, text: str, **sampling: Any) -> Reply:
        """Ask and wait for the whole answer. Arguments and errors as for :meth:`stream`."""
        for _ in self.stream(text, **sampling):
            pass
        assert self.last_reply is not None
        return self.last_reply

    def stream(self, text: str, **sampling: Any) -> Iterator[str]:
        """Ask, and get the answer piece by piece.

        The question and the answer are added to :attr:`messages`; if the iteration is left early, the answer as far as
        it came. If nothing came, the conversation is as it was before.

        Args:
            text: the question.
            sampling: as in :class:`~chatwright.SamplingParams`, for this question only.

        Returns:
            An iterator over pieces of text; :attr:`last_reply` holds the rest when it ends.

        Raises:
            InputError: the question is empty, not valid text, or larger than any context.
            InvalidParameterError: a sampling value is not allowed.
            ContextLengthError: the conversation does not fit, by the policy "error" or without droppable turns.
            EngineError: another question is being answered.
        """
        question = Message("user", text)
        if not text.strip():
            raise InputError("the message is empty; write something")
        before = list(self.messages)
        return self._start([*before, question], before, sampling)

    def regenerate(self, **sampling: Any) -> Iterator[str]:
        """Answer the latest question anew, in place of the answer it has.

        Raises:
            InputError: there is no question yet. Others as for :meth:`stream`.
        """
        before = list(self.messages)
        kept = list(before)
        while kept and kept[-1].role == "assistant":
            kept.pop()
        if not kept or kept[-1].role != "user":
            raise InputError("there is no question to answer again")
        return self._start(kept, before, sampling)

    def continue_(self, **sampling: Any) -> Iterator[str]:
        """Go on with the latest answer where it stopped, as if it had never been cut.

        Raises:
            InputError: there is no answer to go on with. Others as for :meth:`stream`.
        """
        if not self.messages or self.messages[-1].role != "assistant":
            raise InputError("there is no answer to continue")
        loaded, params = self._prepare(sampling)
        before = list(self.messages)
        begun = before[-1].content or ""
        turn = _Turn([], 0, params, restore=before, begun=begun, begun_ids=self._known_ids(begun))
        if turn.begun_ids is not None:
            turn.prompt_ids = loaded.template.render_continuation(before[:-1], turn.begun_ids).ids
        if not 0 < len(turn.prompt_ids) < loaded.engine.max_model_len:
            fitted = loaded.fit(before, self.context_policy, params.max_tokens, continue_final=True)
            turn.prompt_ids, turn.dropped_turns = fitted.rendered.ids, fitted.dropped_turns
        return self._run(loaded, before[:-1], turn)

    def cancel(self) -> None:
        """Stop the answer that is being written, if there is one; from any thread."""
        if self._generation is not None:
            self._generation.cancel()

    def clear(self) -> None:
        """Forget the conversation; the system message stays."""
        self.messages = [message for message in self.messages if message.role == "system"]
        self._answer_ids = None

    def save(self, path: str | Path) -> None:
        """Write the conversation as JSON. Raises StorageError when it cannot be written."""
        write_conversation(Path(path), self.messages, model=self.model_name)

    def load(self, path: str | Path) -> None:
        """Replace the conversation by a saved one. Raises InputError when the file is not one."""
        self.messages = read_conversation(Path(path))
        self._answer_ids = None

    def close(self) -> None:
        """Free the model's memory and threads, unless others share it. May be called twice."""
        if self._loaded is not None and self._owns_model:
            self._loaded.close()
            self._loaded = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _prepare(self, sampling: dict[str, Any]) -> "tuple[LoadedModel, SamplingParams]":
        if self._busy.locked():
            raise EngineError("this chat is writing an answer; wait for its end or cancel it")
        loaded = self.load_model()
        params = self._effective(loaded, {**self.sampling, **sampling})
        if params.n != 1:
            raise InvalidParameterError("n", f"n is {params.n}; a chat has one answer at a time")
        params = params.replace(stop=tuple(dict.fromkeys((*params.stop, *loaded.template.stop_texts))))
        return loaded, params

    @staticmethod
    def _effective(loaded: "LoadedModel", wishes: dict[str, Any]) -> SamplingParams:
        """The caller's wishes over the makers' advice, which is on sampling: a beam search takes none."""
        searches = SamplingParams().replace(beam_width=wishes.get("beam_width", 1)).beam_width > 1
        return (SamplingParams() if searches else loaded.sampling).replace(**wishes)

    def _start(self, messages: list[Message], before: list[Message], sampling: dict[str, Any]) -> Iterator[str]:
        loaded, params = self._prepare(sampling)
        fitted = loaded.fit(messages, self.context_policy, params.max_tokens)
        return self._run(loaded, messages, _Turn(fitted.rendered.ids, fitted.dropped_turns, params, restore=before))

    def _run(self, loaded: "LoadedModel", messages: list[Message], turn: _Turn) -> Iterator[str]:
        """Generate one answer to ``messages``. A generator: nothing is submitted before the first piece is wanted."""
        with self._one_at_a_time():
            started = time.perf_counter()
            first_token_s: float | None = None
            generation = loaded.engine.submit(turn.prompt_ids, turn.params)
            self._generation = generation
            try:
                for delta in generation:
                    if delta.text:
                        if first_token_s is None:
                            first_token_s = time.perf_counter() - started
                        yield delta.text
            finally:
                generation.cancel()  # no effect on a finished one
                total_s = time.perf_counter() - started
                self._settle(messages, turn, generation.result()[0], first_token_s or total_s, total_s)

    def _settle(
        self, messages: list[Message], turn: _Turn, completion: "Completion", first_token_s: float, total_s: float
    ) -> None:
        """Keep what came, whether the answer was finished or left early."""
        text = turn.begun + completion.text
        self.last_reply = Reply(
            text=text,
            finish_reason=completion.finish_reason,
            prompt_tokens=completion.prompt_tokens,
            cached_tokens=completion.cached_tokens,
            completion_tokens=len(completion.token_ids),
            dropped_turns=turn.dropped_turns,
            first_token_s=first_token_s,
            total_s=total_s,
        )
        if not text:
            self.messages = turn.restore
            return
        self.messages = [*messages, Message("assistant", text)]
        assert self._loaded is not None
        ends = self._loaded.engine.eos_ids
        new_ids = tuple(token for token in completion.token_ids if token not in ends)
        # A stop string is among the tokens, but not in the text that a continuation has to follow.
        stopped_by_text = completion.finish_reason == "stop" and ends.isdisjoint(completion.token_ids[-1:])
        begun_ids = None if stopped_by_text else turn.begun_ids
        self._answer_ids = None if begun_ids is None else (*begun_ids, *new_ids)

    def _known_ids(self, text: str) -> tuple[int, ...] | None:
        """The tokens of the latest answer, if it is the one that was generated here and nobody has edited it."""
        return self._answer_ids if self.last_reply is not None and self.last_reply.text == text else None

    @contextmanager
    def _one_at_a_time(self) -> Iterator[None]:
        if not self._busy.acquire(blocking=False):
            raise EngineError("this chat is writing an answer; wait for its end or cancel it")
        try:
            yield
        finally:
            self._generation = None
            self._busy.release()
