"""What an answer must look like, and which functions it may call: ``response_format``, ``tools``, ``tool_choice``."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from chatwright.engine.params import Constraint
from chatwright.server.errors import ApiError
from chatwright.server.openai.shapes import JsonObject

MAX_TOOLS: Final = 128
FunctionName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_.-]{1,64}$")]
_STRICT: Final = ConfigDict(strict=True, extra="forbid")


class TextFormat(BaseModel):
    """Free text."""

    model_config = _STRICT

    type: Literal["text"]


class JsonObjectFormat(BaseModel):
    """Any JSON object."""

    model_config = _STRICT

    type: Literal["json_object"]


class JsonSchema(BaseModel):
    """A JSON Schema with its name."""

    model_config = ConfigDict(strict=True, extra="forbid", populate_by_name=True, serialize_by_alias=True)

    name: str = Field(min_length=1, max_length=64)
    description: str | None = None
    definition: JsonObject | None = Field(None, alias="schema")
    strict: bool | None = Field(None, description="no effect: the answer always keeps to the schema")


class JsonSchemaFormat(BaseModel):
    """JSON that a schema allows."""

    model_config = _STRICT

    type: Literal["json_schema"]
    json_schema: JsonSchema


ResponseFormat = Annotated[TextFormat | JsonObjectFormat | JsonSchemaFormat, Field(discriminator="type")]


class Function(BaseModel):
    """A function that the model may call."""

    model_config = _STRICT

    name: FunctionName
    description: str | None = None
    parameters: JsonObject | None = None
    strict: bool | None = None


class Tool(BaseModel):
    """A tool: a function; there are no others here."""

    model_config = _STRICT

    type: Literal["function"]
    function: Function


class FunctionReference(BaseModel):
    """A function by its name."""

    model_config = _STRICT

    name: FunctionName


class ToolReference(BaseModel):
    """The one tool to be called."""

    model_config = _STRICT

    type: Literal["function"]
    function: FunctionReference


ToolMode = Literal["none", "auto", "required"]


def constraint_of(wanted: TextFormat | JsonObjectFormat | JsonSchemaFormat | None) -> Constraint | None:
    """What the engine holds the answer to; None is free text.

    Raises:
        ApiError, InvalidParameterError: there is no schema, or it is none.
    """
    match wanted:
        case JsonSchemaFormat():
            return schema_constraint(wanted.json_schema.definition, "response_format.json_schema.schema")
        case JsonObjectFormat():
            return Constraint.json_object()
        case _:
            return None


def schema_constraint(schema: Mapping[str, Any] | None, param: str) -> Constraint:
    """A schema as a constraint. Raises as :func:`constraint_of`."""
    if schema is None:
        raise ApiError(400, f"{param} is missing", code="missing_required_parameter", param=param)
    return Constraint.json_schema(schema)


def check_choice(choice: str, names: Sequence[str]) -> str:
    """``tool_choice`` as it came, if there is what it asks for.

    Raises:
        ApiError: 400 otherwise.
    """
    if choice in ("none", "auto"):
        return choice
    if not names:
        raise ApiError(400, "tool_choice needs tools to choose from", code="invalid_value", param="tool_choice")
    if choice != "required" and choice not in names:
        message = f"tool_choice asks for {choice!r}, which is not among the tools: {', '.join(names)}"
        raise ApiError(400, message, code="invalid_value", param="tool_choice")
    return choice


def check_names(names: Sequence[str]) -> None:
    """Raise ApiError where two tools have one name: nobody could tell which one was called."""
    twice = next((name for index, name in enumerate(names) if name in names[:index]), None)
    if twice is not None:
        raise ApiError(400, f"two tools have the name {twice!r}", code="invalid_value", param="tools")
