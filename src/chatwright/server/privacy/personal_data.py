"""Which rows are about a person. A test fails when a table refers to people and stands neither here nor below."""

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, select

from chatwright.server.database.base import Base
from chatwright.server.database.tables import (
    ApiKey,
    AuditEntry,
    Choice,
    FineTuningJob,
    Folder,
    ImportJob,
    Invitation,
    LimitRule,
    ModerationEntry,
    OidcIdentity,
    Rating,
    ServedModel,
    Session,
    Share,
    StoredFile,
    StoredResponse,
    Upload,
    Usage,
    User,
)

# Conversations go out in their own form. Ended accesses are messages between processes, gone after a day.
OTHERWISE: Final = frozenset({"conversations", "messages", "ended_access"})


@dataclass(frozen=True, slots=True)
class PersonalTable:
    """Rows about a person.

    Attributes:
        table: where they are.
        whose: the column that says about whom.
        hidden: columns that are secrets of the server or say nothing to anybody.
    """

    table: type[Base]
    whose: str = "user_id"
    hidden: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """Of the table."""
        return str(self.table.__tablename__)

    def rows_of(self, user_id: str) -> Select[Any]:
        """The rows of a person."""
        about: ColumnElement[bool] = getattr(self.table, self.whose) == user_id
        return select(self.table).where(about)

    def shown(self, row: Base) -> dict[str, Any]:
        """A row as the person gets it."""
        return {
            column.name: getattr(row, column.name)
            for column in self.table.__table__.columns
            if column.name not in self.hidden
        }


_SECRET: Final = frozenset({"token_hash", "key_hash", "code_hash"})

TABLES: Final = (
    PersonalTable(User, "id", frozenset({"password_hash", "name_key"})),
    PersonalTable(Session, hidden=_SECRET),
    PersonalTable(ApiKey, hidden=_SECRET),
    PersonalTable(OidcIdentity),
    PersonalTable(Invitation, "created_by", _SECRET),
    PersonalTable(AuditEntry, "actor_id"),
    PersonalTable(Folder),
    PersonalTable(Share),
    PersonalTable(Rating),
    PersonalTable(Choice),
    PersonalTable(ImportJob, hidden=frozenset({"lease_until_ms"})),
    PersonalTable(StoredFile),
    PersonalTable(Upload),
    PersonalTable(StoredResponse),
    PersonalTable(FineTuningJob, hidden=frozenset({"pid", "lease_owner", "lease_until_ms"})),
    PersonalTable(ServedModel, "owner_id"),
    PersonalTable(Usage),
    PersonalTable(LimitRule, "subject_id"),
    PersonalTable(ModerationEntry),
)
