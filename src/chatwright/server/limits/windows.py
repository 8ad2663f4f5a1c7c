"""Counting within sliding windows of time: in this process, or in Redis for several processes together."""

import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar, cast

from limits import RateLimitItemPerSecond
from limits.aio.storage import MemoryStorage, RedisStorage, Storage
from limits.aio.strategies import MovingWindowRateLimiter, SlidingWindowCounterRateLimiter
from limits.errors import ConfigurationError, StorageError

from chatwright.errors import ConfigError

log = logging.getLogger(__name__)

Unit = Literal["requests", "tokens"]
Period = Literal["minute", "hour", "day"]
PERIOD_S: Final[dict[Period, int]] = {"minute": 60, "hour": 3600, "day": 86400}

_REDIS_TIMEOUT_S: Final = 1.0  # every request waits for it
_REDIS_PAUSE_S: Final = 5.0  # after it did not answer

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Window:
    """How much of something a subject may take in a period.

    Attributes:
        subject: who is counted, such as ``user:usr_1`` or ``key:key_1``.
        unit: what is counted.
        period: the length of the window.
        amount: at most, in any such window.
    """

    subject: str
    unit: Unit
    period: Period
    amount: int


@dataclass(frozen=True, slots=True)
class WindowState:
    """A window as it is now.

    Attributes:
        window: which.
        remaining: how much can still be taken.
        wait_s: seconds until the cost that was asked about can be taken; 0 when it can be taken now.
        reset_s: seconds until some of what was taken counts no longer; 0 when nothing was taken.
    """

    window: Window
    remaining: int
    wait_s: float
    reset_s: float


class _Item(RateLimitItemPerSecond):
    """Counted under a name without the amount, so that changing a limit forgives nothing."""

    def key_for(self, *identifiers: bytes | str | float) -> str:
        return "/".join((self.namespace, *map(str, identifiers), str(self.multiples)))


class _Store:
    """Requests are counted exactly, since people count along. Of tokens one request takes thousands: two counters
    whose older one is weighted take as much memory for a million as for one."""

    def __init__(self, storage: Storage) -> None:
        self.exact = MovingWindowRateLimiter(storage)
        self.weighted = SlidingWindowCounterRateLimiter(storage)

    def strategy(self, unit: Unit) -> MovingWindowRateLimiter | SlidingWindowCounterRateLimiter:
        return self.exact if unit == "requests" else self.weighted

    async def look(self, window: Window, cost: int) -> WindowState:
        item = _item(window)
        if window.unit == "requests":
            reset_at, remaining = await self.exact.get_window_stats(item, window.subject)
            reset_s = max(0.0, reset_at - time.time()) if remaining < window.amount else 0.0
            return WindowState(window, max(0, remaining), 0.0 if remaining >= cost else reset_s, reset_s)
        storage = self.weighted.storage
        assert isinstance(storage, MemoryStorage | RedisStorage)
        counts = await storage.get_sliding_window(item.key_for(window.subject), item.get_expiry())
        previous, previous_left_s, current, current_left_s = counts
        remaining = max(0, window.amount - current - int(previous * previous_left_s / item.get_expiry()))
        return WindowState(
            window,
            remaining,
            wait_s=seconds_until(cost, window, counts),
            reset_s=current_left_s if current else previous_left_s if previous else 0.0,
        )


def seconds_until(cost: int, window: Window, counts: tuple[int, float, int, float]) -> float:
    """When a cost fits under two counters of which the older one fades.

    Args:
        cost: to be taken, at most the window's amount.
        window: in which.
        counts: of the previous window, the seconds until it no longer counts, the count of the current one, and the
            seconds until that one no longer counts: up to two lengths, in the second of which it fades.
    Returns:
        Seconds from now, 0 if it fits already.
    """
    amount, period_s = window.amount, PERIOD_S[window.period]
    previous, previous_left_s, current, current_left_s = counts
    room = amount - cost - current
    if room >= 0:  # what is left of the previous window has to fade to the room
        return max(0.0, previous_left_s - period_s * (room + 1) / previous) if previous > room else 0.0
    # The current window has to become the previous one, and then to fade itself.
    return max(0.0, current_left_s - period_s * (amount - cost + 1) / current)


def _item(window: Window) -> _Item:
    return _Item(window.amount, PERIOD_S[window.period], namespace=f"chatwright/{window.unit}")


class Counters:
    """What was taken in each window.

    Args:
        shared: counts for all processes; None where there is only this one. While it does not answer, this process
            counts by itself: without any limit the first to notice would be whoever floods the server.
    """

    def __init__(self, shared: Storage | None = None) -> None:
        self._own = _Store(MemoryStorage())
        self._shared = _Store(shared) if shared is not None else None
        self._paused_until = 0.0

    async def look(self, window: Window, cost: int = 1) -> WindowState:
        """How much is left, and when ``cost`` more can be taken."""
        return await self._try(lambda store: store.look(window, cost))

    async def take(self, window: Window, cost: int) -> bool:
        """Take all of it or nothing. Returns whether it was taken."""
        return await self._try(lambda store: store.strategy(window.unit).hit(_item(window), window.subject, cost=cost))

    async def spend(self, window: Window, cost: int) -> None:
        """Count what was used already; beyond the window's amount no debt is kept."""

        async def spend(store: _Store) -> None:
            left = (await store.look(window, 1)).remaining
            if spent := min(cost, left):
                await store.strategy(window.unit).hit(_item(window), window.subject, cost=spent)

        await self._try(spend)

    async def _try(self, act: Callable[[_Store], Awaitable[Result]]) -> Result:
        if self._shared is not None and time.monotonic() >= self._paused_until:
            try:
                return await act(self._shared)
            except StorageError as error:
                self._paused_until = time.monotonic() + _REDIS_PAUSE_S
                log.warning(
                    "Redis does not answer (%s); this process counts by itself", type(error.storage_error).__name__
                )
        return await act(self._own)


@asynccontextmanager
async def open_counters(redis_url: str | None) -> AsyncIterator[Counters]:
    """Counters in memory, or in Redis.

    Raises:
        ConfigError: Redis is wanted and cannot be used; the message does not repeat the URL, which may hold a password.
    """
    if redis_url is None:
        yield Counters()
        return
    try:
        from redis.asyncio import ConnectionPool
    except ImportError:
        raise ConfigError("REDIS_URL needs the package redis; install chatwright[redis]") from None
    try:
        pool = ConnectionPool.from_url(
            redis_url, socket_timeout=_REDIS_TIMEOUT_S, socket_connect_timeout=_REDIS_TIMEOUT_S
        )
        storage = RedisStorage(
            redis_url,
            implementation="redispy",
            wrap_exceptions=True,
            connection_pool=cast(Any, pool),
            key_prefix="chatwright",
        )
    except (ValueError, ConfigurationError):
        raise ConfigError("REDIS_URL is not one that Chatwright knows; write redis://host:6379/0") from None
    try:
        if not await storage.check():
            raise ConfigError("Redis does not answer at REDIS_URL; start it, or unset REDIS_URL to count in memory")
        yield Counters(storage)
    finally:
        await pool.aclose()
