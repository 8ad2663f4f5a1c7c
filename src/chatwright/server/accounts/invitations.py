"""Invitations: codes by which people may sign up. Only administrators make them, so they read them here."""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from chatwright.server.accounts.audit import AuditLog
from chatwright.server.accounts.sessions import DAY_MS
from chatwright.server.accounts.tokens import new_invitation_code, token_hash
from chatwright.server.database import Database
from chatwright.server.database.tables import Invitation
from chatwright.server.errors import not_found
from chatwright.server.identifiers import new_id, now_ms
from chatwright.server.principal import Principal, Role


@dataclass(frozen=True, slots=True)
class NewInvitation:
    """An invitation that was just made: the only moment at which its code is known."""

    row: Invitation
    code: str


@dataclass(frozen=True, slots=True)
class Invitations:
    """Makes and revokes invitations.

    Attributes:
        database: keeps them.
        audit: is told.
    """

    database: Database
    audit: AuditLog

    async def create(self, admin: Principal, *, note: str, role: Role, days: int, max_uses: int) -> NewInvitation:
        """Make an invitation that holds for ``days`` and ``max_uses`` accounts of ``role``."""
        code, now = new_invitation_code(), now_ms()
        row = Invitation(
            id=new_id("inv_"),
            code_hash=token_hash(code),
            note=note,
            role=role,
            created_by=admin.user_id,
            created_ms=now,
            expires_ms=now + days * DAY_MS,
            max_uses=max_uses,
            uses=0,
        )
        async with self.database.write() as db:
            db.add(row)
            await self.audit.record(admin, "invitation.create", row.id, {"role": role}, session=db)
        return NewInvitation(row, code)

    async def page(self, *, limit: int, after: str | None = None) -> list[Invitation]:
        """Invitations that were not revoked, newest first; those that have expired or are used up too."""
        query = select(Invitation).where(Invitation.revoked_ms.is_(None))
        async with self.database.read() as db:
            if after is not None and (last := await db.get(Invitation, after)) is not None:
                query = query.where(
                    (Invitation.created_ms < last.created_ms)
                    | ((Invitation.created_ms == last.created_ms) & (Invitation.id < last.id))
                )
            query = query.order_by(Invitation.created_ms.desc(), Invitation.id.desc()).limit(limit)
            return list(await db.scalars(query))

    async def revoke(self, admin: Principal, invitation_id: str) -> None:
        """Make an invitation useless.

        Raises:
            ApiError: 404 where there is none.
        """
        async with self.database.write() as db:
            row = await _current(db, invitation_id)
            if row is None:
                raise not_found("invitation", invitation_id)
            row.revoked_ms = now_ms()
            await self.audit.record(admin, "invitation.revoke", invitation_id, session=db)


async def _current(db: AsyncSession, invitation_id: str) -> Invitation | None:
    query = select(Invitation).where(Invitation.id == invitation_id, Invitation.revoked_ms.is_(None))
    return (await db.scalars(query)).one_or_none()
