"""Accounts as administrators manage them, from the page and from the command line."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from chatwright.server.accounts import sessions, users
from chatwright.server.accounts.audit import AuditLog
from chatwright.server.accounts.ending import Ending
from chatwright.server.accounts.in_flight import Access
from chatwright.server.accounts.local import LOCAL_USER_ID
from chatwright.server.accounts.names import checked_name, name_key, name_taken
from chatwright.server.accounts.passwords import Passwords, checked_password
from chatwright.server.database import Database
from chatwright.server.database.tables import User
from chatwright.server.errors import ApiError, not_found
from chatwright.server.principal import Principal, Role


@dataclass(frozen=True, slots=True)
class Changes:
    """What is to be different about an account; None leaves as it is."""

    name: str | None = None
    role: Role | None = None
    disabled: bool | None = None
    password: str | None = None


@dataclass(frozen=True, slots=True)
class Directory:
    """Makes, changes and deletes accounts for administrators.

    Attributes:
        database: keeps them.
        audit, passwords, ending: what it works with.
    """

    database: Database
    audit: AuditLog
    passwords: Passwords
    ending: Ending

    async def create(self, admin: Principal, name: str, password: str | None, role: Role) -> User:
        """Make an account.

        Raises:
            ApiError: 400 for a bad name or password, 409 for a name that is taken.
        """
        name = checked_name(name, admin)
        password_hash = None
        if password is not None:
            password_hash = await self.passwords.hash(checked_password(password, name, admin))
        async with self.database.write() as db:
            await users.take_first(db, name)  # whoever signs up later is not the first, and not an administrator
            user = await users.create(db, name, role=role, password_hash=password_hash)
            if user is None:
                raise name_taken(name, admin)
            await self.audit.record(admin, "user.create", user.id, {"role": role}, session=db)
        return user

    async def by_name(self, name: str) -> User:
        """The account of a name.

        Raises:
            ApiError: 404 where there is none.
        """
        async with self.database.read() as db:
            user = await users.by_name(db, name)
        if user is None:
            raise not_found("user", name)
        return user

    async def one(self, user_id: str) -> User:
        """An account by id. Raises as :meth:`by_name`."""
        async with self.database.read() as db:
            return await _existing(db, user_id)

    async def page(self, *, limit: int, after: str | None = None, query: str = "") -> list[User]:
        """Accounts; see :func:`chatwright.server.accounts.users.page`."""
        async with self.database.read() as db:
            return await users.page(db, limit=limit, after=after, query=query)

    async def change(self, admin: Principal, user_id: str, changes: Changes) -> User:
        """Change an account. Where role, password or access change, its sessions and streams end.

        Raises:
            ApiError: 400 for a bad name or password, 404 for nobody, 409 for a name that is taken or the last
                administrator.
        """
        user = await self.one(user_id)
        name = checked_name(changes.name, admin) if changes.name is not None else user.name
        password_hash = None
        if changes.password is not None:
            password_hash = await self.passwords.hash(checked_password(changes.password, name, admin))
        async with self.database.write() as db:
            user = await _existing(db, user_id)
            if user.role == "admin" and (changes.role == "user" or changes.disabled):
                await _refuse_last_admin(db, admin, user_id)
            done = _apply(user, changes, name, password_hash)
            ends = not done.keys() <= {"name"}
            if ends:
                await sessions.end(db, user_id)
            try:
                await db.flush()
            except IntegrityError:
                raise name_taken(name, admin) from None
            if done:
                await self.audit.record(admin, "user.change", user_id, done, session=db)
        if ends:
            await self.ending.end(Access(user_id))
        return user

    async def delete(self, admin: Principal, user_id: str) -> None:
        """Delete an account and all that belongs to it.

        It is disabled first: nothing new can come while the rest is deleted. Where that fails half way, what is left is
        an account that nobody can use and that can be deleted again.

        Raises:
            ApiError: 404 for nobody, 409 for the last administrator.
        """
        async with self.database.write() as db:
            user = await _existing(db, user_id)
            if user.role == "admin":
                await _refuse_last_admin(db, admin, user_id)
            user.disabled = True
            await sessions.end(db, user_id)
        await self.ending.end(Access(user_id))
        await self.ending.deleting(user_id)
        async with self.database.write() as db:
            if (gone := await db.get(User, user_id)) is not None:
                await db.delete(gone)
            await self.audit.record(admin, "user.delete", user_id, session=db)


async def _existing(db: AsyncSession, user_id: str) -> User:
    user = await db.get(User, user_id)
    if user is None:
        raise not_found("user", user_id)
    return user


async def _refuse_last_admin(db: AsyncSession, admin: Principal, user_id: str) -> None:
    if user_id == LOCAL_USER_ID or not await users.other_admins(db, user_id):
        raise ApiError(
            409,
            admin.say(
                "this is the last administrator; make another account an administrator first",
                "这是最后一位管理员，请先将其他账号设为管理员",
            ),
            code="last_admin",
        )


def _apply(user: User, changes: Changes, name: str, password_hash: str | None) -> Mapping[str, Any]:
    """Change the row; returns what is different now, as the record may show it."""
    done: dict[str, Any] = {}
    if name != user.name:
        user.name, user.name_key = name, name_key(name)
        done["name"] = name
    if changes.role is not None and changes.role != user.role:
        done["role"] = user.role = changes.role
    if changes.disabled is not None and changes.disabled != user.disabled:
        done["disabled"] = user.disabled = changes.disabled
    if password_hash is not None:
        user.password_hash = password_hash
        done["password"] = "set"
    return done
