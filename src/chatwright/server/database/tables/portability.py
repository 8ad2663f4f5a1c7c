"""Imports of conversations: work that goes on when the server that began it is gone."""

from sqlalchemy import BigInteger, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from chatwright.server.database.base import Base, Id, Json, Key, Long, Millis, Short


class ImportJob(Base):
    """A file that is being imported, or was. The file lies on disk under the job's id until the end.

    ``status``: "running", "complete", "failed" or "cancelled".
    """

    __tablename__ = "import_jobs"
    __table_args__ = (Index("ix_import_jobs_status_lease_until_ms", "status", "lease_until_ms"),)

    id: Mapped[Key]
    user_id: Mapped[Id] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    filename: Mapped[Short]
    status: Mapped[Short]
    total_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    read_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    conversations: Mapped[int] = mapped_column(default=0)
    grown: Mapped[int] = mapped_column(default=0)  # conversations that were here already and got further messages
    messages: Mapped[int] = mapped_column(default=0)
    skipped: Mapped[Json] = mapped_column(default=dict)  # how many, by reason
    error: Mapped[Long] = mapped_column(default="")
    lease_until_ms: Mapped[Millis]
    created_ms: Mapped[Millis]
    updated_ms: Mapped[Millis]
