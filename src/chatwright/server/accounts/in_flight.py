"""Requests that are being answered, so that they end with the account, session or key that sent them.

Whoever signs out, is disabled or loses a role must not keep a stream that was opened before: every such request is
cancelled, of whatever room it is. The guard makes a :class:`Handle` for each request, authentication says whose it is.
"""

import asyncio
from dataclasses import dataclass, field

from chatwright.server.identifiers import now_ms
from chatwright.server.principal import Principal


@dataclass(frozen=True, slots=True)
class Access:
    """What ends: all of an account, or one session or API key of it."""

    user_id: str
    session_id: str | None = None
    key_id: str | None = None

    def covers(self, principal: Principal) -> bool:
        """Whether ``principal`` came in by this."""
        if principal.user_id != self.user_id:
            return False
        if self.session_id is not None:
            return principal.session_id == self.session_id
        return self.key_id is None or principal.key_id == self.key_id


@dataclass(eq=False, slots=True)
class Handle:
    """One request that is being answered.

    Attributes:
        task: that answers it.
        began_ms: when it came in.
        ended: whether it was cancelled because the caller's access ended.
    """

    task: "asyncio.Task[object]"
    began_ms: int = field(default_factory=now_ms)
    ended: bool = False
    _principal: Principal | None = None
    _registry: "InFlight | None" = None

    def leave(self) -> None:
        """The request has been answered."""
        if self._registry is not None:
            self._registry.remove(self)

    def belongs_to(self, principal: Principal, registry: "InFlight") -> None:
        """Remember whose it is."""
        self._principal, self._registry = principal, registry
        registry.add(self, principal.user_id)

    def covered_by(self, access: Access) -> bool:
        """Whether it ends with ``access``."""
        return self._principal is not None and access.covers(self._principal)

    @property
    def user_id(self) -> str:
        """Of the caller; empty for anonymous."""
        return self._principal.user_id if self._principal else ""


@dataclass(slots=True)
class InFlight:
    """Every request of a known account that this process is answering."""

    _by_user: dict[str, set[Handle]] = field(default_factory=dict)

    def add(self, handle: Handle, user_id: str) -> None:
        """Watch a request."""
        self._by_user.setdefault(user_id, set()).add(handle)

    def remove(self, handle: Handle) -> None:
        """Forget a request that has been answered."""
        handles = self._by_user.get(handle.user_id, set())
        handles.discard(handle)
        if not handles:
            self._by_user.pop(handle.user_id, None)

    def end(self, access: Access, *, before_ms: int) -> int:
        """Cancel the requests that came in by ``access`` until ``before_ms``, except the one that asks for it.

        What began later did so with access that was given anew. Returns how many were cancelled.
        """
        current = asyncio.current_task()
        ending = [
            handle
            for handle in self._by_user.get(access.user_id, ())
            if handle.covered_by(access) and handle.began_ms <= before_ms and not handle.ended
            if handle.task is not current
        ]
        for handle in ending:
            handle.ended = True
            handle.task.cancel()
        return len(ending)
