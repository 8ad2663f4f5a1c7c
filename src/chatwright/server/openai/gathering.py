"""An answer's pieces put together, for whoever waits for the whole."""

from collections.abc import AsyncIterable
from dataclasses import dataclass, field

from chatwright.server.backends.base import FinishReason, Piece, TokenScore, ToolCallPiece
from chatwright.server.errors import ApiError
from chatwright.server.identifiers import new_id


@dataclass(slots=True)
class Call:
    """A tool call as far as it is written."""

    id: str
    name: str
    arguments: str = ""

    def add(self, piece: ToolCallPiece) -> None:
        """What follows."""
        self.arguments += piece.arguments


@dataclass(slots=True)
class Whole:
    """One of the ``n`` answers.

    Attributes:
        text, reasoning: what was written; ``calls`` by their index.
        scores: of every token, where asked for.
        finish_reason: why it ended; None until then.
    """

    text: str = ""
    reasoning: str = ""
    calls: dict[int, Call] = field(default_factory=dict)
    scores: list[TokenScore] = field(default_factory=list)
    finish_reason: FinishReason | None = None

    def add(self, piece: Piece) -> None:
        """What follows."""
        self.text += piece.text
        self.reasoning += piece.reasoning
        for part in piece.tool_calls:
            call = self.calls.get(part.index)
            if call is None:
                call = self.calls[part.index] = Call(part.id or new_id("call_"), part.name or "")
            call.add(part)
        self.scores += piece.scores or ()
        self.finish_reason = piece.finish_reason or self.finish_reason


async def gather(pieces: AsyncIterable[Piece], count: int) -> list[Whole]:
    """Every answer, when the last one has ended.

    Args:
        pieces: of ``count`` answers.
        count: their number.

    Raises:
        ApiError: the server stopped them.
    """
    wholes = [Whole() for _ in range(count)]
    async for piece in pieces:
        wholes[piece.index].add(piece)
        raise_if_cancelled(piece)
    return wholes


def raise_if_cancelled(piece: Piece) -> None:
    """An answer that was stopped from outside is no answer: say so rather than pass its beginning off as the whole."""
    if piece.finish_reason == "cancelled":
        raise ApiError(503, "the server stopped this answer; send the request again", code="cancelled")
