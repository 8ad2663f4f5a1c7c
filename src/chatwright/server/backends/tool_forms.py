"""How models write tool calls. The form is read off a model's own template, never off its name."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from chatwright.chat import ChatTemplate
from chatwright.engine.params import Constraint
from chatwright.errors import InvalidParameterError
from chatwright.tokenizer import Tokenizer

Tool = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ToolForm:
    """How a call is written: as JSON ``{"name": …, "arguments": {…}}`` between marks.

    Attributes:
        opening: before a call; empty where the answer is nothing but calls.
        closing: after each call.
        arguments_key: of the JSON.
        ignored: marks that may stand before an opening and mean nothing.
        gap: what the model writes between the opening and the call.
    """

    opening: str
    closing: str = ""
    arguments_key: str = "arguments"
    ignored: tuple[str, ...] = ()
    gap: str = ""

    @property
    def marks(self) -> tuple[str, ...]:
        """Every mark that may be a control token, which the detokenizer does not show."""
        return tuple(mark for mark in (self.opening, self.closing, "[ARGS]", "[CALL_ID]", *self.ignored) if mark)


HERMES: Final = ToolForm("<tool_call>", "</tool_call>", gap="\n")  # Hermes 2 and 3, Qwen 2.5 and 3, SmolLM3
LLAMA: Final = ToolForm("", "", "parameters", ignored=("<|python_tag|>",))  # Llama 3.1 and later
MISTRAL: Final = ToolForm("[TOOL_CALLS]", "")  # a list of calls, or NAME[ARGS]{…} in newer ones


def form_of(template: ChatTemplate) -> ToolForm | None:
    """The form that a template teaches its model; None where it knows nothing of tools.

    A template that shows tools but no form we know leaves the model free: Hermes' form is the most common.
    """
    source = template.tool_source
    if not re.search(r"\btools\b", source):
        return None
    if MISTRAL.opening in source:
        return MISTRAL
    if HERMES.opening in source:
        return HERMES
    return LLAMA if re.search(r"""["']parameters["']\s*:""", source) else HERMES


def mark_id(tokenizer: Tokenizer, mark: str) -> int | None:
    """The id of a mark that is one token; None where it is spelt out."""
    return tokenizer.control_tokens.get(mark, tokenizer.added_tokens.get(mark))


def tool_name(tool: Tool) -> str:
    """The name of a function in OpenAI's form."""
    function = tool.get("function", tool)
    name = function.get("name") if isinstance(function, Mapping) else None
    if not isinstance(name, str) or not name:
        raise InvalidParameterError("tools", 'a tool must be {"type": "function", "function": {"name": "…", …}}')
    return name


def chosen(tools: Sequence[Tool], choice: str) -> Sequence[Tool]:
    """The tools of which one must be called; none where the model decides.

    Raises:
        InvalidParameterError: there is no such tool.
    """
    names = [tool_name(tool) for tool in tools]
    if choice in ("auto", "none"):
        return ()
    if choice == "required":
        if not tools:
            raise InvalidParameterError("tool_choice", "tool_choice is 'required', but there are no tools")
        return tools
    if choice not in names:
        raise InvalidParameterError(
            "tool_choice", f"tool_choice names {choice!r}; the tools are {', '.join(names) or 'none'}"
        )
    return [tools[names.index(choice)]]


def call_constraint(tools: Sequence[Tool], form: ToolForm) -> Constraint:
    """What the JSON of a call of one of ``tools`` must be."""
    return Constraint.json_schema(_call_schema(tools, form))


def answer_or_call(answer: Constraint, tools: Sequence[Tool], form: ToolForm, tokenizer: Tokenizer) -> Constraint:
    """Either JSON as the caller wants it, or a call of one of ``tools``.

    Raises:
        InvalidParameterError: the answer is to be something else than JSON.
    """
    if answer.kind not in ("json_schema", "json_object"):
        raise InvalidParameterError(
            "response_format", "a regular expression or a choice does not go with tools; leave one of them out"
        )
    schema = json.loads(answer.text) if answer.kind == "json_schema" else {"type": "object"}
    opening = _terminal(tokenizer, form.opening) + (f" {json.dumps(form.gap)}" if form.gap else "")
    closing = f' "\\n"? {_terminal(tokenizer, form.closing)}' if form.closing else ""
    return Constraint.grammar(
        f"start: answer | {opening} call{closing}\n"
        f"answer: %json {_compact(schema)}\n"
        f"call: %json {_compact(_call_schema(tools, form))}\n"
    )


def _compact(schema: Mapping[str, Any]) -> str:
    """A schema whose JSON is written on one line, as the engine's own constraints have it."""
    style = {"whitespace_flexible": False, "item_separator": ", ?", "key_separator": ": ?"}
    return json.dumps({"x-guidance": style, **schema})


def _terminal(tokenizer: Tokenizer, mark: str) -> str:
    """A mark in a grammar: a control token by its id, any other as it is spelt."""
    token = tokenizer.control_tokens.get(mark)
    return f"<[{token}]>" if token is not None else json.dumps(mark) if mark else ""


def _call_schema(tools: Sequence[Tool], form: ToolForm) -> dict[str, Any]:
    alternatives: list[dict[str, Any]] = []
    for index, tool in enumerate(tools):
        place = f"#/anyOf/{index}/properties/{form.arguments_key}"
        parameters = tool.get("function", tool).get("parameters") or {"type": "object"}
        alternatives.append(
            {
                "type": "object",
                "properties": {
                    "name": {"const": tool_name(tool)},
                    form.arguments_key: _moved(parameters, place),
                },
                "required": ["name", form.arguments_key],
                "additionalProperties": False,
            }
        )
    return {"anyOf": alternatives}


def _moved(schema: Any, place: str) -> Any:
    """A schema as a part of a larger one: its references to itself begin at ``place``."""

    def entries(node: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        for key, value in node.items():
            is_reference = key == "$ref" and isinstance(value, str) and value.startswith("#")
            yield key, place + value[1:] if is_reference else _moved(value, place)

    if isinstance(schema, Mapping):
        return dict(entries(schema))
    return [_moved(item, place) for item in schema] if isinstance(schema, list | tuple) else schema
