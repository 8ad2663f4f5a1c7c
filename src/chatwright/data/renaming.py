"""Records whose keys and roles have names of their own, brought to the names that we recognise."""

from collections.abc import Mapping
from typing import Any

from chatwright.data.settings import DataSettings
from chatwright.errors import InputError

_CONVERSATIONS = ("messages", "conversations", "conversation", "prompt", "completion", "chosen", "rejected")
_MESSAGE_KEYS = ("role", "content")


def renamed(record: Any, settings: DataSettings) -> Any:
    """A record by our names, as ``columns`` and ``tags`` say. Keys that they do not mention stay.

    Raises:
        InputError: the record lacks a key that ``columns`` names.
    """
    if not isinstance(record, Mapping):
        return record
    value = dict(record)
    if settings.columns:
        taken = {key: value.pop(key) for key in set(settings.columns.values()) if key in value}
        for ours, theirs in settings.columns.items():
            if theirs in taken:
                value[ours] = taken[theirs]
            elif ours not in _OPTIONAL:
                raise InputError(f"it has no {theirs!r}, which columns names as {ours}")
    if settings.tags:
        for key in _CONVERSATIONS:
            if key in value:
                value[key] = _retagged(value[key], settings.tags)
    return value


_OPTIONAL = ("input", "system", "history", "tools")


def _retagged(value: Any, tags: Mapping[str, str]) -> Any:
    if isinstance(value, list):
        return [_retagged(item, tags) for item in value]
    if not isinstance(value, Mapping):
        return value
    names = {theirs: ours for ours, theirs in tags.items()}
    keys = {tags[key]: key for key in _MESSAGE_KEYS if key in tags}
    message = {keys.get(key, key): item for key, item in value.items()}
    role = message.get("role", message.get("from"))
    if isinstance(role, str) and role in names and names[role] not in _MESSAGE_KEYS:
        message.pop("from", None)
        message["role"] = names[role]
    return message
