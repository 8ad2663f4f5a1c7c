"""One sentence for what a schema refuses: which key, which value, what is allowed."""

import difflib
from collections.abc import Iterable
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from chatwright.errors import ConfigError

M = TypeVar("M", bound=BaseModel)


def checked(schema: type[M], values: Any, *, where: str, key: str = "") -> M:
    """``schema.model_validate(values)``, with our own errors.

    Args:
        schema: what the values must fit.
        values: as read from a file.
        where: the file, for the message.
        key: the dotted key of ``values`` in the file.

    Raises:
        ConfigError: they do not; the first problem in one sentence.
    """
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{where}: {_sentence(schema, error.errors()[0], key)}") from None


def nearest(name: str, allowed: Iterable[str]) -> str:
    """What is allowed in place of ``name``: the likeliest names first, all where there are few."""
    known = sorted(allowed)
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    if close:
        return f"did you mean {' or '.join(close)}?"
    if not known:
        return "nothing is allowed here"
    return f"allowed are: {', '.join(known)}"


def _sentence(schema: type[BaseModel], error: ErrorDetails, key: str) -> str:
    path = [str(part) for part in error["loc"] if _is_key(part)]
    dotted = ".".join([key, *path] if key else path)
    value = error["input"]
    if error["type"] == "extra_forbidden":
        return f"unknown key {dotted} (= {_short(value)}); {nearest(path[-1], _fields_at(schema, path[:-1]))}"
    if error["type"] == "missing":
        return f"{dotted} is missing; add it"
    message = error["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    if error["type"] in ("value_error", "assertion_error"):
        return f"{dotted}: {message}" if dotted else message
    message = message.replace("Input should be", "it must be").replace("Input should", "it must")
    return f"{dotted} is {_short(value)}; {message[:1].lower()}{message[1:]}" if dotted else message


def _is_key(part: int | str) -> bool:
    """Whether a part of an error's place is in the file: pydantic adds the names of a union's types."""
    if isinstance(part, int):
        return True
    return part not in ("bool", "int", "str") and not any(sign in part for sign in "[]()")


def _fields_at(schema: type[BaseModel], path: list[str]) -> list[str]:
    """The keys that the schema knows at ``path``."""
    for part in path:
        inner = next((f for name, f in schema.model_fields.items() if part in (name, f.alias)), None)
        found = None if inner is None else _model_in(inner.annotation)
        if found is None:
            continue  # an index, or a key of a mapping: the schema of its values was found at the mapping itself
        schema = found
    return [field.alias or name for name, field in schema.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The first schema inside a type such as ``dict[str, Schema] | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        if (found := _model_in(inner)) is not None:
            return found
    return None


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
