"""An answer that is read while it is written: what is held back until its sentence is complete."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from chatwright.server.backends.base import Piece

_ENDS: Final = "。！？!?\n；;"
_LONGEST: Final = 200  # characters without an end that are held back
_AT_ONCE: Final = 400  # characters that are read together where nothing is held back
_CONTEXT: Final = 100  # characters before them that are read again, since abuse may straddle two sentences


@dataclass(slots=True)
class _Written:
    """One of the answers."""

    held: list[Piece] = field(default_factory=list)
    unread: str = ""
    before: str = ""
    ended: bool = False


class Watch:
    """Collects pieces until there is something to read.

    Args:
        holds_back: whether pieces wait until they have been read.
    """

    def __init__(self, *, holds_back: bool) -> None:
        self._holds_back = holds_back
        self._answers: defaultdict[int, _Written] = defaultdict(_Written)

    def is_ended(self, index: int) -> bool:
        """Whether the answer of this index was blocked."""
        return self._answers[index].ended

    def take(self, piece: Piece) -> str | None:
        """Take a piece. Returns the text that is to be read now, if any."""
        answer = self._answers[piece.index]
        answer.held.append(piece)
        text = piece.reasoning + piece.text + "".join(call.arguments for call in piece.tool_calls)
        answer.unread += text
        if piece.finish_reason is None and not self._is_complete(answer.unread, text):
            return None
        if not answer.unread.strip():
            return None
        text = answer.before + answer.unread
        answer.before, answer.unread = text[-_CONTEXT:], ""
        return text

    def give(self, index: int, *, read: bool, blocked: bool) -> Iterator[Piece]:
        """The pieces that may be shown now.

        Args:
            index: of the answer.
            read: whether the text was complete, and read.
            blocked: whether it may not be shown; the answer ends then.
        """
        answer = self._answers[index]
        if blocked:
            tokens = sum(piece.num_tokens for piece in answer.held)
            answer.held.clear()
            answer.ended = True
            yield Piece(index=index, num_tokens=tokens, finish_reason="content_filter")
            return
        if read or not self._holds_back or not answer.unread.strip():
            yield from answer.held
            answer.held.clear()

    def _is_complete(self, unread: str, text: str) -> bool:
        if not self._holds_back:
            return len(unread) >= _AT_ONCE
        return len(unread) >= _LONGEST or any(char in _ENDS for char in text) or unread.endswith((". ", "."))
