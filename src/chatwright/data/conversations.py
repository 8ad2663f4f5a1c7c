"""Conversations in the forms that people write them in: OpenAI's, ShareGPT's, transcripts, pairs of turns."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from chatwright.chat import Message
from chatwright.chat.messages import Role
from chatwright.errors import InputError, json_kind

_ROLES: Mapping[str, str] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "prompter": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "function_call": "assistant",
    "tool_call": "assistant",
    "tool": "tool",
    "observation": "tool",
    "function": "tool",
    "function_response": "tool",
}
_CALLS = ("function_call", "tool_call")
_MESSAGE_KEYS = ("name", "tool_calls", "tool_call_id", "reasoning_content", "reasoning", "thinking")
_TURN = re.compile(r"(?:^|\n\n)(Human|Assistant): ?")


def parse_conversation(value: Any, what: str) -> tuple[Message, ...]:
    """Messages in OpenAI's form (``role``, ``content``), ShareGPT's (``from``, ``value``), or as JSON text of either.

    Keys that are no part of a message (ids, times) are passed over.

    Args:
        value: the list.
        what: the key that it stood under, for messages.

    Raises:
        InputError: it is no such list; the message says which element is wrong.
    """
    if isinstance(value, str):
        value = _from_json(value, what)
    if not isinstance(value, Sequence) or isinstance(value, bytes):
        raise InputError(f"{what} is {json_kind(value)}; it must be text or a list of messages")
    if not value:
        raise InputError(f"{what} is empty")
    messages = []
    for number, item in enumerate(value, 1):
        try:
            messages.append(_message(item))
        except InputError as error:
            raise InputError(f"{what}, message {number}: {error}") from error
    return tuple(messages)


def parse_unlearned(value: Any) -> tuple[int, ...]:
    """Places of the answers in a list of :func:`parse_conversation` that are marked as not to be learned.

    The marks are OpenAI's (``"weight": 0``) and those of other trainers (``"train": false``, ``"loss": false``).

    Raises:
        InputError: a weight is neither 0 nor 1.
    """
    items = json.loads(value) if isinstance(value, str) else value
    found = []
    for index, item in enumerate(items):
        if not isinstance(item, Mapping):
            continue
        weight = item.get("weight")
        if weight not in (None, 0, 1):
            raise InputError(f"message {index + 1}: its weight is {weight!r}; it must be 0 (only read) or 1 (learned)")
        marks = (weight, item.get("train"), item.get("loss"))
        if any(mark is not None and not mark for mark in marks):
            found.append(index)
    return tuple(found)


def parse_answer(value: Any, what: str) -> tuple[Message, ...]:
    """An answer: text, one message, or a list of messages."""
    if isinstance(value, str):
        return (assistant(value),)
    return parse_conversation([value] if isinstance(value, Mapping) else value, what)


def parse_prompt(value: Any, what: str) -> tuple[Message, ...]:
    """A prompt: text, which the user says, one message, or a list of messages, which may be empty."""
    if isinstance(value, str):
        return (user(value),)
    if value == []:
        return ()
    return parse_conversation([value] if isinstance(value, Mapping) else value, what)


def parse_tools(value: Any) -> tuple[Mapping[str, Any], ...]:
    """Schemas of functions: a list, or the JSON of one; None and an empty text are none."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return ()
    if isinstance(value, str):
        value = _from_json(value, "tools")
    if not isinstance(value, Sequence) or not all(isinstance(tool, Mapping) for tool in value):
        raise InputError("tools must be a list of JSON schemas")
    return tuple(cast(Mapping[str, Any], _without_none(tool)) for tool in value)


def is_transcript(value: Any) -> bool:
    """Whether a text is a dialogue written out, as in Anthropic's hh-rlhf: paragraphs of ``Human:``, ``Assistant:``."""
    return isinstance(value, str) and value.lstrip().startswith("Human:") and "\n\nAssistant:" in value


def parse_transcript(text: str) -> tuple[Message, ...]:
    """The messages of a written-out dialogue."""
    _, *pieces = _TURN.split("\n\n" + text.strip())
    turns = zip(pieces[::2], pieces[1::2], strict=True)
    return tuple(user(said.strip()) if who == "Human" else assistant(said.strip()) for who, said in turns)


def user(text: str) -> Message:
    """What a user says."""
    return Message("user", text)


def assistant(text: str) -> Message:
    """What an assistant says."""
    return Message("assistant", text)


def _message(item: Any) -> Message:
    if isinstance(item, Message):
        return item
    if not isinstance(item, Mapping):
        raise InputError(f"it is {json_kind(item)}; it must be an object with role and content")
    name = item.get("role", item.get("from"))
    role = _ROLES.get(name.lower()) if isinstance(name, str) else None
    if role is None:
        raise InputError(f"its role is {name!r}; known are system, user, assistant, tool and their usual other names")
    content = item.get("content", item.get("value"))
    if name in _CALLS:
        return Message("assistant", tool_calls=_calls(content))
    rest = {key: _without_none(item[key]) for key in _MESSAGE_KEYS if item.get(key) is not None}
    if not rest and isinstance(content, str):  # by far the most common; Message.parse would look at every key again
        return Message(cast(Role, role), content)
    return Message.parse({**rest, "role": role, "content": content})


def _calls(content: Any) -> tuple[Mapping[str, Any], ...]:
    """ShareGPT's function call: the JSON of one call or of several."""
    value = _from_json(content, "the function call") if isinstance(content, str) else content
    calls = value if isinstance(value, list) else [value]
    wrapped = [call if isinstance(call, Mapping) and "function" in call else {"function": call} for call in calls]
    parsed = Message.parse({"role": "assistant", "tool_calls": [{"type": "function", **call} for call in wrapped]})
    return parsed.tool_calls


def _from_json(text: str, what: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{what} is a text, and not the JSON of a list") from error


def _without_none(value: Any) -> Any:
    """Parquet gives every key of a struct to every row, None where a row has none."""
    if isinstance(value, Mapping):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return [_without_none(item) for item in value] if isinstance(value, list) else value
