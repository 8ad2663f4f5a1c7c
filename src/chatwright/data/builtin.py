"""Data that Chatwright makes itself, by name: what ``builtin:NAME`` in a recipe means."""

from collections.abc import Callable, Iterable
from difflib import get_close_matches

from chatwright.data import quickstart
from chatwright.data.rows import Row
from chatwright.errors import ConfigError

PREFIX = "builtin:"

BUILTIN: dict[str, Callable[[], Iterable[Row]]] = {
    "quickstart/text": quickstart.texts,
    "quickstart/chats": quickstart.chats,
    "quickstart/preferences": quickstart.preferences,
    "quickstart/sums": quickstart.sums,
    "quickstart/questions": quickstart.questions,
}
"""Name to a function that makes the rows anew, always the same ones in the same order."""


def builtin_rows(name: str) -> Iterable[Row]:
    """The rows of ``builtin:name``.

    Raises:
        ConfigError: there is no such set; the message lists those there are.
    """
    make = BUILTIN.get(name)
    if make is None:
        near = get_close_matches(name, BUILTIN, n=3, cutoff=0.5) or sorted(BUILTIN)
        raise ConfigError(f"there is no built-in data {name!r}; there is {', '.join(near) or 'none'}")
    return make()
