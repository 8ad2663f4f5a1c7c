"""Bodies of ``/v1/completions``."""

import codecs
from collections.abc import Iterable
from typing import Annotated, Final, Literal

from pydantic import BaseModel, Field

from chatwright.engine.params import Constraint
from chatwright.server.backends.base import TextRequest, TokenScore
from chatwright.server.errors import ApiError
from chatwright.server.openai.formats import ResponseFormat, constraint_of
from chatwright.server.openai.shapes import (
    ModelName,
    Sampling,
    StreamOptions,
    TokenId,
    TopLogprobs,
    Usage,
    as_many,
    finite,
)

MAX_ANSWERS: Final = 2048  # of one request: prompts × n
_MAX_TOKENS: Final = 16  # OpenAI's default

TokenIds = Annotated[list[TokenId], Field(min_length=1)]
Texts = Annotated[list[str], Field(min_length=1, max_length=MAX_ANSWERS)]
ManyTokenIds = Annotated[list[TokenIds], Field(min_length=1, max_length=MAX_ANSWERS)]


class CompletionRequest(Sampling):
    """What ``POST /v1/completions`` takes."""

    model: ModelName
    prompt: str | TokenIds | Texts | ManyTokenIds
    max_tokens: int | None = Field(None, ge=0, lt=2**31, description="16 by default; 0 only with echo")
    echo: bool | None = Field(None, description="the prompt comes before the answer")
    logprobs: TopLogprobs | None = Field(
        None, description="so many likeliest tokens at each place; with echo in the prompt, too"
    )
    best_of: int | None = Field(None, ge=1, le=20, description="no more than n: choosing among answers is not offered")
    suffix: str | None = Field(None, description="refused: the models here write on, they do not fill in")
    response_format: ResponseFormat | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None

    @property
    def prompts(self) -> list[str] | list[list[int]]:
        """One or many, in one form."""
        return as_many(self.prompt)

    def texts(self) -> list[TextRequest]:
        """The texts to be continued, each in ``n`` ways.

        Raises:
            ApiError, InvalidParameterError: parts of the request do not fit each other.
        """
        self._check()
        sampling = self.sampling()
        # The engine always writes a token; one that was not asked for is not shown.
        sampling["max_tokens"] = max(1, _MAX_TOKENS if self.max_tokens is None else self.max_tokens)
        if self.logprobs is not None:
            sampling["logprobs"] = self.logprobs
            if self.echo:
                sampling["prompt_logprobs"] = self.logprobs
        constraint: Constraint | None = constraint_of(self.response_format)
        return [
            TextRequest(prompt if isinstance(prompt, str) else tuple(prompt), sampling, constraint)
            for prompt in self.prompts
        ]

    def _check(self) -> None:
        number = self.n or 1
        if len(self.prompts) * number > MAX_ANSWERS:
            raise _refused(f"{len(self.prompts)} prompts × n = {number} are more than {MAX_ANSWERS} answers", "n")
        if self.best_of is not None and self.best_of != number:
            raise _refused("best_of is not offered here; ask for n answers and choose", "best_of")
        if self.suffix:
            raise _refused("suffix is not offered here: the models write on, they do not fill in", "suffix")
        if self.max_tokens == 0 and not self.echo:
            raise _refused("max_tokens is 0; that is for scoring a prompt, with echo: true", "max_tokens")
        if self.stream_options is not None and not self.stream:
            raise _refused("stream_options is only for streams; set stream to true", "stream_options")
        if self.stream and self.echo and self.logprobs is not None:
            raise _refused("echo with logprobs cannot be streamed; leave stream out", "stream")


class TextLogprobs(BaseModel):
    """Log-probabilities in the older form: one list for each property of the tokens."""

    tokens: list[str] = []
    token_logprobs: list[float | None] = []
    top_logprobs: list[dict[str, float] | None] = []
    text_offset: list[int] = []


class TextChoice(BaseModel):
    """One of the answers; those of the i-th prompt have the indices from ``i * n``."""

    index: int
    text: str
    logprobs: TextLogprobs | None
    finish_reason: Literal["stop", "length", "content_filter"] | None


class Completion(BaseModel):
    """What ``POST /v1/completions`` answers."""

    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    system_fingerprint: str
    choices: list[TextChoice]
    usage: Usage


class Offsets:
    """Writes log-probabilities with the place of each token in the text, in characters.

    A token may be part of a character, so that bytes are counted as far as they make whole ones.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._place = 0

    def skip(self, text: str) -> None:
        """``text`` stands before what follows."""
        self._place += len(text)

    def first(self, text: str) -> TextLogprobs:
        """The first token of a prompt, which nothing makes likely."""
        written = TextLogprobs(tokens=[text], token_logprobs=[None], top_logprobs=[None], text_offset=[self._place])
        self.skip(text)
        return written

    def write(self, scores: Iterable[TokenScore]) -> TextLogprobs:
        """What is known of the next tokens."""
        written = TextLogprobs()
        for score in scores:
            written.tokens.append(score.token)
            written.token_logprobs.append(finite(score.logprob))
            written.top_logprobs.append(_likeliest(score))
            written.text_offset.append(self._place)
            self._place += len(self._decoder.decode(score.data))
        return written


def _likeliest(score: TokenScore) -> dict[str, float]:
    """Texts of tokens with their log-probabilities; of several with the same text the likeliest counts."""
    found: dict[str, float] = {}
    for other in (*score.top, score):
        found[other.token] = max(finite(other.logprob), found.get(other.token, -float("inf")))
    return found


def _refused(message: str, param: str) -> ApiError:
    return ApiError(400, message, code="invalid_value", param=param)
