"""Accounts: rows of the table ``users``."""

from typing import Final

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from chatwright.server.accounts.local import LOCAL_USER_ID
from chatwright.server.accounts.names import name_key
from chatwright.server.database.tables import Singleton, User
from chatwright.server.identifiers import new_id, now_ms

_FIRST_ACCOUNT: Final = "first_account"


async def by_name(db: AsyncSession, name: str) -> User | None:
    """The account of a name, however it is written."""
    return (await db.scalars(select(User).where(User.name_key == name_key(name)))).one_or_none()


async def create(
    db: AsyncSession,
    name: str,
    *,
    role: str,
    password_hash: str | None,
    email: str | None = None,
    language: str | None = None,
) -> User | None:
    """Make an account; None where the name is taken: the transaction is to be given up then."""
    user = User(
        id=new_id("user_"),
        name=name,
        name_key=name_key(name),
        email=email,
        password_hash=password_hash,
        role=role,
        disabled=False,
        language=language,
        training_consent=False,
        preferences={},
        created_ms=now_ms(),
    )
    db.add(user)
    try:
        await db.flush()
    except IntegrityError:
        return None
    return user


async def take_first(db: AsyncSession, holder: str) -> bool:
    """Become the first account; true for exactly one transaction that is committed, whoever tries at the same time."""
    insert = (sqlite if db.get_bind().dialect.name == "sqlite" else postgresql).insert(Singleton)
    row = {"name": _FIRST_ACCOUNT, "holder": holder, "taken_ms": now_ms()}
    taken = await db.scalars(insert.values(row).on_conflict_do_nothing().returning(Singleton.name))
    return taken.one_or_none() is not None


async def exist(db: AsyncSession) -> bool:
    """Whether there is, or ever was, a first account."""
    return await db.get(Singleton, _FIRST_ACCOUNT) is not None


async def page(db: AsyncSession, *, limit: int, after: str | None = None, query: str = "") -> list[User]:
    """Accounts from the oldest to the newest.

    Args:
        db: a transaction.
        limit: how many at most.
        after: id of the account before the first; an unknown one begins at the oldest.
        query: only those whose name contains this.
    """
    wanted = select(User).order_by(User.created_ms, User.id).limit(limit)
    if after is not None and (last := await db.get(User, after)) is not None:
        wanted = wanted.where(
            (User.created_ms > last.created_ms) | ((User.created_ms == last.created_ms) & (User.id > last.id))
        )
    if query:
        wanted = wanted.where(User.name_key.contains(name_key(query), autoescape=True))
    return list(await db.scalars(wanted))


async def other_admins(db: AsyncSession, user_id: str) -> int:
    """How many other accounts can administer the server.

    Their rows stay locked until the transaction ends: two administrators who demote each other at the same time must
    not both succeed. (SQLite has one writer anyway.)
    """
    query = select(User.id).where(User.role == "admin", User.disabled.is_(False), User.id != LOCAL_USER_ID)
    admins = await db.scalars(query.order_by(User.id).with_for_update())
    return sum(admin != user_id for admin in admins)
