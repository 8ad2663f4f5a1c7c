"""Where chat templates run: Jinja's immutable sandbox, with the names transformers offers and bounds on the work.

A template comes with a model from the internet, so it is a program that we do not trust. The sandbox keeps it from
Python's internals; the budget keeps it from eating time and memory, also through single operations that grow without a
loop, such as ``'x' * 10**9``.
"""

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from functools import wraps
from typing import Any, NoReturn

from jinja2 import nodes, pass_eval_context
from jinja2.exceptions import SecurityError, TemplateRuntimeError
from jinja2.ext import Extension, loopcontrols
from jinja2.filters import do_indent, do_join
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

from chatwright.chat.marks import Place, mark_of

# Single operations whose result is far larger than their arguments, and which no chat template needs.
_FORBIDDEN_METHODS = frozenset({"encode", "decode", "expandtabs", "format_map", "maketrans", "translate"})
_FORBIDDEN_FILTERS = ("batch", "center", "format", "slice", "urlize", "wordwrap", "xmlattr")
_INSTANT = ("count", "first", "last", "length")  # filters that take no longer for a longer list
_WIDE_FORMAT = re.compile(r"\d{5}|\*|\{[^{}]*:[^{}]*\{")  # a width of 10,000 and more, or one computed at run time
_NUMBERED_CHARACTER = re.compile(r"%[^a-zA-Z%]*c|:[^{}]*c\}")  # would make a mark out of a number
_MAX_INTEGER_BITS = 4096
_MAX_INDENT = 64


class Budget:
    """What one rendering may spend.

    Args:
        steps: loop turns, calls and filters.
        chars: characters of all strings made, intermediate ones included.
        seconds: wall time.
    """

    def __init__(self, steps: int, chars: int, seconds: float) -> None:
        self._steps = steps
        self._chars = chars
        self._deadline = time.monotonic() + seconds

    def step(self, count: int = 1) -> None:
        """Take ``count`` steps. Raises SecurityError when the budget has none left."""
        self._steps -= count
        if self._steps < 0 or time.monotonic() > self._deadline:
            raise SecurityError("it takes too many steps")

    def make(self, chars: int) -> None:
        """Make a string of ``chars`` characters. Raises SecurityError when the budget has no room for it."""
        self._chars -= chars
        if self._chars < 0:
            raise SecurityError("it makes too much text")


_budget: ContextVar[Budget] = ContextVar("chat_template_budget")


@contextmanager
def spending(budget: Budget) -> Iterator[None]:
    """Charge what templates do inside the ``with`` block to ``budget``."""
    token = _budget.set(budget)
    try:
        yield
    finally:
        _budget.reset(token)


GENERATION_MARKS = ("generation_start", "generation_end")  # attributes of the environment


class GenerationTag(Extension):
    """``{% generation %} … {% endgeneration %}`` around what the assistant wrote; leaves marks at both ends."""

    tags = {"generation"}  # noqa: RUF012  # Jinja's own declaration

    def parse(self, parser: Parser) -> nodes.Node:
        """Jinja calls this at the tag; the body gets a scope of its own, as it has in transformers."""
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        start, end = (nodes.Output([nodes.EnvironmentAttribute(name)]) for name in GENERATION_MARKS)
        return nodes.Scope([start, *body, end]).set_lineno(line)


class TemplateNamespace(Namespace):
    """Jinja's ``namespace()`` without underscore names, which would reach Python's internals."""

    def __init__(*args: Any, **kwargs: Any) -> None:
        self, *rest = args
        for name in dict(*rest, **kwargs):
            _refuse_underscore(name)
        Namespace.__init__(self, *rest, **kwargs)

    def __setitem__(self, name: str, value: Any) -> None:
        _refuse_underscore(name)
        super().__setitem__(name, value)


def _refuse_underscore(name: object) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise SecurityError(f"a namespace cannot have the attribute {name!r}")


class ChatEnvironment(ImmutableSandboxedEnvironment):
    """The environment that transformers gives to chat templates, with every growing operation on a budget."""

    intercepted_binops = frozenset({"+", "*", "%", "**"})
    generation_start = mark_of(Place.GENERATION_START)
    generation_end = mark_of(Place.GENERATION_END)

    def __init__(self) -> None:
        super().__init__(trim_blocks=True, lstrip_blocks=True, extensions=[GenerationTag, loopcontrols])
        for name in _FORBIDDEN_FILTERS:
            del self.filters[name]
        self.filters |= {"tojson": _tojson, "join": _join, "replace": _replace, "indent": _indent}
        self.filters |= {name: _charged(function) for name, function in self.filters.items() if name not in _INSTANT}
        self.globals = {
            "range": self.globals["range"],  # the sandbox's, capped at 100,000
            "dict": _make_dict,
            "namespace": TemplateNamespace,
            "raise_exception": _raise_exception,
            "strftime_now": _strftime_now,
        }

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Refuse Python's internals, and methods that make much of little."""
        return attr not in _FORBIDDEN_METHODS and super().is_safe_attribute(obj, attr, value)

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        """Every call in a template comes through here."""
        budget = _budget.get()
        budget.step()
        owner, name = getattr(__obj, "__self__", None), getattr(__obj, "__name__", "")
        if isinstance(owner, str):
            if name == "join" and args:
                args = (list(args[0]), *args[1:])
            budget.make(_result_size(owner, name, args))
        result = super().call(__context, __obj, *args, **kwargs)
        budget.step(len(result) // 16 if isinstance(result, range | list) else 0)
        if isinstance(result, str):
            budget.make(len(result))
        return result

    def wrap_str_format(self, value: Any) -> Any:
        """``str.format`` without widths that would fill the memory, and without characters by their number."""
        wrapped = super().wrap_str_format(value)
        if wrapped is not None and (_WIDE_FORMAT.search(value.__self__) or _NUMBERED_CHARACTER.search(value.__self__)):
            raise SecurityError("it formats with too large a width, or a character by its number")
        return wrapped

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """``+ * % **`` come through here: the size of the result is checked before it is made."""
        budget = _budget.get()
        budget.make(_binary_size(operator, left, right))
        result = super().call_binop(context, operator, left, right)
        budget.make(len(result) if isinstance(result, str) else 0)
        return result

    def tick(self) -> bool:
        """Called by every turn of a loop."""
        _budget.get().step()
        return True

    def concatenate(self, *values: Any) -> str:
        """The ``~`` operator."""
        texts = [str(value) for value in values]
        _budget.get().make(sum(map(len, texts)))
        return "".join(texts)


def _size(value: Any) -> int:
    return len(value) if isinstance(value, str | list | tuple | dict | range) else 1


def _result_size(owner: str, name: str, args: tuple[Any, ...]) -> int:
    """How long the result of a method of ``str`` will be, at most, where that is not about as long as the string."""
    match name, args:
        case (("ljust" | "rjust" | "center" | "zfill"), (int(width), *_)):
            return max(len(owner), width)
        case "replace", (str(old), str(new), *_):
            return len(owner) + owner.count(old) * len(new)
        case "join", (list(items), *_):
            return sum(_size(item) for item in items) + len(owner) * len(items)
    return len(owner)


def _binary_size(operator: str, left: Any, right: Any) -> int:
    if operator == "+":
        return _size(left) + _size(right)
    if operator == "%":
        if isinstance(left, str) and (_WIDE_FORMAT.search(left) or _NUMBERED_CHARACTER.search(left)):
            raise SecurityError("it formats with too large a width, or a character by its number")
        return _size(left)
    bits = [abs(value).bit_length() for value in (left, right) if isinstance(value, int)]
    if operator == "**":
        if len(bits) == 2 and bits[0] * abs(right) > _MAX_INTEGER_BITS:
            raise SecurityError("it computes too large a number")
        return 1
    if sum(bits) > _MAX_INTEGER_BITS:
        raise SecurityError("it computes too large a number")
    for sequence, times in ((left, right), (right, left)):
        if isinstance(sequence, str | list | tuple) and isinstance(times, int):
            return len(sequence) * max(times, 0)
    return 1


def _charged(function: Callable[..., Any]) -> Callable[..., Any]:
    """A filter that costs a step, and more for long sequences: sorting a list in a loop is not free."""

    @wraps(function)  # also copies the attribute by which Jinja knows that a filter wants its context
    def run(*args: Any, **kwargs: Any) -> Any:
        budget = _budget.get()
        budget.step(1 + sum(_size(value) for value in args if isinstance(value, list | tuple | dict | range)) // 4)
        result = function(*args, **kwargs)
        if isinstance(result, str):
            budget.make(len(result))
        return result

    return run


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | str | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """JSON as transformers writes it: no escapes for HTML, none for letters beyond ASCII."""
    if _size(indent) > _MAX_INDENT or (isinstance(indent, int) and indent > _MAX_INDENT):
        raise SecurityError("it indents too far")
    if separators is not None and any(_size(separator) > _MAX_INDENT for separator in separators):
        raise SecurityError("it separates too far")
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


@pass_eval_context
def _join(eval_context: nodes.EvalContext, value: Any, d: str = "", attribute: str | int | None = None) -> str:
    items = list(value)
    _budget.get().make(sum(_size(item) for item in items) + len(items) * _size(d))
    return str(do_join(eval_context, items, d, attribute))


def _replace(value: Any, old: Any, new: Any, count: int | None = None) -> str:
    text, old, new = str(value), str(old), str(new)
    _budget.get().make(_result_size(text, "replace", (old, new)))
    return text.replace(old, new, -1 if count is None else count)


def _indent(value: str, width: int | str = 4, first: bool = False, blank: bool = False) -> str:
    if (len(width) if isinstance(width, str) else width) > _MAX_INDENT:
        raise SecurityError("it indents too far")
    _budget.get().make((value.count("\n") + 1) * _MAX_INDENT)
    return do_indent(value, width, first, blank)


def _make_dict(*args: Any, **kwargs: Any) -> dict[Any, Any]:
    return dict(*args, **kwargs)


class RefusedByTemplate(TemplateRuntimeError):
    """The template called ``raise_exception``: it does not take these messages."""


def _raise_exception(message: str) -> NoReturn:
    raise RefusedByTemplate(message)


def _strftime_now(format: str) -> str:
    if len(format) > 256 or _WIDE_FORMAT.search(format):
        raise SecurityError("its date format is too long")
    return datetime.now().strftime(format)
