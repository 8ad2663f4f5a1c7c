"""JSON as it comes: strict about repeated keys, and a long list read piece by piece."""

import codecs
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from chatwright.errors import InputError

_CHUNK_BYTES = 1 << 20
_MAX_VALUE_CHARACTERS = 256 << 20
_SPACE = " \t\r\n"


def parse_json(text: str) -> Any:
    """One JSON value.

    Raises:
        InputError: it is not JSON, names a key twice, or is nested too deeply.
    """
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise InputError(f"not JSON ({error.msg} at column {error.pos + 1})") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"not JSON that can be used ({error})") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A repeated key is refused: which of its values was meant, nobody can know."""
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise InputError(f"the key {twice!r} is given twice")
    return value


_DECODER = json.JSONDecoder(object_pairs_hook=_object)


class Readable(Protocol):
    """A file of bytes."""

    def read(self, size: int, /) -> bytes:
        """Up to so many bytes; none at the end."""
        ...


def json_values(
    file: Readable, path: Path, *, max_characters: int = _MAX_VALUE_CHARACTERS
) -> Iterator[tuple[int, Any]]:
    """The elements of a list, or values one after another, each with the line it starts on; never all at once.

    Args:
        file: in UTF-8.
        path: for messages.
        max_characters: how long one value may be.

    Raises:
        InputError: at the first place that is not JSON; what follows it cannot be told apart.
    """
    buffer = _Buffer(file, path, max_characters)
    is_list = buffer.skip(_SPACE) == "["
    if is_list:
        buffer.position += 1
    while (char := buffer.skip(_SPACE + ",")) and not (is_list and char == "]"):
        yield buffer.line, buffer.value()
    if is_list and not char:
        raise InputError(f"{path} is cut short: its list does not end")


class _Buffer:
    """A window on the text of a file."""

    def __init__(self, file: Readable, path: Path, max_characters: int) -> None:
        self.file, self.path, self.max_characters = file, path, max_characters
        self.text = ""
        self.position = 0
        self.line = 1
        self._counted = 0  # characters of `text` whose line ends are in `line`
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def skip(self, characters: str) -> str:
        """Go to the next character that is none of these and return it; empty at the end of the file."""
        while True:
            while self.position < len(self.text) and self.text[self.position] in characters:
                self.position += 1
            if self.position < len(self.text):
                break
            if not self._more(_CHUNK_BYTES):
                return ""
        self.line += self.text.count("\n", self._counted, self.position)
        self._counted = self.position
        return self.text[self.position]

    def value(self) -> Any:
        """Read the value at the position."""
        size = _CHUNK_BYTES
        while True:
            try:
                value, end = _DECODER.raw_decode(self.text, self.position)
            except (ValueError, RecursionError) as error:
                if isinstance(error, InputError) or not self._more(size):
                    raise InputError(f"{self.path}:{self.line}: not JSON ({error})") from error
                size *= 2  # a value over many chunks is decoded a few times, not once for each
                continue
            # A number at the window's end may go on in the next chunk.
            if end == len(self.text) and isinstance(value, int | float) and self._more(_CHUNK_BYTES):
                continue
            self.position = end
            return value

    def _more(self, size: int) -> bool:
        if len(self.text) - self.position > self.max_characters:
            raise InputError(
                f"{self.path}:{self.line}: one value is longer than {self.max_characters >> 20} Mi characters"
            )
        chunk = self.file.read(size)
        if not chunk:
            return False
        self.line += self.text.count("\n", self._counted, self.position)
        try:
            new = self._decoder.decode(chunk)
        except UnicodeDecodeError as error:
            raise InputError(f"{self.path} is not UTF-8; save it as UTF-8") from error
        self.text = self.text[self.position :] + new
        self.position = self._counted = 0
        return True
