"""One tool call, ``{"name": "…", "arguments": {…}}``, read character by character as the model writes it."""

import json
from typing import Final

_ARGUMENTS: Final = ("arguments", "parameters")
_KNOWN: Final = ("name", "type", "id", "function", *_ARGUMENTS)


class CallScanner:
    """Finds the name and hands on the arguments' own text, before the call is complete.

    Args:
        name: of the function, where it was written before the JSON, which then is the arguments alone.

    Attributes:
        name: of the function; None until it was read.
        complete: the JSON has ended.
        broken: this is no call.
        raw: everything that was read.
    """

    def __init__(self, name: str | None = None) -> None:
        self.name = name
        self.complete = False
        self.broken = False
        self.raw = ""
        self._bare_arguments = name is not None
        self._depth = 1 if self._bare_arguments else 0
        self._key: str | None = _ARGUMENTS[0] if self._bare_arguments else None
        self._value = ""  # of the key, or the key itself while it is read
        self._in_string = False
        self._escaped = False
        self._arguments: str | None = None  # complete, or as far as they have come
        self._arguments_complete = False
        self._taken = 0

    def push(self, char: str) -> None:
        """Take the next character."""
        self.raw += char
        if self._in_string:
            self._value += char
            self._in_string = self._escaped or char != '"'
            self._escaped = char == "\\" and not self._escaped
        elif char.isspace() and self._depth <= 1:
            return
        elif self._depth == 0:
            self._depth, self.broken = 1, char != "{"
        else:
            self._structure(char)
        if self._key in _ARGUMENTS and not self._arguments_complete:
            self._arguments = self._value
            self._arguments_complete = self._bare_arguments and self._depth == 1 and not self._in_string
            self.complete = self._arguments_complete

    def take(self) -> str:
        """What has come of the arguments since it was last asked; nothing before the name is known."""
        if self.name is None or self._arguments is None:
            return ""
        if self._arguments[:1] == "{":
            text, self._taken = self._arguments[self._taken :], len(self._arguments)
            return text
        if not self._arguments_complete or self._taken:
            return ""
        self._taken = 1
        return _as_object(self._arguments)

    def _structure(self, char: str) -> None:
        if char == '"':
            self._in_string = True
        elif char in "{[":
            self._depth += 1
        elif char in "}]":
            self._depth -= 1
        if self._depth == 0:
            self._end_value()
            self._end()
        elif self._depth == 1 and char == ":" and self._key is None:
            self._start_value()
        elif self._depth == 1 and char == ",":
            self._end_value()
        else:
            self._value += char

    def _start_value(self) -> None:
        try:
            key = json.loads(self._value)
        except ValueError:
            key = None
        self._key, self._value = key, ""
        self.broken = self.broken or (key not in _KNOWN and self.name is None)

    def _end_value(self) -> None:
        if self._key in _ARGUMENTS:
            self._arguments, self._arguments_complete = self._value, True
        elif self._key == "name":
            try:
                self.name = json.loads(self._value)
            except ValueError:
                self.broken = True
            self.broken = self.broken or not isinstance(self.name, str)
        self._key, self._value = None, ""

    def _end(self) -> None:
        self.complete = True
        self.broken = self.broken or self.name is None
        if self._arguments is None:
            self._arguments, self._arguments_complete = "{}", True


def _as_object(text: str) -> str:
    """Arguments that are no object: some models write the object as a string, or null for none."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    if isinstance(value, str):
        return value
    return "{}" if value is None else text
