"""Signing in and out, and changing one's own password."""

from dataclasses import dataclass
from typing import Final

from chatwright.server.accounts import sessions, users
from chatwright.server.accounts.audit import AuditLog
from chatwright.server.accounts.ending import Ending
from chatwright.server.accounts.in_flight import Access
from chatwright.server.accounts.names import name_key
from chatwright.server.accounts.passwords import Passwords, checked_password
from chatwright.server.accounts.sessions import NewSession
from chatwright.server.accounts.signing import Signer
from chatwright.server.accounts.throttle import Throttle
from chatwright.server.database import Database
from chatwright.server.database.tables import Session, User
from chatwright.server.errors import ApiError
from chatwright.server.identifiers import new_id, now_ms
from chatwright.server.principal import Principal

DEVICE_COOKIE: Final = "chatwright_device"
RECENT_MS: Final = 600_000
_DEVICE: Final = "device of "


@dataclass(frozen=True, slots=True)
class SignIn:
    """Gives sessions to people who prove who they are.

    Attributes:
        database: keeps the sessions.
        audit, passwords, throttle, signer, ending: what it works with.
        session_days: how long a session holds.
    """

    database: Database
    audit: AuditLog
    passwords: Passwords
    throttle: Throttle
    signer: Signer
    ending: Ending
    session_days: int

    async def by_password(self, caller: Principal, name: str, password: str, device_cookie: str | None) -> User:
        """Who has this name and password.

        Args:
            caller: who asks.
            name: as typed.
            password: as typed.
            device_cookie: what :meth:`device` gave this browser, if it did.

        Raises:
            ApiError: 401 for a wrong name or password, without telling which; 403 for a disabled account; 429 after too
                many attempts.
        """
        async with self.database.read() as db:
            user = await users.by_name(db, name)
        device = await self._device(user, device_cookie)
        account = name_key(name)
        await self.throttle.sign_in(caller, account, device)
        is_right, better_hash = await self.passwords.check(password, user.password_hash if user else None)
        if user is None or not is_right:
            raise _wrong(caller)
        if user.disabled:
            raise ApiError(
                403,
                caller.say("this account is disabled; ask an administrator", "账号已被停用，请联系管理员"),
                code="account_disabled",
            )
        if better_hash is not None:
            async with self.database.write() as db:
                (await db.get_one(User, user.id)).password_hash = better_hash
        await self.throttle.succeeded(caller, account, device)
        return user

    async def prove(self, principal: Principal, password: str | None) -> None:
        """Have somebody who is signed in prove once more who it is, before what cannot be undone.

        An account without a password, whose owner signs in with an identity provider, is proved by having proved it
        there just now. A session that has just begun is not enough: most providers let whoever finds an open browser
        in again unasked.

        Args:
            principal: who asks.
            password: as typed; an account without one needs none.

        Raises:
            ApiError: 403 for a wrong or missing password, or a sign-in that is too old; 429 after too many attempts.
        """
        async with self.database.read() as db:
            user = await db.get_one(User, principal.user_id)
            session = await db.get(Session, principal.session_id) if principal.session_id else None
        if user.password_hash is None:
            if session is None or (session.proved_ms or 0) < now_ms() - RECENT_MS:
                raise _too_old(principal)
            return
        if password is None:
            raise ApiError(
                403,
                principal.say("enter your current password", "请输入当前密码"),
                code="password_required",
                param="current_password",
            )
        # The session is a mark of the browser as good as any: others' attempts do not count against it.
        await self.throttle.sign_in(principal, user.name_key, principal.session_id or principal.user_id)
        is_right, _ = await self.passwords.check(password, user.password_hash)
        if not is_right:
            raise ApiError(
                403,
                principal.say("the password is not right", "密码不正确"),
                code="invalid_credentials",
                param="current_password",
            )
        await self.throttle.succeeded(principal, user.name_key, principal.session_id or principal.user_id)

    async def device(self, user: User) -> str:
        """A mark for a browser that has signed in: it keeps its attempts whatever others do to the account."""
        return await self.signer.sign(_DEVICE + user.id, new_id("", 16))

    async def begin(
        self, caller: Principal, user: User, user_agent: str, *, proved_ms: int | None = None
    ) -> NewSession:
        """A session for somebody who has proved who it is; at an identity provider at ``proved_ms``, if it said."""
        async with self.database.write() as db:
            session = await sessions.create(
                db,
                user.id,
                days=self.session_days,
                user_agent=user_agent,
                address=caller.address,
                proved_ms=proved_ms,
            )
            actor = Principal(user_id=user.id, name=user.name, address=caller.address)
            await self.audit.record(actor, "session.begin", session.row.id, session=db)
        return session

    async def page(self, principal: Principal, *, limit: int, after: str | None = None) -> list[Session]:
        """Somebody's sessions, newest first."""
        async with self.database.read() as db:
            return await sessions.of_user(db, principal.user_id, limit=limit, after=after)

    async def end(self, principal: Principal, session_id: str) -> bool:
        """Sign one of somebody's browsers out, and end its streams; false where there is no such session."""
        async with self.database.write() as db:
            if not await sessions.end(db, principal.user_id, session_id):
                return False
            await self.audit.record(principal, "session.end", session_id, session=db)
        await self.ending.end(Access(principal.user_id, session_id=session_id))
        return True

    async def end_all(self, principal: Principal) -> int:
        """Sign all of somebody's browsers out, and end all that the account is doing; returns how many there were."""
        async with self.database.write() as db:
            ended = await sessions.end(db, principal.user_id)
            await self.audit.record(principal, "session.end_all", principal.user_id, {"sessions": ended}, session=db)
        await self.ending.end(Access(principal.user_id))
        return ended

    async def change_password(self, principal: Principal, current: str | None, new: str) -> User:
        """Give somebody another password, or a first one; every session and stream ends.

        Raises:
            ApiError: as :meth:`prove`; 400 for a password that is not good enough.
        """
        checked_password(new, principal.name, principal)
        await self.prove(principal, current)
        password_hash = await self.passwords.hash(new)
        async with self.database.write() as db:
            user = await db.get_one(User, principal.user_id)
            user.password_hash = password_hash
            await sessions.end(db, user.id)
            await self.audit.record(principal, "user.password", user.id, session=db)
        await self.ending.end(Access(user.id))
        return user

    async def _device(self, user: User | None, cookie: str | None) -> str | None:
        if user is None or not cookie or len(cookie) > 200:
            return None
        return await self.signer.checked(_DEVICE + user.id, cookie)


def _too_old(principal: Principal) -> ApiError:
    return ApiError(
        403,
        principal.say(
            "sign in again with your identity provider and repeat this within ten minutes",
            "请用身份提供方重新登录，并在十分钟内再次操作",
        ),
        code="sign_in_again",
    )


def _wrong(caller: Principal) -> ApiError:
    return ApiError(
        401,
        caller.say("the name or the password is not right", "用户名或密码不正确"),
        code="invalid_credentials",
    )
