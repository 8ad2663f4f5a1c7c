"""Names at identity providers by which people sign in, as their owners see them."""

from dataclasses import dataclass

from sqlalchemy import select

from chatwright.server.accounts.audit import AuditLog
from chatwright.server.database import Database
from chatwright.server.database.tables import OidcIdentity, User
from chatwright.server.errors import ApiError
from chatwright.server.principal import Principal


@dataclass(frozen=True, slots=True)
class Identities:
    """Lists and unlinks the caller's names at identity providers; linking is part of signing in.

    Attributes:
        database: keeps them.
        audit: is told of what is unlinked.
        issuer: of the provider that this server asks; None without one. Names at others open nothing (any more).
    """

    database: Database
    audit: AuditLog
    issuer: str | None

    async def of(self, principal: Principal) -> list[OidcIdentity]:
        """Somebody's names."""
        query = select(OidcIdentity).where(OidcIdentity.user_id == principal.user_id)
        async with self.database.read() as db:
            return list(await db.scalars(query.order_by(OidcIdentity.issuer, OidcIdentity.id)))

    async def unlink(self, principal: Principal, identity_id: str) -> bool:
        """Let a name not sign in any more; false where there is no such name.

        Raises:
            ApiError: 409 for the only way into the account.
        """
        async with self.database.write() as db:
            # Locked: of two requests that take a name each, the second must see that the first has.
            user = (await db.scalars(select(User).where(User.id == principal.user_id).with_for_update())).one()
            names = list(await db.scalars(select(OidcIdentity).where(OidcIdentity.user_id == user.id)))
            gone = next((name for name in names if name.id == identity_id), None)
            if gone is None:
                return False
            others = [name for name in names if name is not gone and name.issuer == self.issuer]
            if user.password_hash is None and not others:
                raise ApiError(
                    409,
                    principal.say(
                        "this is your only way to sign in; set a password first",
                        "这是你唯一的登录方式，请先设置密码",
                    ),
                    code="only_sign_in",
                )
            await db.delete(gone)
            await self.audit.record(principal, "user.unlink", user.id, {"issuer": gone.issuer}, session=db)
        return True
