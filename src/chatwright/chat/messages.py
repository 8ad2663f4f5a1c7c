"""Messages: what a chat consists of, checked where it enters."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from chatwright.chat.marks import checked
from chatwright.errors import InputError, json_kind

Role = Literal["system", "user", "assistant", "tool"]
ROLES: tuple[str, ...] = get_args(Role)
_REASONING_KEYS = ("reasoning_content", "reasoning", "thinking")  # the first is ours; other servers use the others
_KEYS = ("role", "content", "name", "tool_calls", "tool_call_id", *_REASONING_KEYS)


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a chat.

    Attributes:
        role: who speaks.
        content: the text; None only where an assistant does nothing but call tools.
        name: the speaker's or the tool's name.
        tool_calls: what the assistant calls, in OpenAI's shape, ``arguments`` as an object.
        tool_call_id: which call a tool's message answers.
        reasoning_content: what the assistant thought before it answered.
    """

    role: Role
    content: str | None = None
    name: str | None = None
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    tool_call_id: str | None = None
    reasoning_content: str | None = None

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise InputError(f"a message has the role {self.role!r}; allowed are {', '.join(ROLES)}")
        for field in ("content", "name", "tool_call_id", "reasoning_content"):
            value = getattr(self, field)
            if value is not None and not isinstance(value, str):
                raise InputError(f"{field} of a {self.role} message is {json_kind(value)}; it must be a string")
            if value is not None:
                checked(value)
        if self.content is None and not (self.role == "assistant" and self.tool_calls):
            raise InputError(f"a {self.role} message has no content; give a string")
        if self.role != "assistant" and (self.tool_calls or self.reasoning_content is not None):
            raise InputError(f"a {self.role} message has tool_calls or reasoning_content; only the assistant's may")

    @classmethod
    def parse(cls, value: "Message | Mapping[str, Any]") -> "Message":
        """Check a message in OpenAI's form. Keys whose value is None count as absent.

        Raises:
            InputError: an unknown role or key, or content that is not text.
        """
        if isinstance(value, Message):
            return value
        if not isinstance(value, Mapping):
            raise InputError(f"a message is {json_kind(value)}; it must be an object with role and content")
        given = {key: item for key, item in value.items() if item is not None}
        unknown = [key for key in given if key not in _KEYS]
        if unknown:
            raise InputError(f"a message has the unknown key {unknown[0]!r}; known are {', '.join(_KEYS)}")
        if "role" not in given:
            raise InputError(f"a message has no role; allowed are {', '.join(ROLES)}")
        reasoning = next((given[key] for key in _REASONING_KEYS if key in given), None)
        return cls(
            role=given["role"],
            content=_text_of(given.get("content")),
            name=given.get("name"),
            tool_calls=_tool_calls(given.get("tool_calls", ())),
            tool_call_id=given.get("tool_call_id"),
            reasoning_content=reasoning,
        )

    def to_dict(self) -> dict[str, Any]:
        """The message in OpenAI's form, without the keys that are absent."""
        fields: dict[str, Any] = {
            "role": self.role,
            "content": self.content,
            "name": self.name,
            "tool_calls": [dict(call) for call in self.tool_calls] or None,
            "tool_call_id": self.tool_call_id,
            "reasoning_content": self.reasoning_content,
        }
        return {key: value for key, value in fields.items() if value is not None}


def parse_messages(messages: Sequence[Message | Mapping[str, Any]]) -> tuple[Message, ...]:
    """Check a chat. Raises InputError when it is empty or one of its messages is not a message."""
    if isinstance(messages, str | bytes | Mapping) or not isinstance(messages, Sequence):
        raise InputError(f"messages is {json_kind(messages)}; it must be a list of messages")
    if not messages:
        raise InputError("the list of messages is empty; give at least one message")
    return tuple(Message.parse(message) for message in messages)


def _text_of(content: object) -> str | None:
    """Content as one string; text parts are joined by newlines."""
    if content is None or isinstance(content, str):
        return content
    if not isinstance(content, Sequence) or isinstance(content, bytes):
        raise InputError(f"content is {json_kind(content)}; it must be a string or a list of text parts")
    texts: list[str] = []
    for part in content:
        match part:
            case str():
                texts.append(part)
            case {"type": "text", "text": str(text)}:
                texts.append(text)
            case {"type": str(kind)} if kind != "text":
                raise InputError(f"content has a part of type {kind!r}; this model reads text only")
            case _:
                raise InputError('a part of content must be {"type": "text", "text": "…"}')
    return "\n".join(texts)


def _tool_calls(calls: object) -> tuple[Mapping[str, Any], ...]:
    if not isinstance(calls, Sequence) or isinstance(calls, str | bytes):
        raise InputError(f"tool_calls is {json_kind(calls)}; it must be a list")
    return tuple(_tool_call(call) for call in calls)


def _tool_call(call: object) -> Mapping[str, Any]:
    """A call whose arguments are an object: templates write them as JSON themselves, in the model's own style.

    Arguments that are not the JSON of an object (a model's mistake, kept in a history) stay the string they are.
    """
    function = call.get("function", call) if isinstance(call, Mapping) else None
    if not isinstance(call, Mapping) or not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        raise InputError('a tool call must be {"type": "function", "function": {"name": "…", "arguments": {…}}}')
    arguments = function.get("arguments")
    if isinstance(arguments, str):
        try:
            parsed = json.loads(arguments)
        except (ValueError, RecursionError):
            parsed = None
        if isinstance(parsed, dict):
            function = {**function, "arguments": parsed}
    return {**call, "function": function} if "function" in call else function
