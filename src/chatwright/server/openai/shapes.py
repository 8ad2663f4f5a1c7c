"""What the endpoints have in common: the form of requests, of usage and of log-probabilities.

Source:
    OpenAI API reference, https://platform.openai.com/docs/api-reference
"""

import json
from typing import Annotated, Any, Final, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from chatwright.engine.params import MAX_LOGPROBS, MAX_N, MAX_STOP_CHARACTERS
from chatwright.server.backends.base import TokenScore, TokenUsage

_SAMPLING: Final = (
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "repetition_penalty",
    "presence_penalty",
    "frequency_penalty",
    "seed",
    "n",
    "max_tokens",
    "stop",
    "stop_token_ids",
    "ignore_eos",
)
MAX_STOP: Final = 12  # the engine's 16, less what a chat template may add
MAX_MESSAGES: Final = 2048  # OpenAI's; a template takes a second for 10,000
_MIN_LOGPROB: Final = -9999.0  # minus infinity is no JSON; OpenAI's figure for a token that is as good as impossible

ModelName = Annotated[str, StringConstraints(min_length=1, max_length=255)]
StopString = Annotated[str, StringConstraints(min_length=1, max_length=MAX_STOP_CHARACTERS)]
TokenKey = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,9}$")]
TokenId = Annotated[int, Field(ge=0, lt=2**31)]
Metadata = Annotated[
    dict[Annotated[str, StringConstraints(max_length=64)], Annotated[str, StringConstraints(max_length=512)]],
    Field(max_length=16),
]


def _writable(value: dict[str, Any]) -> dict[str, Any]:
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        raise ValueError("it holds a lone surrogate, NaN or an infinite number, or is nested too deeply") from None
    return value


JsonObject = Annotated[dict[str, Any], AfterValidator(_writable)]  # of the caller's own form, such as a JSON Schema


class Request(BaseModel):
    """Body of a request: types are what they say (no ``"1"`` for 1), numbers are finite, unknown fields are refused.

    Fields of OpenAI's that say how *their* service runs a request, not what it answers, are known and have no effect.
    """

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

    user: str | None = Field(None, description="the end user, for the caller's own records; not kept")
    safety_identifier: str | None = Field(None, description="no effect")
    prompt_cache_key: str | None = Field(None, description="no effect: prefixes are cached by account")
    prompt_cache_retention: str | None = Field(None, description="no effect")
    prompt_cache_options: JsonObject | None = Field(None, description="no effect")
    service_tier: str | None = Field(None, description="no effect: there is one")


class Sampling(Request):
    """How tokens are chosen; names as in :class:`~chatwright.engine.SamplingParams`."""

    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, ge=0, le=1)
    top_k: int | None = Field(
        None, ge=0, lt=2**31, description="sample from the k likeliest tokens; 0 is without limit"
    )
    min_p: float | None = Field(
        None, ge=0, le=1, description="drop tokens less likely than this share of the likeliest"
    )
    repetition_penalty: float | None = Field(None, ge=0.01, le=10)
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    logit_bias: dict[TokenKey, Annotated[float, Field(ge=-100, le=100)]] | None = Field(
        None, max_length=1024, description="token id → added to its logit"
    )
    seed: int | None = Field(None, ge=-(2**63), le=2**63 - 1)
    n: int | None = Field(None, ge=1, le=MAX_N)
    max_tokens: int | None = Field(None, ge=1, lt=2**31)
    stop: StopString | Annotated[list[StopString], Field(max_length=MAX_STOP)] | None = None
    stop_token_ids: list[TokenId] | None = Field(None, max_length=64)
    ignore_eos: bool | None = Field(None, description="go on after the end of the answer, for benchmarks")

    def sampling(self) -> dict[str, Any]:
        """What the caller set, for the backend; what is absent is left to the model's makers."""
        given = {name: getattr(self, name) for name in _SAMPLING}
        if self.logit_bias is not None:
            given["logit_bias"] = {int(token): bias for token, bias in self.logit_bias.items()}
        return {name: value for name, value in given.items() if value is not None}


class StreamOptions(BaseModel):
    """How a stream is written."""

    model_config = ConfigDict(strict=True, extra="forbid")

    include_usage: bool | None = Field(None, description="a last chunk with the tokens that were used")
    include_obfuscation: bool | None = Field(None, description="no effect")


class PromptDetails(BaseModel):
    """Tokens of the prompt, by kind."""

    cached_tokens: int


class CompletionDetails(BaseModel):
    """Tokens of the answer, by kind."""

    reasoning_tokens: int


class Usage(BaseModel):
    """Tokens of a request."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetails
    completion_tokens_details: CompletionDetails

    @classmethod
    def of(cls, usage: TokenUsage) -> "Usage":
        """From what the backend counted."""
        return cls(
            prompt_tokens=usage.prompt,
            completion_tokens=usage.completion,
            total_tokens=usage.prompt + usage.completion,
            prompt_tokens_details=PromptDetails(cached_tokens=usage.cached),
            completion_tokens_details=CompletionDetails(reasoning_tokens=usage.reasoning),
        )


class TopLogprob(BaseModel):
    """A token that might have stood here."""

    token: str
    logprob: float
    bytes: list[int]


class Logprob(TopLogprob):
    """A token that stands here."""

    top_logprobs: list[TopLogprob]

    @classmethod
    def of(cls, score: TokenScore) -> "Logprob":
        """From the backend's form."""
        top = [
            TopLogprob(token=other.token, logprob=finite(other.logprob), bytes=list(other.data)) for other in score.top
        ]
        return cls(token=score.token, logprob=finite(score.logprob), bytes=list(score.data), top_logprobs=top)


def as_many(given: str | list[int] | list[str] | list[list[int]]) -> list[str] | list[list[int]]:
    """One text, one list of token ids, or a list of either, as a list."""
    if isinstance(given, str):
        return [given]
    return cast("list[str] | list[list[int]]", [given] if isinstance(given[0], int) else given)


def finite(logprob: float) -> float:
    """A log-probability that JSON can carry."""
    return max(logprob, _MIN_LOGPROB)


EVENT_STREAM: Final[dict[str, dict[str, Any]]] = {"text/event-stream": {}}
TopLogprobs = Annotated[int, Field(ge=0, le=MAX_LOGPROBS)]
