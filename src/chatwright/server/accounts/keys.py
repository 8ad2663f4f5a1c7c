"""API keys: rows of the table ``api_keys``."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from chatwright.server.accounts.tokens import new_api_key, shown_prefix, token_hash
from chatwright.server.database.tables import ApiKey, User
from chatwright.server.identifiers import new_id, now_ms

MOST_PER_USER: Final = 100
_TOUCH_AFTER_MS: Final = 60_000


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made: the only moment at which it is known."""

    row: ApiKey
    key: str


async def create(
    db: AsyncSession, user_id: str, *, name: str, scopes: tuple[str, ...], expires_ms: int | None = None
) -> NewKey:
    """Make a key for somebody."""
    key = new_api_key()
    row = ApiKey(
        id=new_id("key_"),
        user_id=user_id,
        name=name,
        prefix=shown_prefix(key),
        key_hash=token_hash(key),
        scopes=sorted(scopes),
        created_ms=now_ms(),
        expires_ms=expires_ms,
    )
    db.add(row)
    return NewKey(row, key)


async def find(db: AsyncSession, key: str) -> tuple[ApiKey, User] | None:
    """A key that may be used now, and whose it is; None where it is unknown, revoked or has expired."""
    query = select(ApiKey, User).join(User, User.id == ApiKey.user_id).where(ApiKey.key_hash == token_hash(key))
    query = query.where(ApiKey.revoked_ms.is_(None), ApiKey.expires_ms.is_(None) | (ApiKey.expires_ms > now_ms()))
    row = (await db.execute(query)).one_or_none()
    return (row[0], row[1]) if row is not None else None


def needs_touch(key: ApiKey) -> bool:
    """Whether the time of the last use is so old that it should be written anew."""
    return (key.used_ms or 0) < now_ms() - _TOUCH_AFTER_MS


async def touch(db: AsyncSession, key_id: str, user_id: str) -> None:
    """Note that a key is in use."""
    now = now_ms()
    await db.execute(update(ApiKey).where(ApiKey.id == key_id).values(used_ms=now))
    await db.execute(update(User).where(User.id == user_id).values(seen_ms=now))


async def of_user(db: AsyncSession, user_id: str, *, limit: int, after: str | None = None) -> list[ApiKey]:
    """Somebody's keys that are not revoked, newest first."""
    query = select(ApiKey).where(ApiKey.user_id == user_id, ApiKey.revoked_ms.is_(None))
    if after is not None and (last := await db.get(ApiKey, after)) is not None:
        query = query.where(
            (ApiKey.created_ms < last.created_ms) | ((ApiKey.created_ms == last.created_ms) & (ApiKey.id < last.id))
        )
    return list(await db.scalars(query.order_by(ApiKey.created_ms.desc(), ApiKey.id.desc()).limit(limit)))


async def count(db: AsyncSession, user_id: str) -> int:
    """How many keys somebody has that are not revoked."""
    query = select(func.count()).select_from(ApiKey).where(ApiKey.user_id == user_id, ApiKey.revoked_ms.is_(None))
    return (await db.execute(query)).scalar_one()


async def one(db: AsyncSession, user_id: str, key_id: str) -> ApiKey | None:
    """One of somebody's keys that is not revoked."""
    query = select(ApiKey).where(ApiKey.id == key_id, ApiKey.user_id == user_id, ApiKey.revoked_ms.is_(None))
    return (await db.scalars(query)).one_or_none()
