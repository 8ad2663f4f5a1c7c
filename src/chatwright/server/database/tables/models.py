"""Models that are served, where they run, and answers kept for the Responses API."""

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from chatwright.server.database.base import Base, Id, Json, Key, Long, Millis, Short


class Upstream(Base):
    """Another server with OpenAI's API whose models we serve. The key is write-only: no route returns it."""

    __tablename__ = "upstreams"

    id: Mapped[Key]
    name: Mapped[Short] = mapped_column(unique=True)
    base_url: Mapped[Long]
    api_key: Mapped[Long | None]
    enabled: Mapped[bool] = mapped_column(default=True)
    options: Mapped[Json] = mapped_column(default=dict)
    created_ms: Mapped[Millis]


class ServedModel(Base):
    """A model by the name that clients use. ``kind``: "local" (``source`` is a folder, file or catalogue name) or
    "upstream" (``source`` is the model's name there)."""

    __tablename__ = "served_models"

    name: Mapped[Short] = mapped_column(primary_key=True)
    kind: Mapped[Short]
    source: Mapped[Long]
    upstream_id: Mapped[Id | None] = mapped_column(ForeignKey("upstreams.id", ondelete="CASCADE"), index=True)
    owner_id: Mapped[Id | None] = mapped_column(index=True)  # of a fine-tune: who may see and delete it; None: all
    parent: Mapped[Short | None]  # the model that it was trained from
    job_id: Mapped[Id | None]
    version: Mapped[Short] = mapped_column(default="")  # digest of the weights
    enabled: Mapped[bool] = mapped_column(default=True)
    options: Mapped[Json] = mapped_column(default=dict)  # such as max_model_len
    created_ms: Mapped[Millis]


class StoredResponse(Base):
    """An answer of the Responses API that the caller may refer to."""

    __tablename__ = "responses"

    id: Mapped[Key]
    user_id: Mapped[Id] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    previous_id: Mapped[Id | None]
    input: Mapped[Json]
    output: Mapped[Json]
    body: Mapped[Json]
    created_ms: Mapped[Millis]
    expires_ms: Mapped[Millis | None]
