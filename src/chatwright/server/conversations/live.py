"""An answer while it is being written: its text so far, and everybody who watches it grow."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from chatwright.server.backends.base import FinishReason, Piece

Ending = Literal["stopped", "interrupted", "gone"]


@dataclass(frozen=True, slots=True)
class Seen:
    """How much a viewer has: characters (Unicode code points) of the text and of the thoughts before it."""

    text: int = 0
    reasoning: int = 0

    @classmethod
    def parse(cls, event_id: str) -> "Seen | None":
        """From the id of the last event that a viewer got (``text.reasoning``); None when it is not one of ours."""
        text, dot, reasoning = event_id.partition(".")
        if not (dot and text.isascii() and text.isdigit() and reasoning.isascii() and reasoning.isdigit()):
            return None
        return cls(int(text[:9]), int(reasoning[:9]))

    def __str__(self) -> str:
        return f"{self.text}.{self.reasoning}"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that a viewer is told. ``id`` says how much the viewer has seen with it; see :class:`Seen`."""

    name: Literal["started", "status", "reasoning", "delta", "done", "title"]
    data: Mapping[str, Any]
    id: str | None = None


@dataclass(slots=True, eq=False)
class LiveAnswer:
    """The answer that one task writes and any number of viewers read.

    Attributes:
        message_id, conversation_id, user_id: of the answer; the conversation is empty for a temporary chat.
        text, reasoning: so far.
        finish_reason: why the model ended; "repetition" where it was ended because it went round in a circle.
        ending: why it was ended from outside.
        facts: what is known of the answer for its row, by the names of columns.
        final: the finished message as viewers get it.
        headers: of the limits, for the HTTP answer.
        title: of the conversation, when one was made after this answer.
        closed: whether nothing more will come.
        viewers: how many watch.
        changed: set, and replaced by a new one, with every change.
    """

    message_id: str
    conversation_id: str
    user_id: str
    text: str = ""
    reasoning: str = ""
    finish_reason: FinishReason | Literal["repetition"] | None = None
    ending: Ending | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    final: Mapping[str, Any] | None = None
    title: str | None = None
    closed: bool = False
    viewers: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, piece: Piece) -> None:
        """What the model wrote next."""
        self.text += piece.text
        self.reasoning += piece.reasoning
        self.finish_reason = piece.finish_reason or self.finish_reason
        if piece.text or piece.reasoning:
            self.wake()

    def wake(self) -> None:
        """Tell the viewers that something has changed."""
        self.changed.set()
        self.changed = asyncio.Event()

    def finish(self, final: Mapping[str, Any]) -> None:
        """The message is complete, as it is stored."""
        self.final = final
        self.wake()

    def close(self) -> None:
        """Nothing more will come; every viewer's stream ends."""
        self.closed = True
        self.wake()

    async def watch(self, seen: Seen) -> AsyncGenerator[Event, None]:
        """What a viewer who has ``seen`` so much has not seen, and then what comes, to the end."""
        self.viewers += 1
        try:
            async for event in self._events(seen):
                yield event
        finally:
            self.viewers -= 1

    async def _events(self, seen: Seen) -> AsyncGenerator[Event, None]:
        admitted = done = titled = False
        while True:
            changed = self.changed  # taken before reading: what changes meanwhile is not missed
            if not admitted and "model" in self.facts:
                admitted = True
                yield Event("status", {"status": "generating", **self.facts})
            for event in growth(self.text, self.reasoning, seen):
                yield event
            seen = Seen(len(self.text), len(self.reasoning))
            if not done and self.final is not None:
                done = True
                yield Event("done", {"message": self.final}, str(seen))
            if not titled and self.title is not None:
                titled = True
                yield Event("title", {"title": self.title})
            if self.closed:
                return
            await changed.wait()


def growth(text: str, reasoning: str, seen: Seen) -> list[Event]:
    """What is new to a viewer: at most one event for the thoughts and one for the text.

    A viewer who has more than there is (the end of an answer was lost with the server that wrote it) begins anew: each
    event says at which offset its text belongs.
    """
    at_text = seen.text if seen.text <= len(text) else 0
    at_reasoning = seen.reasoning if seen.reasoning <= len(reasoning) else 0
    events = []
    if len(reasoning) > at_reasoning or at_reasoning < seen.reasoning:
        new = {"text": reasoning[at_reasoning:], "offset": at_reasoning}
        events.append(Event("reasoning", new, str(Seen(at_text, len(reasoning)))))
    if len(text) > at_text or at_text < seen.text:
        new = {"text": text[at_text:], "offset": at_text}
        events.append(Event("delta", new, str(Seen(len(text), len(reasoning)))))
    return events
