"""What people think of answers: the material of the next model."""

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from chatwright.server.database.base import Base, Id, Json, Key, Long, Millis, Short


class Rating(Base):
    """One person's judgement of one answer: a thumb, reasons, words, and the answer as it should have been."""

    __tablename__ = "ratings"
    __table_args__ = (UniqueConstraint("user_id", "message_id"),)

    id: Mapped[Key]
    user_id: Mapped[Id] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    message_id: Mapped[Id] = mapped_column(ForeignKey("messages.id", ondelete="CASCADE"), index=True)
    thumb: Mapped[int]  # 1, -1, or 0: an edit or words alone
    reasons: Mapped[Json] = mapped_column(default=list)
    comment: Mapped[Long] = mapped_column(default="")
    edit: Mapped[Long | None]
    content_hash: Mapped[Short]
    model_version: Mapped[Short | None]
    consent: Mapped[bool]
    created_ms: Mapped[Millis]
    updated_ms: Mapped[Millis]
    withdrawn_ms: Mapped[Millis | None]


class Choice(Base):
    """Which of two answers to the same question a person prefers. The pair's ids are kept in order of their text."""

    __tablename__ = "choices"
    __table_args__ = (UniqueConstraint("user_id", "first_id", "second_id"),)

    id: Mapped[Key]
    user_id: Mapped[Id] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    first_id: Mapped[Id] = mapped_column(ForeignKey("messages.id", ondelete="CASCADE"), index=True)
    second_id: Mapped[Id] = mapped_column(ForeignKey("messages.id", ondelete="CASCADE"), index=True)
    chosen_id: Mapped[Id | None]  # None: both are as good, or as bad
    hashes: Mapped[Json]
    model_versions: Mapped[Json]
    consent: Mapped[bool]
    created_ms: Mapped[Millis]
    updated_ms: Mapped[Millis]
    withdrawn_ms: Mapped[Millis | None]
