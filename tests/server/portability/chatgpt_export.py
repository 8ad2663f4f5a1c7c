"""Exports as ChatGPT writes them, made for the tests."""

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

BEGUN = 1_700_000_000.5


def message(role: str, text: str, *, at: float | None = None, **more: Any) -> dict[str, Any]:
    """A message of the export."""
    return {
        "author": {"role": role, "name": None, "metadata": {}},
        "create_time": at,
        "content": {"content_type": "text", "parts": [text]},
        "weight": 1.0,
        "recipient": "all",
        "metadata": {"model_slug": "gpt-4o"} if role == "assistant" else {},
    } | more


def conversation(nodes: Mapping[str, tuple[str | None, Any]], **more: Any) -> dict[str, Any]:
    """A conversation from nodes: parent and message by id."""
    mapping = {
        name: {
            "id": name,
            "parent": parent,
            "message": said,
            "children": [other for other, (above, _) in nodes.items() if above == name],
        }
        for name, (parent, said) in nodes.items()
    }
    return {
        "title": "Rivers",
        "create_time": BEGUN,
        "update_time": BEGUN + 60,
        "mapping": mapping,
        "current_node": list(nodes)[-1] if nodes else None,
        "conversation_id": "11111111-2222",
    } | more


def rivers(**more: Any) -> dict[str, Any]:
    """A question with two answers, the second of which was shown, and a further turn."""
    return conversation(
        {
            "root": (None, None),
            "hidden": ("root", message("system", "", weight=0.0)),
            "q1": ("hidden", message("user", "哪条河最长？", at=BEGUN + 1)),
            "a1": ("q1", message("assistant", "The Amazon.", at=BEGUN + 2)),
            "a2": ("q1", message("assistant", "The Nile.", at=BEGUN + 3)),
            "q2": ("a2", message("user", "Are you sure?", at=BEGUN + 4)),
            "a3": ("q2", message("assistant", "Not entirely.", at=BEGUN + 5)),
        },
        **more,
    )


def many(number: int) -> list[dict[str, Any]]:
    """Conversations that differ."""
    return [rivers(conversation_id=f"id-{index}", title=f"Rivers {index}") for index in range(number)]


def zipped(files: Mapping[str, bytes | str], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A ZIP of these files."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return data.getvalue()


def shards(conversations: Sequence[Any], size: int) -> dict[str, str]:
    """Conversations in files as the export has them since 2025."""
    return {
        f"conversations-{index // size:03d}.json": json.dumps(conversations[index : index + size])
        for index in range(0, len(conversations), size)
    }
