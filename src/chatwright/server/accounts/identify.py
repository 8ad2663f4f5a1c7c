"""Who sends a request: the one place where cookies and keys become a :class:`Principal`.

A request proves who it is in one way: by ``Authorization: Bearer sk-…`` or by the session's cookie. One that does both,
or the same twice, is refused rather than guessed at: what a proxy or a cache in front checked might be the other one.
No further header is looked at (``x-api-key`` and its like): every further channel is one more that can be forgotten.
"""

from typing import Final

from fastapi import Request

from chatwright.server.accounts import keys, sessions
from chatwright.server.accounts.in_flight import Handle, InFlight
from chatwright.server.accounts.local import LOCAL_USER_ID, LOCAL_USER_NAME
from chatwright.server.accounts.tokens import MAX_LENGTH, same_secret
from chatwright.server.database import Database
from chatwright.server.database.tables import User
from chatwright.server.errors import ApiError
from chatwright.server.language import language_of
from chatwright.server.principal import SCOPES, Channel, Language, Principal, Role
from chatwright.server.settings import ServerSettings

SERVER_KEY_ID: Final = "server"  # the key of the settings
ENGINE_KEY_ID: Final = "engine"  # the key that servers share whose models live in another process
_PROGRAM_SCOPES: Final = frozenset({"inference", "files", "fine_tuning"})


class Identification:
    """Recognises callers.

    Args:
        database: knows sessions and keys.
        settings: of the start.
        in_flight: is told whose each request is, so that it ends when the access ends.
    """

    def __init__(self, database: Database, settings: ServerSettings, in_flight: InFlight) -> None:
        self._database = database
        self._settings = settings
        self._in_flight = in_flight

    async def __call__(self, request: Request) -> Principal:
        """The caller; anonymous without any credential.

        Raises:
            ApiError: 401 for a credential that is not valid (any more); 400 for more than one.
        """
        language = language_of(request.headers.get("accept-language"))
        address = request.client.host if request.client else ""
        principal = await self._principal(request, language, address)
        handle = getattr(request.state, "in_flight", None)
        if isinstance(handle, Handle) and principal.user_id:
            handle.belongs_to(principal, self._in_flight)
        return principal

    async def _principal(self, request: Request, language: Language, address: str) -> Principal:
        anonymous = Principal(language=language, address=address)
        if not self._settings.accounts and self._settings.api_key is None:
            # There is nothing to check: OpenAI's clients always send some key, and a browser may hold an old cookie.
            return await self._local(anonymous)
        authorizations = request.headers.getlist("authorization")
        cookies = [
            value
            for header in request.headers.getlist("cookie")
            for name, _, value in (part.strip().partition("=") for part in header.split(";"))
            if name == sessions.COOKIE
        ]
        if len(authorizations) + len(cookies) > 1:
            raise ApiError(
                400,
                anonymous.say("send one credential: a session's cookie or one API key", "请只提供一种身份凭证"),
                code="ambiguous_credentials",
            )
        if authorizations:
            return await self._by_key(authorizations[0], anonymous)
        if cookies and cookies[0]:
            return await self._by_session(cookies[0], anonymous)
        return anonymous

    async def _by_key(self, authorization: str, anonymous: Principal) -> Principal:
        scheme, _, key = authorization.partition(" ")
        key = key.strip()
        if scheme.lower() == "bearer" and 0 < len(key) <= MAX_LENGTH:
            server_key, engine_key = self._settings.api_key, self._settings.engine_key
            if server_key is not None and same_secret(key, server_key.get_secret_value()):
                return await self._local(anonymous, SERVER_KEY_ID)
            if engine_key is not None and same_secret(key, engine_key.get_secret_value()):
                return await self._local(anonymous, ENGINE_KEY_ID)
            if self._settings.accounts and (found := await self._find_key(key)) is not None:
                return _of_user(found[0], anonymous, channel="key", key_id=found[1], scopes=found[2])
        raise ApiError(
            401,
            anonymous.say(
                "this API key is not valid; send one as Authorization: Bearer sk-…",
                "API 密钥无效；请以 Authorization: Bearer sk-… 的形式提供",
            ),
            code="invalid_api_key",
            headers={"WWW-Authenticate": "Bearer"},
        )

    async def _find_key(self, key: str) -> tuple[User, str, frozenset[str]] | None:
        async with self._database.read() as db:
            found = await keys.find(db, key)
        if found is None or found[1].disabled:
            return None
        row, user = found
        if keys.needs_touch(row):
            async with self._database.write() as db:
                await keys.touch(db, row.id, user.id)
        return user, row.id, frozenset(row.scopes)

    async def _by_session(self, token: str, anonymous: Principal) -> Principal:
        found = None
        if len(token) <= MAX_LENGTH:
            async with self._database.read() as db:
                found = await sessions.find(db, token)
        if found is None or found[1].disabled:
            raise ApiError(
                401,
                anonymous.say("your session has ended; sign in again", "登录已失效，请重新登录"),
                code="session_ended",
            )
        session, user = found
        if sessions.needs_touch(session):
            async with self._database.write() as db:
                await sessions.touch(db, session.id, user.id)
        return _of_user(user, anonymous, channel="session", session_id=session.id, scopes=frozenset(SCOPES))

    async def _local(self, anonymous: Principal, key_id: str | None = None) -> Principal:
        """The user of a server without accounts, an administrator; or the owner of what the settings' keys do."""
        async with self._database.read() as db:
            user = await db.get(User, LOCAL_USER_ID)
        language: Language = anonymous.language if user is None else _language(user, anonymous)
        is_program = key_id == ENGINE_KEY_ID or self._settings.accounts
        return Principal(
            user_id=LOCAL_USER_ID,
            name=user.name if user else LOCAL_USER_NAME,
            role="user" if is_program else "admin",
            channel="key" if is_program else "local",
            key_id=key_id,
            scopes=_PROGRAM_SCOPES if is_program else frozenset(SCOPES),
            language=language,
            address=anonymous.address,
        )


def _of_user(
    user: User,
    anonymous: Principal,
    *,
    channel: Channel,
    scopes: frozenset[str],
    key_id: str | None = None,
    session_id: str | None = None,
) -> Principal:
    role: Role = "admin" if user.role == "admin" else "user"
    return Principal(
        user_id=user.id,
        name=user.name,
        role=role,
        channel=channel,
        key_id=key_id,
        session_id=session_id,
        scopes=scopes if role == "admin" else scopes - {"admin"},
        language=_language(user, anonymous),
        address=anonymous.address,
    )


def _language(user: User, anonymous: Principal) -> Language:
    match user.language:
        case "zh" | "en":
            return user.language
        case _:
            return anonymous.language
