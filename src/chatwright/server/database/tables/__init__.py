"""Every table, by room. Importing this package makes the metadata complete."""

from chatwright.server.database.tables.accounts import (
    ApiKey,
    AuditEntry,
    EndedAccess,
    Invitation,
    OidcIdentity,
    ServerSetting,
    Session,
    Singleton,
    User,
)
from chatwright.server.database.tables.conversations import Conversation, Folder, MessageRow, Share
from chatwright.server.database.tables.feedback import Choice, Rating
from chatwright.server.database.tables.files import StoredFile, Upload, UploadPart
from chatwright.server.database.tables.jobs import FineTuningEvent, FineTuningJob, Lease
from chatwright.server.database.tables.limits import LimitRule, ModerationEntry, Usage, WordList
from chatwright.server.database.tables.models import ServedModel, StoredResponse, Upstream
from chatwright.server.database.tables.portability import ImportJob

__all__ = [
    "ApiKey",
    "AuditEntry",
    "Choice",
    "Conversation",
    "EndedAccess",
    "FineTuningEvent",
    "FineTuningJob",
    "Folder",
    "ImportJob",
    "Invitation",
    "Lease",
    "LimitRule",
    "MessageRow",
    "ModerationEntry",
    "OidcIdentity",
    "Rating",
    "ServedModel",
    "ServerSetting",
    "Session",
    "Share",
    "Singleton",
    "StoredFile",
    "StoredResponse",
    "Upload",
    "UploadPart",
    "Upstream",
    "Usage",
    "User",
    "WordList",
]
