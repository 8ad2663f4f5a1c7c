"""People's own accounts, as they see and change them."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy.exc import IntegrityError

from chatwright.server.accounts.audit import AuditLog
from chatwright.server.accounts.names import checked_name, name_key, name_taken, normal_name
from chatwright.server.database import Database
from chatwright.server.database.tables import User
from chatwright.server.principal import Principal


@dataclass(frozen=True, slots=True)
class Profiles:
    """Reads and changes the caller's own account.

    Attributes:
        database: keeps it.
        audit: is told of a new name and of consent.
    """

    database: Database
    audit: AuditLog

    async def read(self, principal: Principal) -> User:
        """The account."""
        async with self.database.read() as db:
            return await db.get_one(User, principal.user_id)

    async def change(self, principal: Principal, changes: dict[str, Any]) -> User:
        """Change the account.

        Args:
            principal: whose it is.
            changes: any of ``name``, ``language`` (None: as the browser says), ``training_consent``, ``preferences``;
                None leaves the others as they are.

        Raises:
            ApiError: 400 for a bad name, 409 for one that is taken.
        """
        name = changes.get("name")
        if name is not None and normal_name(name) == principal.name:
            name = None
        if name is not None:
            name = checked_name(name, principal)
        async with self.database.write() as db:
            user = await db.get_one(User, principal.user_id)
            noted = {}
            if name is not None:
                noted["name"] = user.name = name
                user.name_key = name_key(name)
            if (consent := changes.get("training_consent")) is not None and consent != user.training_consent:
                noted["training_consent"] = user.training_consent = consent
            if "language" in changes:
                user.language = changes["language"]
            if changes.get("preferences") is not None:
                user.preferences = changes["preferences"]
            try:
                await db.flush()
            except IntegrityError:
                raise name_taken(str(name), principal) from None
            if noted:
                await self.audit.record(principal, "user.change", user.id, noted, session=db)
        return user
