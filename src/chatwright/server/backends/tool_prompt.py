"""Tools for models whose template knows none: described to them in words, in the form that most others learn."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from chatwright.chat import Message
from chatwright.server.backends.tool_forms import Tool

_INSTRUCTIONS: Final = """You may call functions to help with the request. The functions, one JSON object a line:
<tools>
{tools}
</tools>
To call one, answer with a JSON object inside tags and nothing else:
<tool_call>
{{"name": "function name", "arguments": {{"argument": "value"}}}}
</tool_call>"""


def in_words(messages: Sequence[Message], tools: Sequence[Tool], *, takes_system: bool) -> tuple[Message, ...]:
    """The chat with its tools, calls and results as plain text.

    Args:
        messages: the chat.
        tools: in OpenAI's form; may be empty.
        takes_system: whether the template has system messages; otherwise the first user's message carries the tools.
    """
    chat = tuple(_merged(_message(message) for message in messages))
    if not tools:
        return chat
    lines = "\n".join(json.dumps(tool.get("function", tool), ensure_ascii=False) for tool in tools)
    text = _INSTRUCTIONS.format(tools=lines)
    if takes_system and chat[0].role != "system":
        return (Message("system", text), *chat)
    first = next((index for index, message in enumerate(chat) if takes_system or message.role == "user"), None)
    if first is None:
        return (Message("user", text), *chat)
    own = chat[first].content or ""
    joined = f"{own}\n\n{text}" if takes_system else f"{text}\n\n{own}"
    return (*chat[:first], replace(chat[first], content=joined), *chat[first + 1 :])


def _message(message: Message) -> Message:
    if message.role == "tool":
        return Message("user", f"<tool_response>\n{message.content}\n</tool_response>")
    if not message.tool_calls:
        return message
    calls = "\n".join(f"<tool_call>\n{_call_json(call)}\n</tool_call>" for call in message.tool_calls)
    text = f"{message.content}\n{calls}" if message.content else calls
    return replace(message, content=text, tool_calls=())


def _call_json(call: Mapping[str, Any]) -> str:
    function = call.get("function", call)
    return json.dumps({"name": function.get("name"), "arguments": function.get("arguments")}, ensure_ascii=False)


def _merged(messages: Iterator[Message]) -> Iterator[Message]:
    """Results of several calls become one message: some templates insist that user and assistant take turns."""
    last: Message | None = None
    for message in messages:
        results = message.role == "user" and (message.content or "").startswith("<tool_response>")
        if last is not None and results and last.role == "user" and (last.content or "").endswith("</tool_response>"):
            last = replace(last, content=f"{last.content}\n{message.content}")
            continue
        if last is not None:
            yield last
        last = message
    if last is not None:
        yield last
