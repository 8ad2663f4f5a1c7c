"""Marks: how a control token written by the template is told from the same characters written by anyone else.

Before a template runs, every control token in *its own literals* is replaced by a mark, two characters that no caller
can write. After it has run, marks become ids and everything else is text, whatever it says and however it was put
together. See docs/decisions/0001-control-tokens.md.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from typing import Any

from chatwright.errors import InputError

# Noncharacters: Unicode reserves them for use inside a program. A caller's own U+FDD0 is written ESCAPE + _WAS_MARK.
MARK = "\ufdd0"
ESCAPE = "\ufdd1"
_WAS_MARK = "\ufdd2"
_WAS_ESCAPE = "\ufdd3"
_FIRST_CODE = 0xF0000  # a mark is MARK and one private-use character, which means nothing elsewhere
_MAX_DEPTH = 64

_ESCAPES = {ord(MARK): ESCAPE + _WAS_MARK, ord(ESCAPE): ESCAPE + _WAS_ESCAPE}
_UNESCAPE = re.compile(f"{ESCAPE}([{_WAS_MARK}{_WAS_ESCAPE}]?)")
_ANY_MARK = re.compile(f"{MARK}(.?)", re.DOTALL)


class Place(Enum):
    """Marks that stand for a place in the output and for no token."""

    GENERATION_START = 0
    GENERATION_END = 1
    CUT = 2


_NUM_PLACES = len(Place)


def mark_of(place: Place) -> str:
    """The mark to write for ``place``."""
    return MARK + chr(_FIRST_CODE + place.value)


def escape(text: str) -> str:
    """``text`` with our noncharacters written so that they cannot be taken for marks."""
    return text.translate(_ESCAPES) if MARK in text or ESCAPE in text else text


def unescape(text: str) -> str:
    """The inverse of :func:`escape`; half an escape, left by a template that cuts strings, disappears."""
    if ESCAPE not in text:
        return text
    return _UNESCAPE.sub(lambda found: {_WAS_MARK: MARK, _WAS_ESCAPE: ESCAPE}.get(found[1], ""), text)


def plain(value: Any, depth: int = 0) -> Any:
    """A deep copy of a caller's value in plain JSON types, every string escaped.

    Raises:
        InputError: another type, lone surrogates, or nesting deeper than 64.
    """
    if depth > _MAX_DEPTH:
        raise InputError(f"the messages or tools are nested more than {_MAX_DEPTH} levels deep")
    if isinstance(value, str):
        return escape(checked(str(value)))
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {_key(key): plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, depth + 1) for item in value]
    raise InputError(f"a template cannot be given a {type(value).__name__}; use strings, numbers, lists and objects")


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise InputError(f"the key {key!r} of an object is not a string")
    return escape(checked(key))


def checked(text: str) -> str:
    """``text`` itself; InputError when it holds lone surrogates, which no model can be given."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        code = f"U+{ord(text[error.start]):04X}"
        raise InputError(f"the text has a lone surrogate ({code}); decode it as UTF-8 first") from None
    return text


class Marks:
    """The control tokens of one template, and their marks.

    Args:
        special: text to id; only the template can write these.
        structural: text to id of tokens such as ``<think>``, which the assistant may write as well.
        fragments: ``(before, after)`` of special tokens that the template completes with a role: ``<|`` and ``|>``.
        roles: what may stand between the two.

    Attributes:
        structural: the texts of the structural tokens.
    """

    def __init__(
        self,
        special: Mapping[str, int],
        structural: Mapping[str, int],
        fragments: Iterable[tuple[str, str]] = (),
        roles: Iterable[str] = (),
    ) -> None:
        fragments = tuple(fragments)
        self._ids = {**special, **structural}
        spellings = dict.fromkeys([*self._ids, *(text for pair in fragments for text in pair)])
        self._mark = {text: MARK + chr(_FIRST_CODE + _NUM_PLACES + index) for index, text in enumerate(spellings)}
        self._text = {mark: text for text, mark in self._mark.items()}
        self._tokens = _any_of(self._ids)
        self.structural = tuple(structural)
        self._structural = _any_of(structural)
        self._joined = {
            self._mark[before] + role + self._mark[after]: self._mark[before + role + after]
            for before, after in fragments
            for role in roles
            if before + role + after in special
        }

    def literal(self, text: str) -> str:
        """A literal of the template with its control tokens marked."""
        return self._tokens.sub(lambda found: self._mark[found[0]], escape(text))

    def fragment(self, text: str) -> str:
        """The mark of a fragment."""
        return self._mark[text]

    def assistant(self, text: str) -> str:
        """The assistant's own words: structural tokens are marked, special ones stay text."""
        return self._structural.sub(lambda found: self._mark[found[0]], escape(checked(text)))

    def mark_of_id(self, token_id: int) -> str | None:
        """The mark of a control token, or None where the template does not write it."""
        return next((self._mark[text] for text, id_ in self._ids.items() if id_ == token_id), None)

    def parts(self, rendered: str) -> Iterator[str | int | Place]:
        """Split a rendered template into text, ids of control tokens, and places."""
        position = 0
        for found in _ANY_MARK.finditer(rendered):
            if found.start() > position:
                yield unescape(rendered[position : found.start()])
            position = found.end()
            code = ord(found[1]) - _FIRST_CODE if found[1] else -1
            if 0 <= code < _NUM_PLACES:
                yield Place(code)
            elif (text := self._text.get(found[0])) is not None:
                yield self._ids.get(text, text)
        if position < len(rendered):
            yield unescape(rendered[position:])

    def spell(self, rendered: str) -> str:
        """The rendered text as a reader expects it: marks spelt out, places dropped."""
        return unescape(_ANY_MARK.sub(lambda found: self._text.get(found[0], ""), rendered))

    def join_roles(self, rendered: str) -> str:
        """Turn ``<|`` + role + ``|>``, where both ends are fragments, into the token they spell."""
        for spelt, token in self._joined.items():
            rendered = rendered.replace(spelt, token)
        return rendered


def _any_of(texts: Iterable[str]) -> re.Pattern[str]:
    longest_first = sorted(texts, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")
