"""Who there is, how they prove it, what administrators set and did. Knows nothing of chats and models."""

from chatwright.server.accounts.accounts import Accounts, open_accounts
from chatwright.server.accounts.audit import AuditLog
from chatwright.server.accounts.runtime import RuntimeSettings, RuntimeValues

__all__ = ["Accounts", "AuditLog", "RuntimeSettings", "RuntimeValues", "open_accounts"]
