"""Guessing passwords made slow, without giving anybody the means to lock the owner out.

Attempts are counted before they are checked, so a thousand at the same moment are not a thousand guesses. They count

- for the account and where they come from together: the plain case of one guesser;
- for where they come from, whatever the account: one who tries a common password on many accounts;
- for the account, wherever they come from: guessing spread over many addresses.

The last could keep the owner out. So a browser that has signed in to the account before carries a signed mark, and is
only counted by itself: whatever others do, it gets its attempts.
"""

import math
import time
from ipaddress import IPv6Address, ip_address
from typing import Final

from limits import RateLimitItem, RateLimitItemPerHour, RateLimitItemPerMinute
from limits.aio.strategies import MovingWindowRateLimiter
from limits.errors import StorageError
from limits.storage import storage_from_string

from chatwright.server.accounts.tokens import token_hash
from chatwright.server.errors import ApiError
from chatwright.server.principal import Principal

_FROM_ONE_PLACE: Final = (RateLimitItemPerMinute(5), RateLimitItemPerHour(20))
_BY_ADDRESS: Final = RateLimitItemPerMinute(100, 15)
_BY_ACCOUNT: Final = RateLimitItemPerHour(50)
_SIGN_UPS: Final = RateLimitItemPerHour(100)


class Throttle:
    """Counts attempts in memory, or in Redis where several processes share it.

    Args:
        redis_url: of Redis; None counts in this process.
    """

    def __init__(self, redis_url: str | None = None) -> None:
        storage = (
            storage_from_string(f"async+{redis_url}", wrap_exceptions=True, implementation="redispy")
            if redis_url
            else storage_from_string("async+memory://")
        )
        self._limiter = MovingWindowRateLimiter(storage)

    async def sign_in(self, caller: Principal, account: str, device: str | None) -> None:
        """Count an attempt to sign in.

        Args:
            caller: who tries.
            account: key of the name that was typed.
            device: mark of a browser that has signed in to this account before.

        Raises:
            ApiError: 429 with ``Retry-After``: there were too many.
        """
        account = token_hash(account)
        place = device or _network(caller.address)
        counted: list[tuple[RateLimitItem, tuple[str, ...]]] = [
            (item, ("sign-in", account, place)) for item in _FROM_ONE_PLACE
        ]
        if device is None:
            counted += [(_BY_ADDRESS, ("sign-in-from", place)), (_BY_ACCOUNT, ("sign-in-to", account))]
        for item, key in counted:
            await self._hit(caller, item, key)

    async def succeeded(self, caller: Principal, account: str, device: str | None) -> None:
        """Somebody has signed in: earlier slips of theirs count no longer."""
        place = device or _network(caller.address)
        for item in _FROM_ONE_PLACE:
            await self._limiter.clear(item, "sign-in", token_hash(account), place)

    async def sign_up(self, caller: Principal) -> None:
        """Count an attempt to make an account. Raises as :meth:`sign_in`."""
        await self._hit(caller, _SIGN_UPS, ("sign-up", _network(caller.address)))

    async def _hit(self, caller: Principal, item: RateLimitItem, key: tuple[str, ...]) -> None:
        try:
            if await self._limiter.hit(item, "chatwright", *key):
                return
            window = await self._limiter.get_window_stats(item, "chatwright", *key)
        except StorageError:
            raise ApiError(
                503,
                caller.say("signing in is not possible for a moment; try again", "暂时无法登录，请稍后再试"),
                code="limits_unavailable",
            ) from None
        seconds = max(1, math.ceil(window.reset_time - time.time()))
        raise ApiError(
            429,
            caller.say(f"too many attempts; try again in {seconds} seconds", f"尝试次数过多，请在 {seconds} 秒后再试"),
            code="rate_limit_exceeded",
            headers={"Retry-After": str(seconds)},
        )


def _network(address: str) -> str:
    """What one guesser has at hand: an IPv4 address, or the /64 of an IPv6 address."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address or "unknown"
    return str(IPv6Address(int(parsed) >> 64 << 64)) if isinstance(parsed, IPv6Address) else str(parsed)
