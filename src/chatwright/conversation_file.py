"""A conversation as a JSON file: ours, and any other with a list of messages in OpenAI's form."""

import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from chatwright.chat.messages import Message
from chatwright.errors import InputError, StorageError

FORMAT = "chatwright-conversation"
_MAX_BYTES = 256 << 20


def write_conversation(path: Path, messages: Sequence[Message], *, model: str) -> None:
    """Write ``messages`` to ``path``, wholly or not at all.

    Raises:
        StorageError: it cannot be written.
    """
    content = {
        "format": FORMAT,
        "version": 1,
        "model": model,
        "messages": [message.to_dict() for message in messages],
    }
    path = path.expanduser()
    try:
        with tempfile.NamedTemporaryFile(
            "w", dir=path.parent, prefix=f".{path.name}.", delete=False, encoding="utf-8"
        ) as file:
            json.dump(content, file, ensure_ascii=False, indent=2)
        os.replace(file.name, path)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror or error}") from error


def read_conversation(path: Path) -> list[Message]:
    """Read what :func:`write_conversation` wrote, or ``{"messages": […]}``, or the list alone.

    Raises:
        InputError: the file is missing, or holds no such list; the message says where.
    """
    path = path.expanduser()
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise InputError(f"{path} is larger than any conversation")
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON: {error}") from error
    messages = content.get("messages") if isinstance(content, dict) else content
    if not isinstance(messages, list):
        raise InputError(f"{path} has no list of messages")
    return [_message(item, f"{path}, message {number}") for number, item in enumerate(messages, 1)]


def _message(item: Any, where: str) -> Message:
    try:
        return Message.parse(item)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
