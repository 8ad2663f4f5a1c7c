"""Small models can fall into saying the same for ever; nobody wants to wait until their context is full of it."""

from typing import Final

# So much of the same is no refrain and no table any more, and comes within seconds. Bytes: a Chinese character takes
# as long to write as a few letters.
_ENOUGH_BYTES: Final = 1_500
_LONGEST_PERIOD: Final = 300
_LOOK_EVERY_BYTES: Final = 250


class RepetitionWatch:
    """Reads along with an answer, and notices when its end has long been one passage over and over."""

    def __init__(self) -> None:
        self._tail = b""
        self._new_bytes = 0

    def sees(self, text: str) -> bool:
        """Whether the answer goes round in a circle.

        Args:
            text: what was written next.
        """
        new = text.encode("utf-8", "replace")
        self._tail = (self._tail + new)[-_ENOUGH_BYTES:]
        self._new_bytes += len(new)
        if len(self._tail) < _ENOUGH_BYTES or self._new_bytes < _LOOK_EVERY_BYTES:
            return False
        self._new_bytes = 0
        return any(self._tail[period:] == self._tail[:-period] for period in range(1, _LONGEST_PERIOD + 1))
