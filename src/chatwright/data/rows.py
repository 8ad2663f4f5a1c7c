"""What a line of training data can be, once its format has been recognised. Plain values; no model, no token.

A *row* is what a person wrote into a file. :mod:`chatwright.data.formats` recognises it by its keys,
:mod:`chatwright.data.encode` turns it into an :class:`~chatwright.data.example.Example` of token ids.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chatwright.chat import Message


@dataclass(frozen=True, slots=True)
class Text:
    """Running text to learn by heart the way of: ``{"text"}``, or a section of a ``.txt`` or ``.md`` file."""

    text: str


@dataclass(frozen=True, slots=True)
class Dialogue:
    """A conversation whose assistant turns are learned.

    Attributes:
        messages: at least one; the last is the assistant's.
        tools: JSON schemas of functions that the assistant may call.
        unlearned: places in ``messages`` of answers that are only read, as what others have said is.
    """

    messages: tuple[Message, ...]
    tools: tuple[Mapping[str, Any], ...] = ()
    unlearned: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Preference:
    """Two answers to one prompt, one of them preferred.

    Attributes:
        prompt: the conversation up to the answers; empty where the answers are whole texts.
        chosen, rejected: the answers (usually one assistant message each).
        margin: by how much the first is better, in the rater's units; None where nobody said.
    """

    prompt: tuple[Message, ...]
    chosen: tuple[Message, ...]
    rejected: tuple[Message, ...]
    margin: float | None = None


@dataclass(frozen=True, slots=True)
class Rated:
    """One answer with a thumb: True is good."""

    prompt: tuple[Message, ...]
    completion: tuple[Message, ...]
    label: bool


@dataclass(frozen=True, slots=True)
class Labelled:
    """A text and its class, by name."""

    text: str
    label: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """A question without an answer to imitate: for reinforcement learning and evaluation.

    Attributes:
        messages: the conversation; the last message is the user's.
        answer: the right answer, where there is one; reward functions and graders read it.
        extra: every other key of the line.
    """

    messages: tuple[Message, ...]
    answer: str | None
    extra: Mapping[str, Any]


Row = Text | Dialogue | Preference | Rated | Labelled | Prompt
