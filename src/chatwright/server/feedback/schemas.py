"""What the routes of feedback take and answer."""

from typing import Annotated, Final, Literal

from pydantic import BaseModel, Field

from chatwright.server.conversations.schemas import MAX_CONTENT_CHARS, Request
from chatwright.server.database.tables import Choice, Rating
from chatwright.server.fields import NOT_BLANK, STORABLE, Identifier

MAX_COMMENT_CHARS: Final = 10_000
Thumb = Literal[-1, 0, 1]
Reason = Literal[
    "correct",
    "helpful",
    "well_written",
    "creative",
    "incorrect",
    "not_followed",
    "incomplete",
    "too_long",
    "lazy",
    "wrong_language",
    "bad_style",
    "unsafe",
    "refused",
    "other",
]


class RatingBody(Request):
    """A judgement. With ``thumb`` 0 there is at least a comment or an edit."""

    thumb: Thumb
    reasons: list[Reason] = Field(default_factory=list, max_length=14)
    comment: Annotated[str, Field(max_length=MAX_COMMENT_CHARS), STORABLE] = ""
    edit: Annotated[str, Field(min_length=1, max_length=MAX_CONTENT_CHARS), STORABLE, NOT_BLANK] | None = Field(
        default=None, description="the answer as it should have been"
    )


class ChoiceBody(Request):
    """Which of two answers to the same question is better; null: neither."""

    first_id: Identifier
    second_id: Identifier
    chosen_id: Identifier | None


class RatingView(BaseModel):
    """A judgement, for whoever gave it."""

    message_id: str
    thumb: Thumb
    reasons: list[str]
    comment: str
    edit: str | None
    consent: bool = Field(description="whether it may be used for training")
    created_ms: int
    updated_ms: int

    @classmethod
    def of(cls, row: Rating) -> "RatingView":
        """From the table."""
        return cls.model_validate(row, from_attributes=True)


class ChoiceView(BaseModel):
    """A choice, for whoever made it. The pair stands in the order of its identifiers."""

    first_id: str
    second_id: str
    chosen_id: str | None
    consent: bool
    created_ms: int
    updated_ms: int

    @classmethod
    def of(cls, row: Choice) -> "ChoiceView":
        """From the table."""
        return cls.model_validate(row, from_attributes=True)


class FeedbackView(BaseModel):
    """One's judgements in a conversation."""

    ratings: list[RatingView]
    choices: list[ChoiceView]


class ListedRating(BaseModel):
    """A judgement, for administrators.

    Words that people wrote are null where the server's settings do not let administrators read chats.
    """

    id: str
    message_id: str
    user_id: str
    thumb: Thumb
    reasons: list[str]
    model: str | None
    model_version: str | None
    consent: bool
    updated_ms: int
    question: str | None
    answer: str | None
    comment: str | None
    edit: str | None


class VersionSummary(BaseModel):
    """How the answers of one version of a model were judged."""

    model: str | None
    model_version: str | None
    up: int
    down: int
    edits: int
