"""Our own file of a conversation: everything that there is of it, as JSON."""

from collections.abc import Mapping
from typing import Any, Final

from chatwright.server.identifiers import now_ms
from chatwright.server.portability.chatgpt import millis
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

FORMAT: Final = "chatwright-conversation"
VERSION: Final = 2  # 1 is the flat list of messages that the command line writes
_MAX_ATTACHMENTS: Final = 10


def to_own(conversation: PortableConversation) -> dict[str, Any]:
    """The conversation with all branches, in the form that :func:`parse_own` reads."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "id": conversation.key,
        "title": conversation.title,
        "model": conversation.model,
        "system_prompt": conversation.system_prompt,
        "sampling": dict(conversation.sampling),
        "folder": conversation.folder,
        "pinned": conversation.pinned,
        "archived": conversation.archived,
        "created_ms": conversation.created_ms,
        "updated_ms": conversation.updated_ms,
        "current_id": conversation.current_id,
        "messages": [
            {
                "id": message.id,
                "parent_id": message.parent_id,
                "role": message.role,
                "content": message.content,
                "reasoning": message.reasoning,
                "model": message.model,
                "created_ms": message.created_ms,
                "attachments": [dict(attachment) for attachment in message.attachments],
                **message.details,
            }
            for message in conversation.messages
        ],
    }


def parse_own(value: Mapping[str, Any], skipped: Skipped) -> PortableConversation | None:
    """A conversation of a file of ours. What it says of origins and ratings is not believed: anybody can write it.

    Args:
        value: with a list of ``messages``.
        skipped: counts what is left out.
    """
    entries = value["messages"]
    if len(entries) > MAX_MESSAGES:
        skipped.count("too_many_messages")
        return None
    nodes: dict[str, Node] = {}
    for number, entry in enumerate(entries):
        given = entry if isinstance(entry, Mapping) else {}
        name, parent = given.get("id"), given.get("parent_id")
        key = name if isinstance(name, str) and name not in nodes else f"#{number}"
        nodes[key] = Node(parent if isinstance(parent, str) else None, _message(given, skipped))
    current = value.get("current_id")
    created = _time(value.get("created_ms"))
    planted = plant(nodes, current if isinstance(current, str) else None, created or now_ms())
    skipped.count("cyclic_message", planted.num_unreachable)
    if not planted.messages:
        skipped.count("empty_conversation")
        return None
    times = [message.created_ms for message in planted.messages]
    source, prompt = value.get("id"), value.get("system_prompt")
    return PortableConversation(
        key=f"chatwright {source}" if isinstance(source, str) and source else "",
        title=one_line(value.get("title")),
        messages=planted.messages,
        current_id=planted.current_id,
        created_ms=created or min(times),
        updated_ms=_time(value.get("updated_ms")) or max(times),
        system_prompt=storable(prompt)[:MAX_SYSTEM_PROMPT_CHARS] if isinstance(prompt, str) else "",
        folder=one_line(value.get("folder")) or None,
        pinned=value.get("pinned") is True,
        archived=value.get("archived") is True,
    )


def _message(entry: Mapping[str, Any], skipped: Skipped) -> PortableMessage | None:
    role: Role
    match entry.get("role"):
        case "user" | "assistant" as role:
            pass
        case _:
            skipped.count("unknown_role")
            return None
    content, reasoning = (_text(entry.get(key)) for key in ("content", "reasoning"))
    if not content.strip() or len(content) > MAX_CONTENT_CHARS:
        skipped.count("message_too_long" if content.strip() else "empty_message")
        return None
    return PortableMessage(
        id="",
        parent_id=None,
        role=role,
        content=content,
        created_ms=_time(entry.get("created_ms")) or 0,
        reasoning=reasoning[:MAX_CONTENT_CHARS],
        model=one_line(entry.get("model")) or None,
        attachments=_attachments(entry.get("attachments"), skipped),
    )


def _attachments(value: Any, skipped: Skipped) -> tuple[Mapping[str, Any], ...]:
    given = value if isinstance(value, list) else []
    kept = [
        {"name": one_line(item.get("name")) or "attachment", "text": _text(item.get("text"))}
        for item in given[:_MAX_ATTACHMENTS]
        if isinstance(item, Mapping) and 0 < len(_text(item.get("text"))) <= MAX_CONTENT_CHARS
    ]
    skipped.count("media", len(given) - len(kept))
    return tuple(kept)


def _text(value: object) -> str:
    return storable(value) if isinstance(value, str) else ""


def _time(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > 1 << 53:
        return None
    return millis(value / 1000)
