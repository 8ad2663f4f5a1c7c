"""The one user of a server without accounts, and the owner of what comes in by the keys of the settings."""

from typing import Final

from sqlalchemy.dialects import postgresql, sqlite

from chatwright.server.database import Database
from chatwright.server.database.tables import User
from chatwright.server.identifiers import now_ms

LOCAL_USER_ID: Final = "user_local"
LOCAL_USER_NAME: Final = "local"


async def ensure_local_user(database: Database) -> None:
    """Make the row of the local user, which everything that belongs to people refers to, unless it is there."""
    insert = (sqlite if database.is_sqlite else postgresql).insert(User)
    row = {
        "id": LOCAL_USER_ID,
        "name": LOCAL_USER_NAME,
        "name_key": LOCAL_USER_NAME,
        "role": "admin",
        "disabled": False,
        "training_consent": False,
        "preferences": {},
        "created_ms": now_ms(),
    }
    async with database.write() as db:
        await db.execute(insert.values(row).on_conflict_do_nothing())
