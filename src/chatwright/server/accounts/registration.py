"""New accounts: who may make one, and the first of all, which administers the server."""

from dataclasses import dataclass

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from chatwright.server.accounts import users
from chatwright.server.accounts.audit import AuditLog
from chatwright.server.accounts.identity import Identity
from chatwright.server.accounts.names import checked_name, name_taken
from chatwright.server.accounts.passwords import Passwords, checked_password
from chatwright.server.accounts.runtime import RuntimeSettings
from chatwright.server.accounts.throttle import Throttle
from chatwright.server.accounts.tokens import token_hash
from chatwright.server.database import Database
from chatwright.server.database.tables import Invitation, OidcIdentity, User
from chatwright.server.errors import ApiError
from chatwright.server.identifiers import new_id, now_ms
from chatwright.server.principal import Principal
from chatwright.server.settings import SignUp


@dataclass(frozen=True, slots=True)
class Registration:
    """Makes accounts for people who ask for one.

    Attributes:
        database: keeps them.
        runtime: says who may.
        audit: is told.
        passwords: hashes.
        throttle: counts attempts.
    """

    database: Database
    runtime: RuntimeSettings
    audit: AuditLog
    passwords: Passwords
    throttle: Throttle

    async def first_exists(self) -> bool:
        """Whether there is a first account, so that the next is an ordinary one."""
        async with self.database.read() as db:
            return await users.exist(db)

    async def sign_up(self, caller: Principal, name: str, password: str, invitation: str | None) -> User:
        """Make an account with a password.

        Raises:
            ApiError: 400 for a bad name or password, 403 where nobody may sign up, 409 for a name that is taken.
        """
        name = checked_name(name, caller)
        checked_password(password, name, caller)
        await self.throttle.sign_up(caller)
        mode = (await self.runtime.values()).sign_up
        if mode == "closed" and await self.first_exists():
            raise _closed(caller)  # before the work of hashing
        password_hash = await self.passwords.hash(password)
        return await self.register(caller, name, password_hash=password_hash, invitation=invitation)

    async def register(
        self,
        caller: Principal,
        name: str,
        *,
        password_hash: str | None,
        invitation: str | None = None,
        identity: Identity | None = None,
    ) -> User:
        """Make an account for somebody who has proved who it is.

        Args:
            caller: who asks.
            name: of the account, checked.
            password_hash: None where ``identity`` is how to sign in.
            invitation: code of one.
            identity: at a provider, which belongs to the account from now on.

        Raises:
            ApiError: as :meth:`sign_up`.
            IntegrityError: another account has got the identity meanwhile.
        """
        mode = (await self.runtime.values()).sign_up
        async with self.database.write() as db:
            role = await _role(db, caller, name, mode, invitation)
            user = await users.create(
                db,
                name,
                role=role,
                password_hash=password_hash,
                email=identity.email if identity else None,
                language=caller.language,
            )
            if user is None:
                raise name_taken(name, caller)
            if identity is not None:
                db.add(
                    OidcIdentity(id=new_id("oid_"), issuer=identity.issuer, subject=identity.subject, user_id=user.id)
                )
                await db.flush()
            actor = Principal(user_id=user.id, name=user.name, address=caller.address)
            await self.audit.record(actor, "user.sign_up", user.id, {"role": role}, session=db)
        return user


async def _role(db: AsyncSession, caller: Principal, name: str, mode: SignUp, invitation: str | None) -> str:
    """The role of a new account, in the transaction that makes it."""
    if await users.take_first(db, name):
        return "admin"
    if mode == "closed":
        raise _closed(caller)
    if invitation is None:
        if mode == "open":
            return "user"
        raise ApiError(
            403,
            caller.say("an invitation is needed; ask an administrator for one", "需要邀请码，请向管理员索取"),
            code="invitation_required",
            param="invitation",
        )
    now = now_ms()
    accept = (
        update(Invitation)
        .where(Invitation.code_hash == token_hash(invitation), Invitation.revoked_ms.is_(None))
        .where(Invitation.expires_ms > now, Invitation.uses < Invitation.max_uses)
        .values(uses=Invitation.uses + 1)
        .returning(Invitation.role)
    )
    role = (await db.scalars(accept)).one_or_none()
    if role is None:
        raise ApiError(
            403,
            caller.say(
                "this invitation is not valid (any more); ask an administrator for another",
                "邀请码无效或已失效，请向管理员重新索取",
            ),
            code="invalid_invitation",
            param="invitation",
        )
    return role


def _closed(caller: Principal) -> ApiError:
    return ApiError(
        403,
        caller.say("nobody can sign up here; ask an administrator for an account", "未开放注册，请向管理员申请账号"),
        code="sign_up_closed",
    )
