"""What the ``data`` commands are asked to look at: a file, folder, hub name, or an entry of a recipe."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chatwright.errors import ConfigError

if TYPE_CHECKING:
    from chatwright.chat import ChatTemplate
    from chatwright.data.report import DataReport
    from chatwright.data.rows import Row
    from chatwright.data.settings import DataSettings


def settings_of(path: str, key: str | None, overrides: Sequence[str]) -> "DataSettings":
    """The settings of a source.

    Args:
        path: of the data, or of a recipe (.yaml).
        key: which of a recipe's data.
        overrides: ``key=value`` of the source's settings, such as ``clean=true``.

    Raises:
        ConfigError: there is no such recipe or key, or a setting is wrong.
    """
    from chatwright.data.settings import DataSettings
    from chatwright.train.explain import checked, nearest
    from chatwright.train.recipe_source import apply_override, read_values

    entries: dict[str, Any] = {"data": {"data": {"path": path}}}
    where = path
    if Path(path).suffix in (".yaml", ".yml"):
        entries = {"data": read_values(Path(path)).get("data") or {}}
        key = key or next(iter(entries["data"]), None)
        if key not in entries["data"]:
            raise ConfigError(f"{path} has no data called {key!r}; {nearest(str(key), entries['data'])}")
        where = f"{path}: data.{key}"
    elif key is not None:
        raise ConfigError(f"--data chooses an entry of a recipe, and {path} is none; leave it out")
    for override in overrides:
        apply_override(entries, f"data.{key or 'data'}.{override}")
    return checked(DataSettings, entries["data"][key or "data"], where=where)


def rows_of(settings: "DataSettings", kind: str | None, report: "DataReport") -> "Iterator[Row]":
    """The rows of a source, of one kind or of any. Raises InputError as they are drawn."""
    from chatwright.data.any_encoder import KINDS
    from chatwright.data.sources import read_rows
    from chatwright.safety.pii import redact

    kinds = tuple(KINDS.values()) if kind is None else (KINDS[kind],)
    return read_rows(settings, kinds=kinds, report=report, redact=redact)


def template_of(model: str | None, tokenizer: str | None) -> "ChatTemplate":
    """The chat template and tokenizer of a model, or those of a folder that holds nothing else."""
    from chatwright.chat import ChatTemplate
    from chatwright.loaded import load_tokenizer

    return ChatTemplate(load_tokenizer(tokenizer or model))
