"""What the server asks of whatever generates, and what it gets: one form for the own engine and for other servers."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np

from chatwright.chat import Message, Policy
from chatwright.engine.params import Constraint
from chatwright.server.errors import ApiError

FinishReason = Literal["stop", "length", "tool_calls", "content_filter", "cancelled"]


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A chat to be answered.

    Attributes:
        messages: the whole conversation.
        sampling: what the caller set, by the names of :class:`~chatwright.engine.SamplingParams`; what is absent is
            the model's makers' advice.
        tools: JSON schemas of functions, in OpenAI's form.
        tool_choice: "auto", "none", "required", or the name of the one function to call.
        parallel_tool_calls: whether the model may call several at once.
        constraint: what the answer must be (response_format); None is free text.
        context_policy: what is done when the chat does not fit.
        continue_final: the last message is the beginning of the answer.
        template_variables: further variables of the chat template, such as ``enable_thinking``.
        owner: whose turn it is, and who shares cached prefixes: the user's id.
    """

    messages: tuple[Message, ...]
    sampling: Mapping[str, Any] = field(default_factory=dict)
    tools: tuple[Mapping[str, Any], ...] = ()
    tool_choice: str = "auto"
    parallel_tool_calls: bool = True
    constraint: Constraint | None = None
    context_policy: Policy = "error"
    continue_final: bool = False
    template_variables: Mapping[str, Any] = field(default_factory=dict)
    owner: str = ""


@dataclass(frozen=True, slots=True)
class TextRequest:
    """A text, or token ids, to be continued. ``sampling`` may hold ``prompt_logprobs``; other fields as above."""

    prompt: str | tuple[int, ...]
    sampling: Mapping[str, Any] = field(default_factory=dict)
    constraint: Constraint | None = None
    owner: str = ""


@dataclass(frozen=True, slots=True)
class TokenScore:
    """A token and how likely it was.

    Attributes:
        token: as text; what is no whole character is written as ``bytes:\\xe4\\xbd``, as OpenAI does.
        data: its bytes.
        token_id: of the token; None where an upstream does not say.
        logprob: natural logarithm of its probability under the model's own distribution.
        top: the likeliest tokens here, best first; their own ``top`` is empty.
    """

    token: str
    data: bytes
    token_id: int | None
    logprob: float
    top: tuple["TokenScore", ...] = ()


@dataclass(frozen=True, slots=True)
class ToolCallPiece:
    """A piece of a tool call: the first of an ``index`` carries id and name, all carry a part of the arguments."""

    index: int
    arguments: str
    id: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of an answer.

    Attributes:
        index: which of the ``n`` answers.
        text: what follows; may be empty.
        reasoning: what follows of the thoughts before the answer.
        tool_calls: pieces of tool calls.
        num_tokens: tokens generated for this piece.
        scores: one per token, where asked for.
        finish_reason: on the last piece of this index.
    """

    index: int = 0
    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCallPiece, ...] = ()
    num_tokens: int = 0
    scores: tuple[TokenScore, ...] | None = None
    finish_reason: FinishReason | None = None


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """Tokens of a request; ``reasoning`` are among ``completion``."""

    prompt: int = 0
    completion: int = 0
    cached: int = 0
    reasoning: int = 0


class Answer(Protocol):
    """An answer being written. Iterate over it once; whoever stops early calls :meth:`cancel`.

    Attributes:
        dropped_turns: turns of the conversation that the model was not sent.
        prompt_scores: one per token of the prompt (None for the first), where asked for, once the end has come.
    """

    @property
    def dropped_turns(self) -> int:
        """See above."""
        ...

    @property
    def prompt_scores(self) -> tuple[TokenScore | None, ...] | None:
        """See above."""
        ...

    @property
    def usage(self) -> TokenUsage:
        """Tokens so far; final after the last piece."""
        ...

    def __aiter__(self) -> AsyncIterator[Piece]:
        """The pieces. Raises ChatwrightError when the model fails in the middle."""
        ...

    def cancel(self) -> None:
        """Stop generating; free what it holds within a step. No effect on what is finished."""
        ...


class NoTokenizer(ApiError):
    """An upstream does not tell how it cuts texts into tokens; their number is an estimate then."""

    def __init__(self) -> None:
        super().__init__(400, "the server behind this model tells nothing of its tokens", code="unsupported_by_model")


def estimated_tokens(text: str) -> int:
    """About how many tokens a text has: one for four bytes, which is four letters or one Chinese character and a third.

    Quick however long the text is; a little high for Chinese, as an estimate for limits should be.
    """
    return -(-len(text.encode("utf-8", "surrogatepass")) // 4)


@dataclass(frozen=True, slots=True)
class Health:
    """How a backend is: "ready", "loading", "unloaded" or "failed", with a sentence for administrators."""

    state: Literal["ready", "loading", "unloaded", "failed"]
    detail: str = ""


@dataclass(frozen=True, slots=True)
class TokenizerFacts:
    """What a client must know of a tokenizer to prepare prompts itself."""

    vocab_size: int
    bos_token: str | None
    eos_token: str | None
    pad_token: str | None
    chat_template: str


@dataclass(frozen=True, slots=True)
class Embeddings:
    """Vectors, float32 [N, D], each of length 1, and how many tokens were read."""

    vectors: np.ndarray
    num_tokens: int


class Backend(Protocol):
    """A model that answers.

    Attributes:
        context_length: tokens of prompt and answer together; None where an upstream does not say.
        version: which weights: every stored answer carries it.
    """

    @property
    def context_length(self) -> int | None:
        """See above."""
        ...

    @property
    def version(self) -> str:
        """See above."""
        ...

    async def chat(self, request: ChatRequest) -> Answer:
        """Begin an answer. Raises ContextLengthError, InvalidParameterError, InputError, TemplateError, EngineError."""
        ...

    async def complete(self, request: TextRequest) -> Answer:
        """Begin a continuation. Raises as :meth:`chat`."""
        ...

    async def embed(self, inputs: Sequence[str | Sequence[int]], *, owner: str = "") -> Embeddings:
        """Vectors of texts. Raises as :meth:`chat`."""
        ...

    async def encode(self, text: str) -> list[int]:
        """Token ids of a text, in which no control token is recognised. Raises NoTokenizer where they are not known."""
        ...

    async def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids. Raises NoTokenizer as :meth:`encode`."""
        ...

    async def tokenizer_facts(self) -> TokenizerFacts:
        """What is known of the tokenizer. Raises NoTokenizer as :meth:`encode`."""
        ...

    async def count(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] = ()) -> int:
        """Tokens of the prompt that these messages make; an estimate where they are not known."""
        ...

    async def health(self) -> Health:
        """How it is now."""
        ...

    async def close(self) -> None:
        """Free everything; answers in flight end with EngineError."""
        ...
