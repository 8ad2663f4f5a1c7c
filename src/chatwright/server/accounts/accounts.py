"""Accounts as the rest of the server sees them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Request

from chatwright.server.accounts.audit import AuditLog
from chatwright.server.accounts.directory import Directory
from chatwright.server.accounts.ending import Ending, Hook
from chatwright.server.accounts.identify import Identification
from chatwright.server.accounts.identities import Identities
from chatwright.server.accounts.invitations import Invitations
from chatwright.server.accounts.key_ring import KeyRing
from chatwright.server.accounts.local import ensure_local_user
from chatwright.server.accounts.oidc import open_oidc
from chatwright.server.accounts.passwords import Passwords
from chatwright.server.accounts.profiles import Profiles
from chatwright.server.accounts.registration import Registration
from chatwright.server.accounts.runtime import RuntimeSettings
from chatwright.server.accounts.sign_in import SignIn
from chatwright.server.accounts.signing import Signer
from chatwright.server.accounts.throttle import Throttle
from chatwright.server.database import Database
from chatwright.server.principal import Principal
from chatwright.server.settings import ServerSettings


class Accounts:
    """Recognises callers, and holds the services that deal with accounts.

    Args:
        database: knows who there is.
        settings: of the start.
        runtime: settings that change.
        audit: the record of what was done.

    Attributes:
        ending: what ends with somebody's access.
        signer: signs what browsers bring back.
        registration: new accounts.
        sign_in: sessions.
        oidc: signing in with an identity provider; None without one.
        identities: names at identity providers.
        profiles: people's own accounts.
        directory: accounts as administrators manage them.
        key_ring: API keys.
        invitations: to sign up.
    """

    def __init__(self, database: Database, settings: ServerSettings, runtime: RuntimeSettings, audit: AuditLog) -> None:
        passwords = Passwords()
        throttle = Throttle(settings.redis_url.get_secret_value() if settings.redis_url else None)
        self.ending = Ending(database)
        self.signer = Signer(database)
        self.registration = Registration(database, runtime, audit, passwords, throttle)
        self.sign_in = SignIn(
            database, audit, passwords, throttle, self.signer, self.ending, session_days=settings.session_days
        )
        self.oidc = open_oidc(settings, database, audit, self.registration, self.signer)
        self.identities = Identities(database, audit, self.oidc.provider.issuer if self.oidc else None)
        self.profiles = Profiles(database, audit)
        self.directory = Directory(database, audit, passwords, self.ending)
        self.key_ring = KeyRing(database, audit, self.ending)
        self.invitations = Invitations(database, audit)
        self._identification = Identification(database, settings, self.ending.in_flight)

    async def identify(self, request: Request) -> Principal:
        """Who sends a request; see :class:`~chatwright.server.accounts.identify.Identification`."""
        return await self._identification(request)

    def on_end(self, hook: Hook) -> None:
        """Have ``hook(user_id)`` called when all access of an account ends; see :meth:`Ending.on_end`."""
        self.ending.on_end(hook)

    def on_delete(self, hook: Hook) -> None:
        """Have ``hook(user_id)`` called before an account's row is deleted; see :meth:`Ending.on_delete`."""
        self.ending.on_delete(hook)


@asynccontextmanager
async def open_accounts(
    database: Database, settings: ServerSettings, runtime: RuntimeSettings, audit: AuditLog
) -> AsyncIterator[Accounts]:
    """The accounts of a running server."""
    if not settings.accounts or settings.api_key is not None or settings.engine_key is not None:
        await ensure_local_user(database)
    accounts = Accounts(database, settings, runtime, audit)
    stop = asyncio.Event()
    watching = asyncio.create_task(accounts.ending.watch(stop), name="ended accesses")
    try:
        yield accounts
    finally:
        stop.set()
        await watching
