"""Bodies of ``/v1/chat/completions``."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from chatwright.chat import parse_messages
from chatwright.server.backends.base import ChatRequest
from chatwright.server.errors import ApiError
from chatwright.server.openai.formats import (
    MAX_TOOLS,
    ResponseFormat,
    Tool,
    ToolMode,
    ToolReference,
    check_choice,
    check_names,
    constraint_of,
)
from chatwright.server.openai.naming import constraint_names
from chatwright.server.openai.shapes import (
    MAX_MESSAGES,
    JsonObject,
    Logprob,
    Metadata,
    ModelName,
    Sampling,
    StreamOptions,
    TopLogprobs,
    Usage,
)


class ChatMessage(BaseModel):
    """A message of a chat. Keys that clients add for themselves are left aside; the roles are OpenAI's."""

    model_config = ConfigDict(strict=True, extra="ignore")

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[dict[str, Any]] | None = Field(None, description="text, or parts of type text")
    name: str | None = None
    tool_calls: list[JsonObject] | None = None
    tool_call_id: str | None = None
    reasoning_content: str | None = None
    refusal: str | None = None

    def form(self) -> dict[str, Any]:
        """The form that :func:`~chatwright.chat.parse_messages` reads."""
        form = self.model_dump(exclude={"refusal"})
        if self.role == "developer":  # the newer name of the same
            form["role"] = "system"
        if self.role == "assistant" and self.content is None and not self.tool_calls:
            form["content"] = self.refusal or ""  # clients send an empty answer back as null
        if isinstance(self.content, list):
            form["content"] = [_plain(part) for part in self.content]
        return form


class ChatCompletionRequest(Sampling):
    """What ``POST /v1/chat/completions`` takes."""

    model: ModelName
    messages: list[ChatMessage] = Field(min_length=1, max_length=MAX_MESSAGES)
    max_completion_tokens: int | None = Field(None, ge=1, lt=2**31, description="the newer name of max_tokens")
    logprobs: bool | None = None
    top_logprobs: TopLogprobs | None = Field(None, description="needs logprobs")
    response_format: ResponseFormat | None = None
    tools: list[Tool] | None = Field(None, max_length=MAX_TOOLS)
    tool_choice: ToolMode | ToolReference | None = None
    parallel_tool_calls: bool | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    chat_template_kwargs: JsonObject | None = Field(
        None, max_length=32, description="variables of the model's chat template, such as enable_thinking"
    )
    continue_final_message: bool | None = Field(None, description="the last message is the beginning of the answer")
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None = Field(
        None, description="given to the chat template; none turns thinking off where the model can"
    )
    modalities: list[Literal["text"]] | None = None
    metadata: Metadata | None = Field(None, description="no effect: answers are not stored here")
    store: bool | None = Field(None, description="no effect: see /v1/responses for answers that are stored")
    verbosity: Literal["low", "medium", "high"] | None = Field(None, description="no effect")
    prediction: JsonObject | None = Field(None, description="no effect")

    def chat(self) -> ChatRequest:
        """The chat to be answered.

        Raises:
            ApiError, InputError, InvalidParameterError: parts of the request do not fit each other.
        """
        if self.stream_options is not None and not self.stream:
            raise _contradiction("stream_options is only for streams; set stream to true", "stream_options")
        if self.top_logprobs is not None and not self.logprobs:
            raise _contradiction("top_logprobs needs logprobs: true", "top_logprobs")
        if self.continue_final_message and self.messages[-1].role != "assistant":
            told = "continue_final_message needs the beginning of an answer: a last message by the assistant"
            raise _contradiction(told, "continue_final_message")
        names = [tool.function.name for tool in self.tools or ()]
        check_names(names)
        choice = self.tool_choice.function.name if isinstance(self.tool_choice, ToolReference) else self.tool_choice
        return ChatRequest(
            messages=parse_messages([message.form() for message in self.messages]),
            sampling=self._sampling(),
            tools=tuple(tool.model_dump(exclude_none=True) for tool in self.tools or ()),
            tool_choice=check_choice(choice or "auto", names),
            parallel_tool_calls=self.parallel_tool_calls is not False,
            constraint=constraint_of(self.response_format),
            continue_final=bool(self.continue_final_message),
            template_variables=self._variables(),
        )

    def names(self) -> dict[str, str]:
        """Fields of this request by the library's names for them."""
        names = constraint_names("response_format" if self.response_format else "tools")
        return names if self.max_completion_tokens is None else {**names, "max_tokens": "max_completion_tokens"}

    def _sampling(self) -> dict[str, Any]:
        sampling = self.sampling()
        if self.max_completion_tokens is not None:
            if self.max_tokens not in (None, self.max_completion_tokens):
                raise _contradiction("max_tokens and max_completion_tokens differ; give one", "max_tokens")
            sampling["max_tokens"] = self.max_completion_tokens
        if self.logprobs:
            sampling["logprobs"] = self.top_logprobs or 0
        return sampling

    def _variables(self) -> dict[str, Any]:
        variables = dict(self.chat_template_kwargs or {})
        if self.reasoning_effort is not None:
            variables.setdefault("reasoning_effort", self.reasoning_effort)
            if self.reasoning_effort == "none":
                variables.setdefault("enable_thinking", False)
        return variables


class CalledFunction(BaseModel):
    """A function's name and its arguments as JSON."""

    name: str
    arguments: str


class ToolCall(BaseModel):
    """A call of a function."""

    id: str
    type: Literal["function"] = "function"
    function: CalledFunction


def _is_none(value: object) -> bool:
    return value is None


class AnswerMessage(BaseModel):
    """The model's message."""

    role: Literal["assistant"] = "assistant"
    content: str | None
    refusal: None = None
    reasoning_content: str | None = Field(None, exclude_if=_is_none)
    tool_calls: list[ToolCall] | None = Field(None, exclude_if=_is_none)


class ChoiceLogprobs(BaseModel):
    """Log-probabilities of the tokens of a message."""

    content: list[Logprob]
    refusal: None = None


class ChatChoice(BaseModel):
    """One of the ``n`` answers."""

    index: int
    message: AnswerMessage
    logprobs: ChoiceLogprobs | None
    finish_reason: Annotated[str, Field(examples=["stop", "length", "tool_calls", "content_filter"])]


class ChatCompletion(BaseModel):
    """What ``POST /v1/chat/completions`` answers. ``system_fingerprint`` tells the version of the weights."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    system_fingerprint: str
    choices: list[ChatChoice]
    usage: Usage


def _plain(part: dict[str, Any]) -> dict[str, Any]:
    """A part of an earlier answer as text, whatever it was called there."""
    if part.get("type") == "refusal" and isinstance(part.get("refusal"), str):
        return {"type": "text", "text": part["refusal"]}
    if part.get("type") == "text" and isinstance(part.get("text"), str):
        return {"type": "text", "text": part["text"]}
    return part


def _contradiction(message: str, param: str) -> ApiError:
    return ApiError(400, message, code="invalid_value", param=param)
