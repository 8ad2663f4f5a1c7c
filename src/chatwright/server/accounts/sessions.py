"""Signed-in browsers: rows of the table ``sessions``."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from chatwright.server.accounts.tokens import new_session_token, token_hash
from chatwright.server.database.tables import Session, User
from chatwright.server.identifiers import new_id, now_ms

COOKIE: Final = "chatwright_session"
DAY_MS: Final = 86_400_000
_MOST_PER_USER: Final = 100
_TOUCH_AFTER_MS: Final = 300_000  # the time of the last use is kept to five minutes: not every request writes


@dataclass(frozen=True, slots=True)
class NewSession:
    """A session that was just made: the only moment at which its cookie is known."""

    row: Session
    token: str


async def create(
    db: AsyncSession, user_id: str, *, days: int, user_agent: str, address: str, proved_ms: int | None = None
) -> NewSession:
    """Sign a browser in; the oldest sessions of somebody with too many are ended."""
    token, now = new_session_token(), now_ms()
    row = Session(
        id=new_id("ses_"),
        token_hash=token_hash(token),
        user_id=user_id,
        user_agent=user_agent[:255],
        address=address[:255],
        created_ms=now,
        used_ms=now,
        expires_ms=now + days * DAY_MS,
        proved_ms=proved_ms,
    )
    await db.execute(delete(Session).where(Session.expires_ms <= now))
    kept = select(Session.id).where(Session.user_id == user_id).order_by(Session.used_ms.desc())
    surplus = await db.scalars(kept.offset(_MOST_PER_USER - 1))
    await db.execute(delete(Session).where(Session.id.in_(list(surplus))))
    db.add(row)
    return NewSession(row, token)


async def find(db: AsyncSession, token: str) -> tuple[Session, User] | None:
    """The session that a cookie belongs to, and its user; None where it is unknown or has expired."""
    query = select(Session, User).join(User, User.id == Session.user_id).where(Session.token_hash == token_hash(token))
    row = (await db.execute(query.where(Session.expires_ms > now_ms()))).one_or_none()
    return (row[0], row[1]) if row is not None else None


def needs_touch(session: Session) -> bool:
    """Whether the time of the last use is so old that it should be written anew."""
    return session.used_ms < now_ms() - _TOUCH_AFTER_MS


async def touch(db: AsyncSession, session_id: str, user_id: str) -> None:
    """Note that a session is in use."""
    now = now_ms()
    await db.execute(update(Session).where(Session.id == session_id).values(used_ms=now))
    await db.execute(update(User).where(User.id == user_id).values(seen_ms=now))


async def of_user(db: AsyncSession, user_id: str, *, limit: int, after: str | None = None) -> list[Session]:
    """Somebody's sessions, newest first."""
    query = select(Session).where(Session.user_id == user_id, Session.expires_ms > now_ms())
    if after is not None and (last := await db.get(Session, after)) is not None:
        query = query.where(
            (Session.created_ms < last.created_ms) | ((Session.created_ms == last.created_ms) & (Session.id < last.id))
        )
    return list(await db.scalars(query.order_by(Session.created_ms.desc(), Session.id.desc()).limit(limit)))


async def end(db: AsyncSession, user_id: str, session_id: str | None = None) -> int:
    """Delete one session of somebody, or all; returns how many there were."""
    query = delete(Session).where(Session.user_id == user_id)
    if session_id is not None:
        query = query.where(Session.id == session_id)
    return len(list(await db.scalars(query.returning(Session.id))))
