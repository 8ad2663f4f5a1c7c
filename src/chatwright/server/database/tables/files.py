"""Files that people upload, for fine-tuning and as attachments."""

from sqlalchemy import BigInteger, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from chatwright.server.database.base import Base, Id, Key, Millis, Short


class StoredFile(Base):
    """A file. Its bytes lie on disk under its id; the name that a person gave it is never a path."""

    __tablename__ = "files"

    id: Mapped[Key]
    user_id: Mapped[Id] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    filename: Mapped[Short]
    purpose: Mapped[Short]
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[Short]
    created_ms: Mapped[Millis]
    expires_ms: Mapped[Millis | None]


class Upload(Base):
    """A file that arrives in parts."""

    __tablename__ = "uploads"

    id: Mapped[Key]
    user_id: Mapped[Id] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    filename: Mapped[Short]
    purpose: Mapped[Short]
    mime_type: Mapped[Short]
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    status: Mapped[Short]  # "pending", "completed", "cancelled", "expired"
    file_id: Mapped[Id | None]
    file_expires_after_s: Mapped[int | None]
    created_ms: Mapped[Millis]
    expires_ms: Mapped[Millis]


class UploadPart(Base):
    """A part of an upload, on disk under its id."""

    __tablename__ = "upload_parts"
    __table_args__ = (UniqueConstraint("upload_id", "id"),)

    id: Mapped[Key]
    upload_id: Mapped[Id] = mapped_column(ForeignKey("uploads.id", ondelete="CASCADE"), index=True)
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    created_ms: Mapped[Millis]
