"""Small models can fall into saying the same for ever; nobody wants to wait until their context is full of it."""

from typing import Final

# So much of the same is no refrain and no table any more, and comes within seconds.
_ENOUGH_CHARS: Final = 1_500
_LONGEST_PERIOD: Final = 300
_LOOK_EVERY_CHARS: Final = 250


class RepetitionWatch:
    """Reads along with an answer, and notices when its end has long been one passage over and over."""

    def __init__(self) -> None:
        self._tail = ""
        self._new_chars = 0

    def sees(self, text: str) -> bool:
        """Whether the answer goes round in a circle.

        Args:
            text: what was written next.
        """
        self._tail = (self._tail + text)[-_ENOUGH_CHARS:]
        self._new_chars += len(text)
        if len(self._tail) < _ENOUGH_CHARS or self._new_chars < _LOOK_EVERY_CHARS:
            return False
        self._new_chars = 0
        return any(self._tail[period:] == self._tail[:-period] for period in range(1, _LONGEST_PERIOD + 1))
