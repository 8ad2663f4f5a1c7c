"""LLaMA-Factory's ``dataset_info.json``: a file that names data sets and says which key of theirs means what."""

import json
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from chatwright.data.settings import DataSettings, Format
from chatwright.errors import ConfigError, InputError

FILE_NAME = "dataset_info.json"

# Its names for what a column is → ours; what it takes for granted about a column is what we recognise anyway.
_COLUMNS = {
    "prompt": "instruction",
    "query": "input",
    "response": "output",
    "history": "history",
    "system": "system",
    "tools": "tools",
    "messages": "messages",
    "chosen": "chosen",
    "rejected": "rejected",
    "kto_tag": "label",
}
_TAGS = {
    "role_tag": "role",
    "content_tag": "content",
    "user_tag": "user",
    "assistant_tag": "assistant",
    "observation_tag": "tool",
    "function_tag": "function_call",
    "system_tag": "system",
}


def is_dataset_info(path: Path) -> bool:
    """Whether ``path`` is such a file; a folder saved by ``datasets`` has another one of the same name."""
    return path.name == FILE_NAME and path.is_file() and bool(_entries(path))


def entry_settings(path: Path, settings: DataSettings) -> DataSettings:
    """The settings of the entry that ``settings.name`` chooses, with the file's columns, format and source.

    What ``settings`` says itself (``limit``, ``clean`` …) stays; what it says about columns wins.

    Raises:
        ConfigError: there is no such entry, or it needs something that is not supported (scripts, images).
    """
    entries = _entries(path)
    name = settings.name or (next(iter(entries)) if len(entries) == 1 else None)
    if name is None:
        names = ", ".join(sorted(entries)[:20])
        raise ConfigError(f"{path} names {len(entries)} data sets; choose one by name: {names}")
    if name not in entries:
        near = get_close_matches(name, entries, n=3, cutoff=0.5) or sorted(entries)[:20]
        raise ConfigError(f"{path} has no data set {name!r}; it has {', '.join(near)}")
    entry = entries[name]
    if useless := next((key for key in ("script_url", "cloud_file_name") if entry.get(key)), None):
        raise ConfigError(f"{path}: {name} is given by {useless}, which is not supported; name its files instead")
    if media := next((key for key in ("images", "videos", "audios") if entry.get("columns", {}).get(key)), None):
        raise ConfigError(f"{path}: {name} has {media}; models here read text only")
    update: dict[str, Any] = {
        **_source(path, name, entry),
        "format": settings.format if settings.format != "auto" else _format(entry),
        "columns": {**_columns(path, name, entry), **settings.columns},
        "tags": {**{_TAGS[key]: tag for key, tag in entry.get("tags", {}).items() if key in _TAGS}, **settings.tags},
        "limit": settings.limit or entry.get("num_samples"),
    }
    return settings.model_copy(update=update)


def _entries(path: Path) -> dict[str, Mapping[str, Any]]:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read as JSON: {error}") from error
    sources = ("file_name", "hf_hub_url", "ms_hub_url", "script_url", "cloud_file_name")
    entries = content.items() if isinstance(content, dict) else ()
    return {name: entry for name, entry in entries if isinstance(entry, dict) and any(map(entry.get, sources))}


def _source(path: Path, name: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    if entry.get("hf_hub_url"):
        return {"path": entry["hf_hub_url"], "name": entry.get("subset"), "split": entry.get("split")}
    if entry.get("file_name"):
        return {"path": str(path.parent / entry["file_name"]), "name": None, "split": None}
    raise ConfigError(f"{path}: {name} is on ModelScope only; download it and name its files")


def _format(entry: Mapping[str, Any]) -> Format:
    if entry.get("ranking"):
        return "preference"
    return "rated" if "kto_tag" in entry.get("columns", {}) else "auto"


def _columns(path: Path, name: str, entry: Mapping[str, Any]) -> dict[str, str]:
    """Our key → the file's. An entry for pretraining calls its text a prompt, and nothing answers it."""
    columns = {key: value for key, value in entry.get("columns", {}).items() if value}
    unknown = next((key for key in columns if key not in _COLUMNS), None)
    if unknown:
        raise ConfigError(f"{path}: {name} has the unknown column {unknown!r}; known are {', '.join(_COLUMNS)}")
    if set(columns) == {"prompt"}:
        return {"text": columns["prompt"]}
    return {_COLUMNS[key]: value for key, value in columns.items()}
