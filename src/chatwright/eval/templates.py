"""Templates and expressions of task files: Jinja in a sandbox, in which a missing key is an error."""

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, TypeVar

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from chatwright.errors import ConfigError, InputError

T = TypeVar("T")


def _sub(text: str, pattern: str, replacement: str = "") -> str:
    """``text | sub('pattern', 'replacement')``: what Jinja's ``replace`` does, with a regular expression."""
    return re.sub(pattern, replacement, text)


@cache
def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    environment.filters["sub"] = _sub
    return environment


def text_template(source: str, *, where: str) -> Callable[[Mapping[str, Any]], str]:
    """A function from a record to the text of a template.

    Raises:
        ConfigError: the template is broken. The function raises InputError where it does not fit a record.
    """
    try:
        template = _environment().from_string(source)
    except jinja2.TemplateSyntaxError as error:
        raise ConfigError(f"{where}: the template {source!r} is broken: {error.message}") from None
    return lambda record: _evaluated(lambda: template.render(_names(record)), where, record)


def expression(source: str, *, where: str) -> Callable[[Mapping[str, Any]], Any]:
    """A function from a record to the value of an expression; errors as for :func:`text_template`."""
    try:
        compiled = _environment().compile_expression(source, undefined_to_none=False)
    except jinja2.TemplateSyntaxError as error:
        raise ConfigError(f"{where}: the expression {source!r} is broken: {error.message}") from None

    def evaluate(record: Mapping[str, Any]) -> Any:
        value = _evaluated(lambda: compiled(_names(record)), where, record)
        if isinstance(value, jinja2.Undefined):
            raise InputError(_unfit(where, f"{source} is not there", record))
        return value

    return evaluate


def _evaluated(evaluate: Callable[[], T], where: str, record: Mapping[str, Any]) -> T:
    try:
        return evaluate()
    except jinja2.UndefinedError as error:
        raise InputError(_unfit(where, str(error.message), record)) from None
    except (
        jinja2.TemplateError,
        ArithmeticError,
        AttributeError,
        LookupError,
        TypeError,
        ValueError,
        re.error,
    ) as error:
        raise InputError(_unfit(where, str(error), record)) from None


def _names(record: Mapping[str, Any]) -> dict[str, Any]:
    return {**record, "row": record}


def _unfit(where: str, problem: str, record: Mapping[str, Any]) -> str:
    keys = ", ".join(map(str, record)) or "none"
    return f"{where} does not fit the data: {problem}; the record has the keys {keys}"
