"""Bodies of ``/v1/responses``."""

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from chatwright.engine.params import Constraint
from chatwright.server.errors import ApiError
from chatwright.server.openai.formats import (
    MAX_TOOLS,
    FunctionName,
    ToolMode,
    check_choice,
    check_names,
    schema_constraint,
)
from chatwright.server.openai.naming import constraint_names
from chatwright.server.openai.shapes import MAX_MESSAGES, JsonObject, Metadata, ModelName, Request, TopLogprobs

WITH_LOGPROBS: Final = "message.output_text.logprobs"
_STRICT: Final = ConfigDict(strict=True, extra="forbid")
_LENIENT: Final = ConfigDict(strict=True, extra="ignore")  # clients send back whole items, with keys for themselves

ItemId = Annotated[str, Field(max_length=64)]
CallId = Annotated[str, Field(min_length=1, max_length=256)]
Parts = Annotated[list[dict[str, Any]], Field(max_length=MAX_MESSAGES)]


class MessageItem(BaseModel):
    """A message: text, or parts of the types input_text and output_text."""

    model_config = _LENIENT

    type: Literal["message"] = "message"
    id: ItemId | None = None
    role: Literal["user", "assistant", "system", "developer"]
    content: str | Parts


class CallItem(BaseModel):
    """A call of a function that the model made before."""

    model_config = _LENIENT

    type: Literal["function_call"]
    id: ItemId | None = None
    call_id: CallId
    name: FunctionName
    arguments: str


class CallOutputItem(BaseModel):
    """What a called function gave."""

    model_config = _LENIENT

    type: Literal["function_call_output"]
    id: ItemId | None = None
    call_id: CallId
    output: str | Parts


class ReasoningItem(BaseModel):
    """What the model thought before."""

    model_config = _LENIENT

    type: Literal["reasoning"]
    id: ItemId | None = None
    summary: Parts = []
    content: Parts | None = None


def _kind(value: Any) -> str:
    kind = value.get("type", "message") if isinstance(value, dict) else getattr(value, "type", "message")
    return kind if isinstance(kind, str) else ""


Item = Annotated[
    Annotated[MessageItem, Tag("message")]
    | Annotated[CallItem, Tag("function_call")]
    | Annotated[CallOutputItem, Tag("function_call_output")]
    | Annotated[ReasoningItem, Tag("reasoning")],
    Discriminator(
        _kind,
        custom_error_type="unknown_item",
        custom_error_message="the type of an item must be message, function_call, function_call_output or reasoning",
    ),
]


class FunctionTool(BaseModel):
    """A function that the model may call; there are no other tools here."""

    model_config = _STRICT

    type: Literal["function"]
    name: FunctionName
    description: str | None = None
    parameters: JsonObject | None = None
    strict: bool | None = None


class FunctionChoice(BaseModel):
    """The one function to be called."""

    model_config = _STRICT

    type: Literal["function"]
    name: FunctionName


class PlainFormat(BaseModel):
    """Free text, or any JSON object."""

    model_config = _STRICT

    type: Literal["text", "json_object"]


class SchemaFormat(BaseModel):
    """JSON that a schema allows."""

    model_config = ConfigDict(strict=True, extra="forbid", serialize_by_alias=True)

    type: Literal["json_schema"]
    name: str = Field(min_length=1, max_length=64)
    definition: JsonObject = Field(alias="schema")
    description: str | None = None
    strict: bool | None = None


class TextOptions(BaseModel):
    """What the text must look like."""

    model_config = _STRICT

    format: Annotated[PlainFormat | SchemaFormat, Field(discriminator="type")] | None = None
    verbosity: Literal["low", "medium", "high"] | None = Field(None, description="no effect")


class ReasoningOptions(BaseModel):
    """How much the model should think."""

    model_config = _STRICT

    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None = None
    summary: Literal["auto", "concise", "detailed"] | None = Field(None, description="no effect: thoughts come whole")
    generate_summary: Literal["auto", "concise", "detailed"] | None = Field(None, description="no effect")


class ResponseStreamOptions(BaseModel):
    """How a stream is written."""

    model_config = _STRICT

    include_obfuscation: bool | None = Field(None, description="no effect")


class Asked(Request):
    """What is asked of the model: of ``POST /v1/responses`` and of counting its tokens."""

    model: ModelName
    input: str | Annotated[list[Item], Field(min_length=1, max_length=MAX_MESSAGES)]
    instructions: str | None = Field(
        None, description="the system's message; not carried over from an earlier response"
    )
    previous_response_id: ItemId | None = Field(None, description="the stored response that this one follows")
    tools: list[FunctionTool] | None = Field(None, max_length=MAX_TOOLS)
    tool_choice: ToolMode | FunctionChoice | None = None
    parallel_tool_calls: bool | None = None
    text: TextOptions | None = None
    reasoning: ReasoningOptions | None = None
    truncation: Literal["auto", "disabled"] | None = Field(
        None, description="auto leaves the oldest turns out when all do not fit, and says how many in dropped_turns"
    )

    def names(self) -> dict[str, str]:
        """Fields of this request by the library's names for them."""
        names = constraint_names("text.format" if self.text and self.text.format else "tools")
        return {**names, "messages": "input", "prompt_ids": "input", "max_tokens": "max_output_tokens"}

    def choice(self) -> str:
        """Which tool is to be called. Raises ApiError when there is none such."""
        names = [tool.name for tool in self.tools or ()]
        check_names(names)
        wanted = self.tool_choice.name if isinstance(self.tool_choice, FunctionChoice) else self.tool_choice
        return check_choice(wanted or "auto", names)

    def constraint(self) -> Constraint | None:
        """What the answer is held to. Raises ApiError, InvalidParameterError."""
        wanted = self.text.format if self.text else None
        if isinstance(wanted, SchemaFormat):
            return schema_constraint(wanted.definition, "text.format.schema")
        return Constraint.json_object() if wanted and wanted.type == "json_object" else None


class ResponseRequest(Asked):
    """What ``POST /v1/responses`` takes."""

    max_output_tokens: int | None = Field(None, ge=1, lt=2**31)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, ge=0, le=1)
    top_logprobs: TopLogprobs | None = None
    include: list[Literal["message.output_text.logprobs", "reasoning.encrypted_content"]] | None = Field(
        None, max_length=8
    )
    store: bool | None = Field(None, description="keep the response so that others may follow it; true by default")
    metadata: Metadata | None = None
    stream: bool | None = None
    stream_options: ResponseStreamOptions | None = None
    background: Literal[False] | None = Field(None, description="responses in the background are not offered")
    max_tool_calls: int | None = Field(None, ge=1, description="no effect: there are no built-in tools")

    @property
    def with_scores(self) -> bool:
        """Whether log-probabilities are wanted."""
        return self.top_logprobs is not None or WITH_LOGPROBS in (self.include or ())

    def sampling(self) -> dict[str, Any]:
        """What the caller set, by the backend's names."""
        given = {"temperature": self.temperature, "top_p": self.top_p, "max_tokens": self.max_output_tokens}
        if self.with_scores:
            given["logprobs"] = self.top_logprobs or 0
        return {name: value for name, value in given.items() if value is not None}

    def check(self) -> None:
        """Raise ApiError where parts of the request do not fit each other."""
        if self.stream_options is not None and not self.stream:
            message = "stream_options is only for streams; set stream to true"
            raise ApiError(400, message, code="invalid_value", param="stream_options")


class OutputDetails(BaseModel):
    """Tokens that were written, by kind."""

    reasoning_tokens: int


class InputDetails(BaseModel):
    """Tokens that were read, by kind."""

    cached_tokens: int
    cache_write_tokens: int = 0


class ResponseUsage(BaseModel):
    """Tokens of a response."""

    input_tokens: int
    input_tokens_details: InputDetails
    output_tokens: int
    output_tokens_details: OutputDetails
    total_tokens: int


class ResponseBody(BaseModel):
    """A response. ``dropped_turns``: how many of the oldest turns the model was not sent (``truncation``)."""

    id: str
    object: Literal["response"] = "response"
    created_at: int
    completed_at: int | None = None
    status: Literal["in_progress", "completed", "incomplete", "failed"]
    background: bool = False
    error: dict[str, Any] | None = None
    incomplete_details: dict[str, Any] | None = None
    instructions: str | None
    max_output_tokens: int | None
    max_tool_calls: int | None = None
    model: str
    system_fingerprint: str
    output: list[dict[str, Any]]
    parallel_tool_calls: bool
    previous_response_id: str | None
    reasoning: dict[str, Any]
    store: bool
    temperature: float | None
    text: dict[str, Any]
    tool_choice: str | dict[str, Any]
    tools: list[dict[str, Any]]
    top_logprobs: int
    top_p: float | None
    truncation: Literal["auto", "disabled"]
    usage: ResponseUsage | None = None
    user: str | None
    metadata: dict[str, str]
    dropped_turns: int = 0


class DeletedResponse(BaseModel):
    """What ``DELETE /v1/responses/{id}`` answers."""

    id: str
    object: Literal["response"] = "response"
    deleted: Literal[True] = True


class ItemList(BaseModel):
    """What ``GET /v1/responses/{id}/input_items`` answers."""

    object: Literal["list"] = "list"
    data: list[dict[str, Any]]
    first_id: str | None
    last_id: str | None
    has_more: bool


class InputTokens(BaseModel):
    """What ``POST /v1/responses/input_tokens`` answers."""

    object: Literal["response.input_tokens"] = "response.input_tokens"
    input_tokens: int
