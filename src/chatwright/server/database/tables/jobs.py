"""Fine-tuning jobs, and leases: who does what is only to be done once."""

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from chatwright.server.database.base import Base, Id, Json, Key, Long, Millis, Short


class FineTuningJob(Base):
    """A training run that somebody asked for. ``wish`` is what the person wants: "run", "pause" or "cancel".

    A process that supervises it renews ``lease_until_ms``; when that passes, another takes over.
    """

    __tablename__ = "fine_tuning_jobs"
    __table_args__ = (Index("ix_fine_tuning_jobs_status", "status"),)

    id: Mapped[Key]
    user_id: Mapped[Id] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    model: Mapped[Short]
    training_file: Mapped[Id]
    validation_file: Mapped[Id | None]
    method: Mapped[Json]
    seed: Mapped[int]
    suffix: Mapped[Short | None]
    details: Mapped[Json] = mapped_column(default=dict)  # metadata of the caller
    status: Mapped[Short]  # OpenAI's: validating_files, queued, running, paused, succeeded, failed, cancelled
    wish: Mapped[Short] = mapped_column(default="run")
    error: Mapped[Json | None]
    fine_tuned_model: Mapped[Short | None]
    trained_tokens: Mapped[int | None]
    result_files: Mapped[Json] = mapped_column(default=list)
    pid: Mapped[int | None]
    lease_owner: Mapped[Short | None]
    lease_until_ms: Mapped[Millis | None]
    created_ms: Mapped[Millis]
    finished_ms: Mapped[Millis | None]
    estimated_finish_ms: Mapped[Millis | None]


class FineTuningEvent(Base):
    """What happened to a job, in order of ``position``."""

    __tablename__ = "fine_tuning_events"
    __table_args__ = (Index("ix_fine_tuning_events_job_id_position", "job_id", "position"),)

    id: Mapped[Key]
    job_id: Mapped[Id] = mapped_column(ForeignKey("fine_tuning_jobs.id", ondelete="CASCADE"))
    position: Mapped[int]
    level: Mapped[Short]
    kind: Mapped[Short]  # "message" or "metrics"
    message: Mapped[Long]
    data: Mapped[Json] = mapped_column(default=dict)
    created_ms: Mapped[Millis]


class Lease(Base):
    """Work that one process does for all, such as deleting what is past its retention."""

    __tablename__ = "leases"

    name: Mapped[Key]
    owner: Mapped[Short]
    until_ms: Mapped[Millis]
