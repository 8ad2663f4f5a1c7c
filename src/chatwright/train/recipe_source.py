"""From a YAML file and ``key=value`` overrides to plain values, before anything is checked against a schema."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from chatwright.errors import ConfigError

_MAX_BYTES = 1 << 20  # a recipe is written by hand; a larger file is a mistake
# Where a plain string stands for a mapping with that one key, so that an override can add another key beside it.
_SHORTHANDS = {"model": "from", "tokenizer": "from"}


class _Loader(yaml.SafeLoader):
    """YAML as people expect it: ``1e-4`` is a number, and a key that is given twice is an error."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[object] = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node)
        if isinstance(key, (list, dict)):
            raise yaml.constructor.ConstructorError(problem="a key must be text", problem_mark=key_node.start_mark)
        if key in seen:
            raise yaml.constructor.ConstructorError(problem=f"{key!r} is given twice", problem_mark=key_node.start_mark)
        seen.add(key)
    loader.flatten_mapping(node)
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
_Loader.add_implicit_resolver(  # YAML 1.1 wants a dot and a sign in an exponent, and reads 1e-4 as text
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d[\d_]*)(\.[\d_]*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def parse_yaml(text: str, where: str) -> Any:
    """The value of a YAML text.

    Raises:
        ConfigError: it is not YAML; names ``where`` and the line.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = "" if mark is None else f", line {mark.line + 1}, column {mark.column + 1}"
        problem = getattr(error, "problem", None) or str(error)
        raise ConfigError(f"{where}{line}: not valid YAML: {problem}") from None
    except (ValueError, RecursionError) as error:  # a date such as 2026-13-45, or a thousand brackets
        raise ConfigError(f"{where}: not valid YAML: {error}") from None


def read_values(path: Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """The recipe's values with the overrides in place.

    Args:
        path: a YAML file that holds a mapping.
        overrides: ``dotted.key=value``, the value as YAML; ``stages.NAME=null`` leaves out a stage.

    Raises:
        ConfigError: there is no such file, it is no YAML mapping, or an override has no place.
    """
    values = parse_yaml(_read(path), str(path))
    if not isinstance(values, dict):
        raise ConfigError(f"{path} holds no recipe; it must be a mapping with `model`, `data` and `stages`")
    for override in overrides:
        apply_override(values, override)
    return values


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, under dotted keys: ``{"stages.sft.learning_rate": 1e-4}``."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ConfigError(f"{path} is larger than a megabyte; that is no recipe")
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"there is no recipe {path}; give the path of a YAML file") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8 text; a recipe is a YAML file") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from None


def apply_override(values: dict[str, Any], override: str) -> None:
    """Put a ``dotted.key=value`` into a recipe's values. Raises ConfigError where it has no place."""
    key, equals, text = override.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise ConfigError(f"--set {override}: write it as key=value, such as stages.sft.learning_rate=1e-4")
    value = parse_yaml(text, f"--set {key}")
    node: dict[str, Any] = values
    for depth, part in enumerate(parts[:-1], start=1):
        child = node.get(part)
        if isinstance(child, str) and (shorthand := _shorthand(parts[:depth])):
            child = node[part] = {shorthand: child}
        elif child is None:
            child = node[part] = {}
        if not isinstance(child, dict):
            raise ConfigError(f"--set {override}: {'.'.join(parts[:depth])} is {child!r} and has no keys below it")
        node = child
    if value is None and len(parts) == 2 and parts[0] in ("stages", "data"):
        node.pop(parts[-1], None)
    else:
        node[parts[-1]] = value


def _shorthand(parts: Sequence[str]) -> str | None:
    if len(parts) == 2 and parts[0] == "data":
        return "path"
    return _SHORTHANDS.get(parts[0]) if len(parts) == 1 else None
