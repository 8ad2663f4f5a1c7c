"""Who there is, how they prove it, and what administrators did."""

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from chatwright.server.database.base import Base, Id, Json, Key, Long, Millis, Short


class User(Base):
    """An account. ``name_key`` is the name without case and width, so that no two look alike."""

    __tablename__ = "users"

    id: Mapped[Key]
    name: Mapped[Short]
    name_key: Mapped[Short] = mapped_column(unique=True)
    email: Mapped[Short | None]
    password_hash: Mapped[Short | None]  # None: signs in elsewhere (OIDC), or not at all
    role: Mapped[Short]  # "user" or "admin"
    disabled: Mapped[bool] = mapped_column(default=False)
    language: Mapped[Short | None]
    training_consent: Mapped[bool] = mapped_column(default=False)
    preferences: Mapped[Json] = mapped_column(default=dict)  # of the page
    created_ms: Mapped[Millis]
    seen_ms: Mapped[Millis | None]


class Singleton(Base):
    """What may exist once: the row of a name is taken by one transaction, whoever else tries at the same time."""

    __tablename__ = "singletons"

    name: Mapped[Key]
    holder: Mapped[Short]
    taken_ms: Mapped[Millis]


class Session(Base):
    """A signed-in browser. The cookie's value is not here, only its hash.

    ``proved_ms`` is when an identity provider last had the person prove who it is, as far as it said.
    """

    __tablename__ = "sessions"

    id: Mapped[Key]
    token_hash: Mapped[Short] = mapped_column(unique=True)
    user_id: Mapped[Id] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    user_agent: Mapped[Short] = mapped_column(default="")
    address: Mapped[Short] = mapped_column(default="")
    created_ms: Mapped[Millis]
    used_ms: Mapped[Millis]
    expires_ms: Mapped[Millis] = mapped_column(index=True)
    proved_ms: Mapped[Millis | None]


class ApiKey(Base):
    """A key for programs. Only a prefix to recognise it by and a hash are kept."""

    __tablename__ = "api_keys"

    id: Mapped[Key]
    user_id: Mapped[Id] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    name: Mapped[Short]
    prefix: Mapped[Short]
    key_hash: Mapped[Short] = mapped_column(unique=True)
    scopes: Mapped[Json]
    created_ms: Mapped[Millis]
    used_ms: Mapped[Millis | None]
    expires_ms: Mapped[Millis | None]
    revoked_ms: Mapped[Millis | None]


class EndedAccess(Base):
    """An account, session or API key that may not go on: every server process ends the streams that it has of it.

    Processes look for new rows every second; rows of yesterday are deleted. No foreign key: the account may be gone.
    """

    __tablename__ = "ended_access"

    id: Mapped[Key]
    user_id: Mapped[Id]
    session_id: Mapped[Id | None]  # None with key_id None: the whole account
    key_id: Mapped[Id | None]
    at_ms: Mapped[Millis] = mapped_column(index=True)


class Invitation(Base):
    """Permission to sign up."""

    __tablename__ = "invitations"

    id: Mapped[Key]
    code_hash: Mapped[Short] = mapped_column(unique=True)
    note: Mapped[Short] = mapped_column(default="")
    role: Mapped[Short]
    created_by: Mapped[Id]
    created_ms: Mapped[Millis]
    expires_ms: Mapped[Millis]
    max_uses: Mapped[int]
    uses: Mapped[int] = mapped_column(default=0)
    revoked_ms: Mapped[Millis | None]


class OidcIdentity(Base):
    """An account's name at an identity provider."""

    __tablename__ = "oidc_identities"
    __table_args__ = (UniqueConstraint("issuer", "subject"),)

    id: Mapped[Key]
    issuer: Mapped[Short]
    subject: Mapped[Short]
    user_id: Mapped[Id] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)


class AuditEntry(Base):
    """What somebody did to accounts, models, settings or other people's data. Never holds what people wrote."""

    __tablename__ = "audit_entries"
    __table_args__ = (Index("ix_audit_entries_at_ms", "at_ms"),)

    id: Mapped[Key]
    at_ms: Mapped[Millis]
    actor_id: Mapped[Id | None]
    actor_name: Mapped[Short]
    action: Mapped[Short]  # such as "user.role"
    target: Mapped[Short]
    detail: Mapped[Json] = mapped_column(default=dict)
    address: Mapped[Short] = mapped_column(default="")


class ServerSetting(Base):
    """A setting that administrators change while the server runs; the form is checked by whoever reads it."""

    __tablename__ = "server_settings"

    name: Mapped[Key]
    value: Mapped[Json]
    changed_ms: Mapped[Millis]
    changed_by: Mapped[Long] = mapped_column(default="")
