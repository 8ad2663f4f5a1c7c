"""From the text that a model writes to what it means: thoughts, the answer, calls of tools."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from chatwright.server.backends.base import ToolCallPiece


@dataclass(frozen=True, slots=True)
class Read:
    """What a piece of text turned out to be; false where it is nothing yet."""

    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCallPiece, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.text or self.reasoning or self.tool_calls)

    def __add__(self, other: "Read") -> "Read":
        return Read(self.text + other.text, self.reasoning + other.reasoning, self.tool_calls + other.tool_calls)


class Reader(Protocol):
    """Reads one answer as it comes.

    Attributes:
        in_reasoning: what follows belongs to the model's thoughts.
        has_calls: a tool was called.
    """

    in_reasoning: bool
    has_calls: bool

    def read(self, text: str, token_ids: Sequence[int]) -> Read:
        """What the next text, made by these tokens, turns out to be."""
        ...

    def finish(self) -> Read:
        """What was held back, now that nothing follows."""
        ...


class PlainReader:
    """Text that is nothing but text."""

    in_reasoning = False
    has_calls = False

    def read(self, text: str, token_ids: Sequence[int]) -> Read:
        """See :class:`Reader`."""
        return Read(text)

    def finish(self) -> Read:
        """See :class:`Reader`."""
        return Read()
