"""What other servers send, as far as we read it; checked, since nobody vouches for them."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from chatwright.server.backends.base import TokenScore, TokenUsage


class _Lenient(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Function(_Lenient):
    """A part of a called function."""

    name: str | None = None
    arguments: str | None = None


class CallDelta(_Lenient):
    """A part of a tool call."""

    index: int = Field(default=0, ge=0, le=1023)
    id: str | None = None
    function: Function = Function()


class ChatDelta(_Lenient):
    """A part of a message; servers disagree on the name of its thoughts."""

    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[CallDelta] | None = None


class LikelyToken(_Lenient):
    """One of the likeliest tokens."""

    token: str
    logprob: float
    bytes: list[int] | None = None

    def score(self) -> TokenScore:
        """In our form."""
        data = bytes(self.bytes) if self.bytes is not None else self.token.encode("utf-8", "replace")
        return TokenScore(self.token, data, None, self.logprob)


class ScoredToken(LikelyToken):
    """A token and the likeliest ones in its place."""

    top_logprobs: list[LikelyToken] = []

    def score(self) -> TokenScore:
        """In our form."""
        plain = super().score()
        top = tuple(likely.score() for likely in self.top_logprobs)
        return TokenScore(plain.token, plain.data, None, plain.logprob, top)


class ChatScores(_Lenient):
    """Scores of a chat's tokens."""

    content: list[ScoredToken] | None = None


class ChatChoice(_Lenient):
    """A part of one answer."""

    index: int = Field(default=0, ge=0)
    delta: ChatDelta = ChatDelta()
    logprobs: ChatScores | None = None
    finish_reason: str | None = None


class TextScores(_Lenient):
    """Scores of a text's tokens, one list per property."""

    tokens: list[str] = []
    token_logprobs: list[float | None] = []
    top_logprobs: list[dict[str, float] | None] | None = None

    def scores(self) -> list[TokenScore | None]:
        """In our form; None where nothing precedes."""
        tops = self.top_logprobs or [None] * len(self.tokens)
        found: list[TokenScore | None] = []
        for token, logprob, top in zip(self.tokens, self.token_logprobs, tops, strict=False):
            likely = tuple(
                TokenScore(text, text.encode("utf-8", "replace"), None, value) for text, value in (top or {}).items()
            )
            data = token.encode("utf-8", "replace")
            found.append(None if logprob is None else TokenScore(token, data, None, logprob, likely))
        return found


class TextChoice(_Lenient):
    """A part of one continuation."""

    index: int = Field(default=0, ge=0)
    text: str = ""
    logprobs: TextScores | None = None
    finish_reason: str | None = None


class UsageDetails(_Lenient):
    """Parts of a count."""

    cached_tokens: int | None = None
    reasoning_tokens: int | None = None


class Usage(_Lenient):
    """Tokens of a request."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_details: UsageDetails | None = None
    completion_tokens_details: UsageDetails | None = None

    def counted(self) -> TokenUsage:
        """In our form."""
        cached = self.prompt_tokens_details.cached_tokens if self.prompt_tokens_details else None
        thought = self.completion_tokens_details.reasoning_tokens if self.completion_tokens_details else None
        return TokenUsage(self.prompt_tokens, self.completion_tokens, cached or 0, thought or 0)


class ChatChunk(_Lenient):
    """One event of a streamed chat."""

    choices: list[ChatChoice] = []
    usage: Usage | None = None
    error: Any = None


class TextChunk(_Lenient):
    """One event of a streamed continuation, or all of it."""

    choices: list[TextChoice] = []
    usage: Usage | None = None
    error: Any = None


class Vector(_Lenient):
    """One embedding."""

    index: int = Field(ge=0)
    embedding: list[float]


class Vectors(_Lenient):
    """Embeddings."""

    data: list[Vector]
    usage: Usage | None = None


class Tokens(_Lenient):
    """Token ids of a text; llama.cpp and vLLM answer alike."""

    tokens: list[int]


class Text(_Lenient):
    """The text of token ids, under the names that vLLM and llama.cpp give it."""

    prompt: str | None = None
    content: str | None = None
