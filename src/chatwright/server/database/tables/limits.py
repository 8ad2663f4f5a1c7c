"""What people used, what they may use, and what moderation found."""

from sqlalchemy import BigInteger, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from chatwright.server.database.base import Base, Id, Json, Key, Long, Millis, Short


class Usage(Base):
    """Requests and tokens of one user, key and model in one hour."""

    __tablename__ = "usage"
    __table_args__ = (Index("ix_usage_hour_ms", "hour_ms"),)

    user_id: Mapped[Key]
    key_id: Mapped[Key]  # empty: a session
    model: Mapped[Short] = mapped_column(primary_key=True)
    hour_ms: Mapped[Millis] = mapped_column(primary_key=True)
    requests: Mapped[int] = mapped_column(BigInteger, default=0)
    prompt_tokens: Mapped[int] = mapped_column(BigInteger, default=0)
    completion_tokens: Mapped[int] = mapped_column(BigInteger, default=0)


class LimitRule(Base):
    """What a user, a key or a model is allowed, where it differs from the server's defaults."""

    __tablename__ = "limit_rules"
    __table_args__ = (UniqueConstraint("subject", "subject_id"),)

    id: Mapped[Key]
    subject: Mapped[Short]  # "user", "key" or "model"
    subject_id: Mapped[Short]
    limits: Mapped[Json]
    changed_ms: Mapped[Millis]


class WordList(Base):
    """Words of the administrators' own that moderation looks for."""

    __tablename__ = "word_lists"

    id: Mapped[Key]
    name: Mapped[Short]
    category: Mapped[Short]
    action: Mapped[Short]  # "flag" or "block"
    words: Mapped[Json]
    enabled: Mapped[bool] = mapped_column(default=True)
    changed_ms: Mapped[Millis]


class ModerationEntry(Base):
    """What moderation flagged or blocked. ``excerpt`` is empty where administrators may not read chats."""

    __tablename__ = "moderation_entries"
    __table_args__ = (Index("ix_moderation_entries_at_ms", "at_ms"),)

    id: Mapped[Key]
    at_ms: Mapped[Millis]
    user_id: Mapped[Id | None] = mapped_column(index=True)
    direction: Mapped[Short]  # "input" or "output"
    action: Mapped[Short]  # "flag" or "block"
    categories: Mapped[Json]
    model: Mapped[Short]
    message_id: Mapped[Id | None]
    excerpt: Mapped[Long] = mapped_column(default="")
    reviewed_ms: Mapped[Millis | None]
    reviewed_by: Mapped[Id | None]
