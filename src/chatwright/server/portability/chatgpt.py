"""ChatGPT's export, read and written: a conversation is a ``mapping`` of nodes, each with a message or none."""

import re
from collections.abc import Mapping
from typing import Any, Final, cast

from chatwright.server.identifiers import now_ms
from chatwright.server.portability.conversation import (
    MAX_CONTENT_CHARS,
    MAX_MESSAGES,
    MAX_SYSTEM_PROMPT_CHARS,
    PortableConversation,
    PortableMessage,
    Role,
    one_line,
    storable,
)
from chatwright.server.portability.report import Skipped
from chatwright.server.portability.tree import Node, plant

_CITATION = re.compile("\ue200[^\ue200\ue201]{0,2000}\ue201")  # marks that only ChatGPT's page can resolve
_OLDEST_MS: Final = 946_684_800_000  # the year 2000: what claims to be older has no time
_DAY_MS: Final = 86_400_000
_MEDIA = {
    "image_asset_pointer": "[image]",
    "audio_asset_pointer": "[audio]",
    "video_container_asset_pointer": "[video]",
}


def parse_chatgpt(value: Mapping[str, Any], skipped: Skipped) -> PortableConversation | None:
    """A conversation of the export; None when nothing of it can be kept.

    Metadata may be missing: parents are found by the lists of children, times by the order.

    Args:
        value: with a ``mapping`` that is an object.
        skipped: counts what is left out.
    """
    mapping = value["mapping"]
    if len(mapping) > MAX_MESSAGES:
        skipped.count("too_many_messages")
        return None
    created = millis(value.get("create_time"))
    parents = _parents(mapping)
    nodes = {name: _node(parents.get(name), entry, skipped) for name, entry in mapping.items()}
    current = value.get("current_node")
    planted = plant(nodes, current if isinstance(current, str) else None, created or now_ms())
    skipped.count("cyclic_message", planted.num_unreachable)
    if not planted.messages:
        skipped.count("empty_conversation")
        return None
    times = [message.created_ms for message in planted.messages]
    key = value.get("conversation_id", value.get("id"))
    return PortableConversation(
        key=f"chatgpt {key}" if isinstance(key, str) and key else "",
        title=one_line(value.get("title")),
        messages=planted.messages,
        current_id=planted.current_id,
        created_ms=created or min(times),
        updated_ms=millis(value.get("update_time")) or max(times),
        system_prompt=_system_prompt(mapping, skipped),
        pinned=value.get("is_starred") is True,
        archived=value.get("is_archived") is True,
    )


def millis(seconds: object) -> int | None:
    """Seconds since 1970 as milliseconds; None for what is no time between the year 2000 and tomorrow."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return None
    value = seconds * 1000
    return int(value) if _OLDEST_MS <= value <= now_ms() + _DAY_MS else None  # NaN and infinity are not between


def _parents(mapping: Mapping[str, Any]) -> dict[str, str]:
    """The parent of every node that has one: by its own word; where it says nothing, by who lists it as a child."""
    parents: dict[str, str] = {}
    for name, entry in mapping.items():
        children = entry.get("children") if isinstance(entry, Mapping) else None
        for child in children if isinstance(children, list) else ():
            if isinstance(child, str):
                parents.setdefault(child, name)
    for name, entry in mapping.items():
        if isinstance(entry, Mapping) and "parent" in entry:
            parent = entry["parent"]
            if isinstance(parent, str):
                parents[name] = parent
            else:
                parents.pop(name, None)
    return parents


def _node(parent: str | None, entry: Any, skipped: Skipped) -> Node:
    message = entry.get("message") if isinstance(entry, Mapping) else None
    if not isinstance(message, Mapping):
        return Node(parent)
    content = message.get("content")
    if isinstance(content, Mapping) and content.get("content_type") == "thoughts":
        return Node(parent, thoughts=storable(_thoughts(content)))
    role = _role(message, skipped)
    if role is None:
        return Node(parent)
    text = storable(_text(content, skipped)).strip()
    if not text or len(text) > MAX_CONTENT_CHARS:
        skipped.count("message_too_long" if text else "empty_message")
        return Node(parent)
    metadata = message.get("metadata")
    model = one_line(metadata.get("model_slug")) if isinstance(metadata, Mapping) and role == "assistant" else ""
    created = millis(message.get("create_time")) or 0
    return Node(parent, PortableMessage("", None, role, text, created, model=model or None))


def _role(message: Mapping[str, Any], skipped: Skipped) -> Role | None:
    """Whose message it is; None, with the reason counted, for what is not kept."""
    role = _author(message)
    if role == "system":
        return None  # becomes the conversation's prompt
    if _is_hidden(message):
        skipped.count("hidden_message")
    elif role == "tool" or message.get("recipient") not in (None, "all"):
        skipped.count("tool_message")
    elif role in ("user", "assistant"):
        return cast(Role, role)
    else:
        skipped.count("unknown_role")
    return None


def _author(message: Mapping[str, Any]) -> Any:
    author = message.get("author")
    return author.get("role") if isinstance(author, Mapping) else author


def _is_hidden(message: Mapping[str, Any]) -> bool:
    metadata = message.get("metadata")
    hidden = isinstance(metadata, Mapping) and metadata.get("is_visually_hidden_from_conversation") is True
    return hidden or message.get("weight") == 0


def _system_prompt(mapping: Mapping[str, Any], skipped: Skipped) -> str:
    """The first system message that was shown and says something."""
    prompt = ""
    for entry in mapping.values():
        message = entry.get("message") if isinstance(entry, Mapping) else None
        if not isinstance(message, Mapping) or _author(message) != "system":
            continue
        text = storable(_text(message.get("content"), Skipped())).strip()
        if text and _is_hidden(message):
            skipped.count("hidden_message")
        elif text and (prompt or len(text) > MAX_SYSTEM_PROMPT_CHARS):
            skipped.count("system_message")
        else:
            prompt = prompt or text
    return prompt


def _text(content: Any, skipped: Skipped) -> str:
    """The text of a message; what is none leaves a word in its place."""
    if isinstance(content, str):
        return content
    if not isinstance(content, Mapping):
        return ""
    kind, parts, text = content.get("content_type", "text"), content.get("parts"), content.get("text")
    if kind == "code" and isinstance(text, str):
        language = content.get("language")
        return f"```{one_line(language, 20) if language != 'unknown' else ''}\n{text}\n```"
    if kind in ("text", "multimodal_text"):
        pieces = parts if isinstance(parts, list) else [text]
        return _CITATION.sub("", "\n".join(filter(None, (_part(piece, skipped) for piece in pieces))))
    if kind != "reasoning_recap":  # "Thought for 5 seconds": nothing is lost with it
        skipped.count("unsupported_content")
    return ""


def _part(part: Any, skipped: Skipped) -> str:
    match part:
        case str():
            return part
        case {"text": str(text)}:  # such as a recording's transcription
            return text
        case {"content_type": str(kind)}:
            skipped.count("media")
            return _MEDIA.get(kind, "[file]")
    return ""


def _thoughts(content: Mapping[str, Any]) -> str:
    thoughts = content.get("thoughts")
    pieces = [
        piece
        for thought in (thoughts if isinstance(thoughts, list) else ())
        if isinstance(thought, Mapping)
        for piece in (thought.get("summary"), thought.get("content"))
        if isinstance(piece, str) and piece
    ]
    return "\n\n".join(pieces)[:MAX_CONTENT_CHARS]


def to_chatgpt(conversation: PortableConversation) -> dict[str, Any]:
    """The conversation as ChatGPT's export has it."""
    children: dict[str, list[str]] = {"root": []}
    for message in conversation.messages:
        children.setdefault(message.parent_id or "root", []).append(message.id)
    mapping: dict[str, Any] = {"root": {"id": "root", "message": None, "parent": None, "children": children["root"]}}
    if conversation.system_prompt:
        mapping["system"] = _entry("system", "root", "system", conversation.system_prompt, None, [])
        mapping["root"]["children"] = ["system", *children["root"]]
    for message in conversation.messages:
        entry = _entry(
            message.id,
            message.parent_id or "root",
            message.role,
            message.content,
            message.created_ms,
            children.get(message.id, []),
        )
        entry["message"]["metadata"] = {"model_slug": message.model} if message.model else {}
        mapping[message.id] = entry
    return {
        "title": conversation.title,
        "create_time": conversation.created_ms / 1000,
        "update_time": conversation.updated_ms / 1000,
        "mapping": mapping,
        "current_node": conversation.current_id,
        "conversation_id": conversation.key,
        "id": conversation.key,
        "is_archived": conversation.archived,
        "is_starred": conversation.pinned,
        "default_model_slug": conversation.model,
        "moderation_results": [],
    }


def _entry(name: str, parent: str, role: str, text: str, created_ms: int | None, children: list[str]) -> dict[str, Any]:
    return {
        "id": name,
        "message": {
            "id": name,
            "author": {"role": role, "name": None, "metadata": {}},
            "create_time": None if created_ms is None else created_ms / 1000,
            "content": {"content_type": "text", "parts": [text]},
            "status": "finished_successfully",
            "end_turn": role == "assistant",
            "weight": 1.0,
            "metadata": {},
            "recipient": "all",
        },
        "parent": parent,
        "children": children,
    }
