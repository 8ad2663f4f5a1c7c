"""Finding stop strings in text that arrives in pieces, without showing a character of one."""


class StopStrings:
    """Passes text through until one of the strings appears; holds back what may be the beginning of one.

    What is let through, and where it ends, does not depend on how the text is cut into pieces: the string that is
    complete first ends the text; of those complete at the same character, the one that began first.

    Args:
        strings: what ends the text; none of them empty.
    """

    def __init__(self, strings: tuple[str, ...]) -> None:
        self._strings = strings
        self._held = ""

    def push(self, piece: str) -> tuple[str, bool]:
        """Take the next piece.

        Returns:
            The text that can be shown now, and whether a stop string was found (which is not shown).
        """
        if not self._strings or not piece:
            return piece, False
        text = self._held + piece
        found = min(
            ((start + len(string), start) for string in self._strings if (start := text.find(string)) >= 0),
            default=None,
        )
        if found is not None:
            self._held = ""
            return text[: found[1]], True
        held = max(_overlap(text, string) for string in self._strings)
        self._held = text[len(text) - held :]
        return text[: len(text) - held], False

    def flush(self) -> str:
        """The text held back, once it is known that no more follows."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, string: str) -> int:
    """Length of the longest end of ``text`` that is a beginning, but not the whole, of ``string``."""
    for length in range(min(len(text), len(string) - 1), 0, -1):
        if text.endswith(string[:length]):
            return length
    return 0
