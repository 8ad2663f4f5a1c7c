"""What an entry of a file is: a conversation of ours, of ChatGPT's, or a flat list of messages."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from chatwright.chat import Message
from chatwright.data.conversations import parse_conversation
from chatwright.errors import InputError
from chatwright.server.conversations.titles import title_of_question
from chatwright.server.identifiers import now_ms
from chatwright.server.portability.chatgpt import parse_chatgpt
from chatwright.server.portability.conversation import (
    MAX_CONTENT_CHARS,
    MAX_MESSAGES,
    MAX_SYSTEM_PROMPT_CHARS,
    PortableConversation,
    PortableMessage,
    one_line,
    storable,
)
from chatwright.server.portability.own import FORMAT, VERSION, parse_own
from chatwright.server.portability.report import Skipped
from chatwright.server.portability.tree import Node, plant

_LISTS = ("messages", "conversations", "conversation")


def parse_entry(value: Any, skipped: Skipped) -> PortableConversation | None:
    """A conversation, with a ``key`` that is the same whenever the same entry comes again.

    Args:
        value: any JSON.
        skipped: counts what is left out.

    Returns:
        None when the entry is no conversation, or nothing of it can be kept.
    """
    match value:
        case {"mapping": Mapping()}:
            conversation = parse_chatgpt(value, skipped)
        case {"format": str(name), "version": int(version), "messages": list()} if (name, version) == (FORMAT, VERSION):
            conversation = parse_own(value, skipped)
        case _:
            conversation = _parse_flat(value, skipped)
    if conversation is None or conversation.key:
        return conversation
    return replace(conversation, key=f"content {_digest(conversation)}")


def _parse_flat(value: Any, skipped: Skipped) -> PortableConversation | None:
    """OpenAI's or ShareGPT's list of messages, alone or within an object."""
    messages = next((value[key] for key in _LISTS if key in value), None) if isinstance(value, Mapping) else value
    if not isinstance(messages, list) or not messages:
        skipped.count("not_a_conversation")
        return None
    if len(messages) > MAX_MESSAGES:
        skipped.count("too_many_messages")
        return None
    try:
        parsed = parse_conversation(_storable(messages), "messages")
    except (InputError, RecursionError):
        skipped.count("not_a_conversation")
        return None
    prompt = storable(parsed[0].content or "") if parsed[0].role == "system" else ""
    if len(prompt) > MAX_SYSTEM_PROMPT_CHARS:
        skipped.count("system_message")
        prompt = ""
    rest = parsed[1:] if parsed[0].role == "system" else parsed
    nodes = {
        str(number): Node(str(number - 1) if number else None, _message(message, skipped))
        for number, message in enumerate(rest)
    }
    start = now_ms()
    planted = plant(nodes, None, start)
    if not planted.messages:
        skipped.count("empty_conversation")
        return None
    return PortableConversation(
        key="",
        title=(one_line(value.get("title")) if isinstance(value, Mapping) else "") or _title(planted.messages),
        messages=planted.messages,
        current_id=planted.messages[-1].id,
        created_ms=start,
        updated_ms=start,
        system_prompt=prompt,
    )


def _title(messages: Sequence[PortableMessage]) -> str:
    """What conversations are called whose source knows no names: by their first question, like our own."""
    return one_line(title_of_question(next((each.content for each in messages if each.role == "user"), "")))


def _message(message: Message, skipped: Skipped) -> PortableMessage | None:
    role, content = message.role, message.content or ""
    if role == "system":
        skipped.count("system_message")
    elif role == "tool" or message.tool_calls:
        skipped.count("tool_message")
    elif not content.strip() or len(content) > MAX_CONTENT_CHARS:
        skipped.count("message_too_long" if content.strip() else "empty_message")
    else:
        reasoning = (message.reasoning_content or "")[:MAX_CONTENT_CHARS]
        return PortableMessage("", None, role, content, created_ms=0, reasoning=reasoning)
    return None


def _storable(value: Any) -> Any:
    """A value of JSON whose texts can be kept."""
    match value:
        case str():
            return storable(value)
        case dict():
            return {key: _storable(item) for key, item in value.items()}
        case list():
            return [_storable(item) for item in value]
    return value


def _digest(conversation: PortableConversation) -> str:
    """Of what is said, whenever it was said."""
    said = [(message.role, message.parent_id, message.content) for message in conversation.messages]
    text = json.dumps([conversation.title, conversation.system_prompt, said], ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
