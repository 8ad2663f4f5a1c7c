"""The view inside: what is asked of a model about an answer that it, or somebody, has written, and what it tells."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

from chatwright.model.inside import Findings, HeadWish, Wish
from chatwright.server.backends.base import ChatRequest

MAX_TOKENS: Final = 4096  # of prompt and answer: one layer of it must not keep others waiting
ALTERNATIVES: Final = 8


@dataclass(frozen=True, slots=True)
class WrittenAnswer:
    """An answer as it is kept.

    Attributes:
        text, reasoning: what was written, and the thoughts before it.
        is_ended: the model itself ended it.
    """

    text: str
    reasoning: str = ""
    is_ended: bool = False


@dataclass(frozen=True, slots=True)
class InsideRequest:
    """What is to be found out; positions count the tokens of prompt and answer, as the model reads them.

    Attributes:
        chat: what the model was asked, up to the answer.
        answer: to that.
        tokens: whether the probabilities of the answer's tokens are wanted.
        attention, gaze, lens: as in :class:`~chatwright.model.inside.Wish`.
    """

    chat: ChatRequest
    answer: WrittenAnswer
    tokens: bool = False
    attention: HeadWish | None = None
    gaze: int | None = None
    lens: int | None = None

    def wish(self, answer_start: int, vocab_size: int) -> Wish:
        """The same in the words of the model."""
        return Wish(
            scored_from=max(answer_start, 1) if self.tokens else None,
            alternatives=min(ALTERNATIVES, vocab_size),
            attention=self.attention,
            gaze=self.gaze,
            lens=self.lens,
        )


@dataclass(frozen=True, slots=True)
class Inside:
    """What was found.

    Attributes:
        num_layers, num_heads: of the model.
        ids: of prompt and answer.
        answer_start: position of the answer's first token.
        dropped_turns: turns that do not fit before the answer.
        pieces: the bytes of every token that is named.
        control: ids of control tokens among these.
        findings: about the text of ``ids``.
    """

    num_layers: int
    num_heads: int
    ids: tuple[int, ...]
    answer_start: int
    dropped_turns: int
    pieces: Mapping[int, bytes]
    control: frozenset[int]
    findings: Findings


@runtime_checkable
class SeesInside(Protocol):
    """A backend whose model's inside can be seen: one whose weights are ours to run."""

    async def inside(self, request: InsideRequest) -> Inside:
        """Look inside.

        Raises:
            ContextLengthError: prompt and answer have more than :data:`MAX_TOKENS` tokens.
            InvalidParameterError: a position, layer or head that there is not.
            InputError, TemplateError, EngineError: as for an answer.
        """
        ...


def named_ids(ids: tuple[int, ...], findings: Findings) -> frozenset[int]:
    """Every token of a text and of what was found about it."""
    places = (*(findings.places or ()), *(findings.lens or ()))
    return frozenset(ids).union(token for place in places for token, _ in place.top)
