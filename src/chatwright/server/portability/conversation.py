"""A conversation apart from any database: what every form of file is read into and written from."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

Role = Literal["user", "assistant"]

MAX_MESSAGES: Final = 20_000
MAX_CONTENT_CHARS: Final = 500_000
MAX_TITLE_CHARS: Final = 200
MAX_SYSTEM_PROMPT_CHARS: Final = 100_000

_SURROGATES = re.compile("[\ud800-\udfff]")
_NOT_PRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]+")


@dataclass(frozen=True, slots=True)
class PortableMessage:
    """A message of a tree.

    Attributes:
        id, parent_id: within this conversation.
        role: whose it is; a system prompt belongs to the conversation.
        content: the text.
        reasoning: what was thought before an answer.
        model: that wrote an answer.
        created_ms: since 1970, UTC.
        attachments: texts of files that went with a question: ``{"name", "text"}``.
        details: what only our own files hold: origin, status, versions, the person's rating.
    """

    id: str
    parent_id: str | None
    role: Role
    content: str
    created_ms: int
    reasoning: str = ""
    model: str | None = None
    attachments: tuple[Mapping[str, Any], ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PortableConversation:
    """A conversation.

    Attributes:
        key: by which its source knows it: what has the same key is the same conversation.
        title: one line; may be empty.
        messages: parents before their children, siblings in order.
        current_id: the leaf of the branch that was shown.
        created_ms, updated_ms: since 1970, UTC.
    """

    key: str
    title: str
    messages: tuple[PortableMessage, ...]
    current_id: str | None
    created_ms: int
    updated_ms: int
    model: str | None = None
    system_prompt: str = ""
    sampling: Mapping[str, Any] = field(default_factory=dict)
    folder: str | None = None
    pinned: bool = False
    archived: bool = False

    def branch(self) -> list[PortableMessage]:
        """The messages from the first to the current one; to the newest where none is current."""
        by_id = {message.id: message for message in self.messages}
        message = by_id.get(self.current_id or "") or (self.messages[-1] if self.messages else None)
        branch: list[PortableMessage] = []
        while message is not None and len(branch) <= len(self.messages):
            branch.append(message)
            message = by_id.get(message.parent_id or "")
        return branch[::-1]


def storable(text: str) -> str:
    """The text as both databases can keep it: without NUL, and U+FFFD for half a character."""
    return _SURROGATES.sub("\ufffd", text.replace("\0", ""))


def one_line(value: object, limit: int = MAX_TITLE_CHARS) -> str:
    """A title or name: one line of printable characters, cut to ``limit``; empty for what is no text.

    Marks that turn the direction of text go too: with them a title could look like another.
    """
    if not isinstance(value, str):
        return ""
    return " ".join(_NOT_PRINTABLE.sub(" ", storable(value[: 10 * limit])).split())[:limit]
