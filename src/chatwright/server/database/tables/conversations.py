"""Conversations are trees: every message has a parent, and an edit or another answer is a sibling."""

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from chatwright.server.database.base import Base, Id, Json, Key, Long, Millis, Short


class Folder(Base):
    """Somebody's folder of conversations."""

    __tablename__ = "folders"

    id: Mapped[Key]
    user_id: Mapped[Id] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    name: Mapped[Short]
    position: Mapped[int] = mapped_column(default=0)
    created_ms: Mapped[Millis]


class Conversation(Base):
    """A tree of messages. ``current_id`` is the leaf of the branch that is shown."""

    __tablename__ = "conversations"
    __table_args__ = (
        Index("ix_conversations_user_id_updated_ms", "user_id", "updated_ms"),
        UniqueConstraint("user_id", "import_key"),
    )

    id: Mapped[Key]
    user_id: Mapped[Id] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    title: Mapped[Short] = mapped_column(default="")
    title_by: Mapped[Short] = mapped_column(default="none")  # "none", "model", "person", "import"
    folder_id: Mapped[Id | None] = mapped_column(ForeignKey("folders.id", ondelete="SET NULL"), index=True)
    pinned: Mapped[bool] = mapped_column(default=False)
    archived: Mapped[bool] = mapped_column(default=False)
    model: Mapped[Short | None]  # None: the server's default
    system_prompt: Mapped[Long] = mapped_column(default="")
    sampling: Mapped[Json] = mapped_column(default=dict)  # only what the person set
    current_id: Mapped[Id | None]
    import_key: Mapped[Short | None]  # of what it was imported from: the same is imported once
    created_ms: Mapped[Millis]
    updated_ms: Mapped[Millis]


class MessageRow(Base):
    """A message.

    ``origin`` says where the text comes from: "typed", "generated" (by this server: only these can be rated), "edited"
    (an answer as a person would have it) or "imported". ``status``: "complete", "generating", "stopped" (by the
    person), "interrupted" (the server ended in mid-answer), "failed", "withheld" (by moderation).
    """

    __tablename__ = "messages"
    __table_args__ = (
        Index("ix_messages_conversation_id_created_ms", "conversation_id", "created_ms"),
        # Only answers that are being written have an owner: whoever looks for abandoned ones reads a handful of rows.
        Index(
            "ix_messages_owner",
            "owner",
            sqlite_where=text("owner IS NOT NULL"),
            postgresql_where=text("owner IS NOT NULL"),
        ),
    )

    id: Mapped[Key]
    conversation_id: Mapped[Id] = mapped_column(ForeignKey("conversations.id", ondelete="CASCADE"))
    parent_id: Mapped[Id | None] = mapped_column(index=True)
    role: Mapped[Short]
    origin: Mapped[Short]
    status: Mapped[Short] = mapped_column(default="complete")
    content: Mapped[Long] = mapped_column(default="")
    reasoning: Mapped[Long] = mapped_column(default="")
    content_hash: Mapped[Short] = mapped_column(default="")  # SHA-256 of a finished generated answer
    model: Mapped[Short | None]
    model_version: Mapped[Short | None]
    finish_reason: Mapped[Short | None]
    prompt_tokens: Mapped[int | None]
    completion_tokens: Mapped[int | None]
    dropped_turns: Mapped[int] = mapped_column(default=0)  # turns that the model was not sent
    sampling: Mapped[Json] = mapped_column(default=dict)
    attachments: Mapped[Json] = mapped_column(default=list)
    error: Mapped[Json | None]
    owner: Mapped[Short | None]  # the server process that is writing it
    lease_until_ms: Mapped[Millis | None]  # until when that process need not show that it lives
    created_ms: Mapped[Millis]
    updated_ms: Mapped[Millis]


class Share(Base):
    """A link by which anybody may read a branch as it was when it was shared."""

    __tablename__ = "shares"

    id: Mapped[Key]  # unguessable: it is the link
    user_id: Mapped[Id] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    conversation_id: Mapped[Id] = mapped_column(ForeignKey("conversations.id", ondelete="CASCADE"), index=True)
    leaf_id: Mapped[Id]
    title: Mapped[Short]
    snapshot: Mapped[Json]
    created_ms: Mapped[Millis]
    revoked_ms: Mapped[Millis | None]
