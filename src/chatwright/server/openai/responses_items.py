"""Items of the Responses API, and the messages that they are: what a model reads is always a chat."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from chatwright.chat import Message, parse_messages
from chatwright.server.errors import ApiError
from chatwright.server.identifiers import new_id
from chatwright.server.openai.responses_shapes import CallItem, CallOutputItem, MessageItem, ReasoningItem

AnyItem = MessageItem | CallItem | CallOutputItem | ReasoningItem
_TEXTS = frozenset({"input_text", "output_text", "text", "refusal", "summary_text", "reasoning_text"})
_PREFIXES = {"message": "msg_", "function_call": "fc_", "function_call_output": "fco_", "reasoning": "rs_"}


def as_items(given: str | Sequence[AnyItem]) -> list[dict[str, Any]]:
    """What a request brings, in the one form that is stored, listed and read: every item whole and with an id.

    Raises:
        ApiError: a part of a message is not text.
    """
    if isinstance(given, str):
        given = [MessageItem(role="user", content=given)]
    return [_item(item) for item in given]


def as_messages(items: Iterable[Mapping[str, Any]], instructions: str | None) -> tuple[Message, ...]:
    """The chat that items make: thoughts, text and calls that follow each other are one message of the assistant.

    Args:
        items: as :func:`as_items` makes them, or of an earlier response's output.
        instructions: of the system; they come first.

    Raises:
        InputError: a text cannot be used.
    """
    chat: list[dict[str, Any]] = [{"role": "system", "content": instructions}] if instructions else []
    open_turn: dict[str, Any] | None = None  # of the assistant, to which calls may still be added
    for item in items:
        kind = item["type"]
        if kind == "message" and item["role"] != "assistant":
            role = "system" if item["role"] == "developer" else item["role"]
            chat.append({"role": role, "content": _text(item["content"])})
            open_turn = None
        elif kind == "function_call_output":
            chat.append({"role": "tool", "tool_call_id": item["call_id"], "content": _text(item["output"])})
            open_turn = None
        else:
            if open_turn is None or not _goes_on(open_turn, kind):
                open_turn = {"role": "assistant"}
                chat.append(open_turn)
            _add(open_turn, item)
    for message in chat:
        if message["role"] == "assistant" and not message.get("tool_calls"):
            message.setdefault("content", "")
    return parse_messages(chat)


def _goes_on(turn: Mapping[str, Any], kind: str) -> bool:
    """Whether an item belongs to the assistant's message so far: thoughts, then text, then calls."""
    if kind == "function_call":
        return True
    return (
        not turn.get("tool_calls") and "content" not in turn and (kind == "message" or "reasoning_content" not in turn)
    )


def _add(turn: dict[str, Any], item: Mapping[str, Any]) -> None:
    match item["type"]:
        case "reasoning":
            turn["reasoning_content"] = _text(item.get("content") or item.get("summary") or [])
        case "message":
            turn["content"] = _text(item["content"])
        case _:
            function = {"name": item["name"], "arguments": item["arguments"]}
            turn.setdefault("tool_calls", []).append({"id": item["call_id"], "type": "function", "function": function})


def _item(item: AnyItem) -> dict[str, Any]:
    written = item.model_dump(exclude_none=True)
    written["id"] = item.id or new_id(_PREFIXES[item.type])
    written["status"] = "completed"
    if isinstance(item, MessageItem):
        kind = "output_text" if item.role == "assistant" else "input_text"
        parts = [{"type": kind, "text": item.content}] if isinstance(item.content, str) else item.content
        texts = [{"type": kind, "text": _part(part)} for part in parts]
        written["content"] = [text | {"annotations": []} for text in texts] if kind == "output_text" else texts
    elif isinstance(item, CallOutputItem):
        written["output"] = _text(item.output)
    return written


def _text(content: str | Iterable[Mapping[str, Any]]) -> str:
    return content if isinstance(content, str) else "\n".join(_part(part) for part in content)


def _part(part: Mapping[str, Any]) -> str:
    """The text of a part, whose key is named after its kind. Raises ApiError for pictures, files and sound."""
    kind = part.get("type")
    if kind not in _TEXTS:
        told = f"content has a part of type {kind!r}; the models here read text only"
        raise ApiError(400, told, code="invalid_value", param="input")
    key = "refusal" if kind == "refusal" else "text"
    if not isinstance(text := part.get(key), str):
        told = f"content has a part of type {kind!r} whose {key} is no string"
        raise ApiError(400, told, code="invalid_value", param="input")
    return text
