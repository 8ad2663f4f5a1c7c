"""Signing in with an identity provider, and linking an account to it.

What is between the two requests (there and back) travels in a signed cookie of the browser that began: nobody can have
somebody else's browser finish what they began. An account is found by issuer and subject only: an e-mail address proves
nothing, a provider may let people claim any.
"""

import base64
import json
import logging
import secrets
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from chatwright.errors import ConfigError
from chatwright.server.accounts.audit import AuditLog
from chatwright.server.accounts.identity import Identity
from chatwright.server.accounts.names import MAX_LENGTH, offered_name
from chatwright.server.accounts.registration import Registration
from chatwright.server.accounts.signing import Signer
from chatwright.server.accounts.tokens import same_secret
from chatwright.server.database import Database
from chatwright.server.database.tables import OidcIdentity, User
from chatwright.server.errors import ApiError
from chatwright.server.identifiers import new_id, now_ms
from chatwright.server.principal import Principal
from chatwright.server.settings import ServerSettings

if TYPE_CHECKING:
    from chatwright.server.accounts.oidc_provider import OidcProvider

log = logging.getLogger(__name__)

STATE_COOKIE: Final = "chatwright_oidc"
MINUTES: Final = 10
_PURPOSE: Final = "oidc"
_NAMES_TRIED: Final = 20


@dataclass(frozen=True, slots=True)
class _Begun:
    """What the browser keeps while it is away."""

    state: str
    nonce: str
    verifier: str
    redirect_uri: str
    link_to: str | None  # the account that is to be linked; None signs in
    invitation: str | None
    again: bool  # the provider is to have the person prove who it is, even if it knows
    until_ms: int


@dataclass(frozen=True, slots=True)
class OidcSignIn:
    """Signs people in with an identity provider.

    Attributes:
        provider: that is asked.
        database, audit, registration, signer: what it works with.
    """

    provider: "OidcProvider"
    database: Database
    audit: AuditLog
    registration: Registration
    signer: Signer

    async def begin(
        self, redirect_uri: str, *, link_to: str | None = None, invitation: str | None = None, again: bool = False
    ) -> tuple[str, str]:
        """Where to send the browser, and the value of its cookie.

        Raises:
            ProviderError: the provider cannot be asked.
        """
        begun = _Begun(
            state=secrets.token_urlsafe(32),
            nonce=secrets.token_urlsafe(32),
            verifier=secrets.token_urlsafe(48),
            redirect_uri=redirect_uri,
            link_to=link_to,
            invitation=invitation,
            again=again,
            until_ms=now_ms() + MINUTES * 60_000,
        )
        url = await self.provider.sign_in_url(
            redirect_uri, state=begun.state, nonce=begun.nonce, verifier=begun.verifier, again=again
        )
        text = base64.urlsafe_b64encode(json.dumps(asdict(begun)).encode()).decode()
        return url, await self.signer.sign(_PURPOSE, text)

    async def finish(
        self, caller: Principal, cookie: str | None, *, code: str, state: str, issuer: str | None
    ) -> tuple[User, int | None]:
        """Who came back, and when the provider last had that person prove it, if it says so.

        Args:
            caller: signed in already where an account is to be linked.
            cookie: what :meth:`begin` gave this browser.
            code, state, issuer: what the provider had the browser bring.

        Raises:
            ApiError: 400 for what this browser did not begin; 403 for a disabled account or where nobody may sign up;
                409 for an identity that another account has.
            ProviderError: the provider does not vouch for it.
        """
        begun = await self._begun(cookie)
        if begun is None or not same_secret(state, begun.state) or not self.provider.came_from(issuer):
            raise ApiError(
                400,
                caller.say(
                    "this sign-in was not begun here, or took too long; try again", "登录请求无效或已超时，请重试"
                ),
                code="oidc_state",
            )
        if begun.link_to is not None and begun.link_to != caller.user_id:
            raise ApiError(403, caller.say("sign in first", "请先登录"), code="oidc_not_signed_in")
        identity = await self.provider.identity(
            begun.redirect_uri, code=code, nonce=begun.nonce, verifier=begun.verifier, again=begun.again
        )
        user = await self._known(identity)
        if begun.link_to is not None:
            user = await self._link(caller, identity, user)
        elif user is None:
            user = await self._register(caller, identity, begun.invitation)
        elif user.disabled:
            raise ApiError(
                403,
                caller.say("this account is disabled; ask an administrator", "账号已被停用，请联系管理员"),
                code="account_disabled",
            )
        return user, identity.proved_ms

    async def _begun(self, cookie: str | None) -> _Begun | None:
        text = await self.signer.checked(_PURPOSE, cookie) if cookie else None
        if text is None:
            return None
        begun = _Begun(**json.loads(base64.urlsafe_b64decode(text)))  # signed: its form is ours
        return begun if begun.until_ms > now_ms() else None

    async def _known(self, identity: Identity) -> User | None:
        query = (
            select(User)
            .join(OidcIdentity, OidcIdentity.user_id == User.id)
            .where(OidcIdentity.issuer == identity.issuer, OidcIdentity.subject == identity.subject)
        )
        async with self.database.read() as db:
            return (await db.scalars(query)).one_or_none()

    async def _link(self, caller: Principal, identity: Identity, user: User | None) -> User:
        if user is not None and user.id != caller.user_id:
            raise _taken(caller)
        try:
            async with self.database.write() as db:
                own = await db.get_one(User, caller.user_id)
                if user is None:
                    row = OidcIdentity(
                        id=new_id("oid_"), issuer=identity.issuer, subject=identity.subject, user_id=caller.user_id
                    )
                    db.add(row)
                    await db.flush()
                    await self.audit.record(
                        caller, "user.link", caller.user_id, {"issuer": identity.issuer}, session=db
                    )
                return own
        except IntegrityError:
            raise _taken(caller) from None

    async def _register(self, caller: Principal, identity: Identity, invitation: str | None) -> User:
        """An account of the provider's name for the person, or the next one like it that is free."""
        wanted = offered_name(identity.name)[: MAX_LENGTH - 3].strip() or "user"
        for number in range(1, _NAMES_TRIED + 1):
            name = wanted + ("" if number == 1 else f" {number}")
            try:
                return await self.registration.register(
                    caller, name, password_hash=None, invitation=invitation, identity=identity
                )
            except (ApiError, IntegrityError) as error:
                if isinstance(error, ApiError) and error.code != "name_taken":
                    raise
                if (known := await self._known(identity)) is not None:  # the same person, in another tab
                    return known
        name = f"{wanted[:40]} {secrets.token_hex(4)}"
        return await self.registration.register(
            caller, name, password_hash=None, invitation=invitation, identity=identity
        )


def open_oidc(
    settings: ServerSettings, database: Database, audit: AuditLog, registration: Registration, signer: Signer
) -> OidcSignIn | None:
    """Signing in with the provider that the settings name; None where they name none.

    Raises:
        ConfigError: the settings are not enough, or the extra is not installed.
    """
    if settings.oidc_issuer is None:
        return None
    if settings.oidc_client_id is None:
        raise ConfigError("oidc_issuer needs oidc_client_id, by which the provider knows this server")
    try:
        from chatwright.server.accounts.oidc_provider import OidcProvider
    except ImportError as error:
        raise ConfigError("oidc_issuer needs an extra: pip install 'chatwright[oidc]'") from error
    secret = settings.oidc_client_secret.get_secret_value() if settings.oidc_client_secret else None
    provider = OidcProvider(settings.oidc_issuer, settings.oidc_client_id, secret)
    return OidcSignIn(provider, database, audit, registration, signer)


def _taken(caller: Principal) -> ApiError:
    return ApiError(
        409,
        caller.say("another account is linked to this identity", "该身份已关联到其他账号"),
        code="identity_taken",
    )
