"""Admission: windows of requests and tokens first, then a place in the queue; afterwards, what was really used."""

import logging
import math
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

import anyio

from chatwright.server.backends.base import TokenUsage
from chatwright.server.database import Database
from chatwright.server.errors import ApiError
from chatwright.server.limits.queue import FairQueue, QueueFullError
from chatwright.server.limits.rules import RuleBook, owner_of
from chatwright.server.limits.usage import UsageLog
from chatwright.server.limits.windows import PERIOD_S, Counters, Period, Unit, Window, WindowState, open_counters
from chatwright.server.principal import Principal
from chatwright.server.settings import ServerSettings

log = logging.getLogger(__name__)

_ANSWER_TOKENS: Final = 256  # what is reserved for an answer whose length nobody knows yet
_QUEUE_RETRY_S: Final = 5
_SETTLED_SOON_S: Final = 1.0  # what is merely reserved by answers being written is free when they end
_CLIENT_WAITS_S: Final = 60  # OpenAI's clients wait no longer than this

_PERIODS: Final[dict[Period, tuple[str, str]]] = {
    "minute": ("1 minute", "1 分钟"),
    "hour": ("1 hour", "1 小时"),
    "day": ("1 day", "1 天"),
}
_UNITS: Final[dict[Unit, tuple[str, str]]] = {"requests": ("requests", "请求"), "tokens": ("tokens", "token")}


class Admitted:
    """A request that was let in; see :class:`~chatwright.server.answering.Admission`."""

    def __init__(self, limiter: "Limiter", principal: Principal, model: str, states: Sequence[WindowState]) -> None:
        self.headers: Mapping[str, str] = _headers(states)
        self._limiter = limiter
        self._principal = principal
        self._model = model
        self._windows = [state.window for state in states if state.window.unit == "tokens"]

    async def settle(self, usage: TokenUsage) -> None:
        """Count what was really used.

        It is counted even when the client went away, which cancels the task that serves it; and a database that cannot
        be written to spoils no answer.
        """
        with anyio.CancelScope(shield=True):
            await self._limiter.settle(self._principal, self._model, self._windows, usage)


class Limiter:
    """Who may take how much; implements :class:`~chatwright.server.answering.Limits`.

    Args:
        rules: what is allowed.
        counters: what was taken.
        usage: the record of it.
        queue: places of answers being written.
        concurrent: answers that one model writes at once.
    """

    def __init__(
        self, rules: RuleBook, counters: Counters, usage: UsageLog, queue: FairQueue, *, concurrent: int
    ) -> None:
        self.rules = rules
        self.usage = usage
        self.queue = queue
        self._counters = counters
        self._concurrent = concurrent
        self._reserved: Counter[str] = Counter()  # tokens of requests that are not settled yet, by subject

    @asynccontextmanager
    async def admit(self, principal: Principal, model: str, *, prompt_tokens: int) -> AsyncIterator[Admitted]:
        """Wait for a place, hold it within the block.

        Raises:
            ApiError: 429 with ``Retry-After``; 503 when the queue is full.
        """
        allowance = await self.rules.allowance(principal, model)
        slots = allowance.slots | {f"model:{model}": self._concurrent}
        owner = owner_of(principal)
        if not self.queue.has_room(owner, slots):  # before the request is counted: it is not this person's fault
            raise _overloaded(principal)
        reserved = prompt_tokens + _ANSWER_TOKENS
        subjects = {window.subject for window in allowance.windows if window.unit == "tokens"}
        states = await self._take(principal, allowance.windows, prompt_tokens)
        self._reserved.update(dict.fromkeys(subjects, reserved))
        try:
            async with self.queue.place(owner, slots):
                yield Admitted(self, principal, model, states)
        except QueueFullError:
            raise _overloaded(principal) from None
        finally:
            self._reserved.subtract(dict.fromkeys(subjects, reserved))
            self._reserved = +self._reserved  # forgets who has nothing reserved

    async def count(self, principal: Principal, model: str) -> Mapping[str, str]:
        """Count a request that no answer is written to: it takes no place, and no tokens.

        Returns:
            ``x-ratelimit-*`` for the HTTP answer.

        Raises:
            ApiError: 429 with ``Retry-After``.
        """
        allowance = await self.rules.allowance(principal, model)
        windows = [window for window in allowance.windows if window.unit == "requests"]
        states = await self._take(principal, windows, 0)
        await self.settle(principal, model, (), TokenUsage())
        return _headers(states)

    async def states(self, principal: Principal, model: str) -> list[WindowState]:
        """Every window that applies to somebody, as it is now."""
        allowance = await self.rules.allowance(principal, model)
        return [await self._look(window, 1) for window in allowance.windows]

    async def settle(self, principal: Principal, model: str, windows: Sequence[Window], usage: TokenUsage) -> None:
        """Count the tokens of a request and add it to the record; see :meth:`Admitted.settle`."""
        tokens = usage.prompt + usage.completion
        try:
            for window in windows if tokens else ():
                await self._counters.spend(window, tokens)
            await self.usage.record(principal, model, usage)
        except Exception:
            log.exception("the use of a request could not be recorded")

    async def _take(self, principal: Principal, windows: Sequence[Window], prompt_tokens: int) -> list[WindowState]:
        """Count the request in every window, or in none.

        All windows are looked at before any is counted in. Two requests at the same moment may both find the last
        place; then the second is refused by the window itself, at most a narrower window counted it before.
        """
        states: list[WindowState] = []
        for window in windows:
            if window.unit == "tokens" and prompt_tokens > window.amount:
                raise _too_large(principal, window, prompt_tokens)
            cost = 1 if window.unit == "requests" else min(window.amount, prompt_tokens + _ANSWER_TOKENS)
            state = await self._look(window, cost)
            if state.remaining < cost:
                raise _too_many(principal, state, [*states, state])
            states.append(state)
        taken = []
        for state in states:
            if state.window.unit == "requests":
                if not await self._counters.take(state.window, 1):
                    refused = await self._look(state.window, 1)
                    raise _too_many(principal, refused, states)
                state = replace(
                    state, remaining=state.remaining - 1, reset_s=state.reset_s or PERIOD_S[state.window.period]
                )
            taken.append(state)
        return taken

    async def _look(self, window: Window, cost: int) -> WindowState:
        reserved = self._reserved[window.subject] if window.unit == "tokens" else 0
        state = await self._counters.look(window, min(window.amount, cost + reserved))
        return replace(state, remaining=max(0, state.remaining - reserved))


@asynccontextmanager
async def open_limiter(settings: ServerSettings, database: Database) -> AsyncIterator[Limiter]:
    """The limiter of a server.

    Raises:
        ConfigError: Redis is wanted and does not answer.
    """
    async with open_counters(settings.redis_url.get_secret_value() if settings.redis_url else None) as counters:
        yield Limiter(
            RuleBook(database, settings.limits),
            counters,
            UsageLog(database),
            FairQueue(settings.max_queue),
            concurrent=settings.max_concurrent,
        )


def _too_many(principal: Principal, state: WindowState, states: Sequence[WindowState]) -> ApiError:
    english, chinese = _PERIODS[state.window.period]
    unit, unit_chinese = _UNITS[state.window.unit]
    wait_s = max(state.wait_s, _SETTLED_SOON_S)
    return ApiError(
        429,
        principal.say(
            f"Too many {unit} in {english}. Try again later.", f"{chinese}内{unit_chinese}过多，请稍后再试。"
        ),
        code="rate_limit_exceeded",
        headers={
            **_headers(states),
            "Retry-After": str(math.ceil(wait_s)),
            "retry-after-ms": str(math.ceil(wait_s * 1000)),
            "x-should-retry": "true" if wait_s <= _CLIENT_WAITS_S else "false",
        },
    )


def _too_large(principal: Principal, window: Window, tokens: int) -> ApiError:
    english, chinese = _PERIODS[window.period]
    return ApiError(
        429,
        principal.say(
            f"This request has {tokens} tokens; {window.amount} are allowed in {english}. Make it shorter.",
            f"此请求有 {tokens} 个 token，而 {chinese}内只允许 {window.amount} 个。请缩短内容。",
        ),
        code="rate_limit_exceeded",
        headers={"Retry-After": str(_CLIENT_WAITS_S), "x-should-retry": "false"},
    )


def _overloaded(principal: Principal) -> ApiError:
    return ApiError(
        503,
        principal.say("Too many people are waiting for an answer. Try again soon.", "等待回答的人太多，请稍后再试。"),
        code="queue_full",
        headers={
            "Retry-After": str(_QUEUE_RETRY_S),
            "retry-after-ms": str(_QUEUE_RETRY_S * 1000),
            "x-should-retry": "true",
        },
    )


def _headers(states: Sequence[WindowState]) -> dict[str, str]:
    """``x-ratelimit-*`` of the window that is nearest to its end, for requests and for tokens."""
    headers = {}
    for unit in _UNITS:
        of_unit = [state for state in states if state.window.unit == unit]
        if of_unit:
            state = min(of_unit, key=lambda state: state.remaining / state.window.amount)
            headers[f"x-ratelimit-limit-{unit}"] = str(state.window.amount)
            headers[f"x-ratelimit-remaining-{unit}"] = str(state.remaining)
            headers[f"x-ratelimit-reset-{unit}"] = _duration(state.reset_s)
    return headers


def _duration(seconds: float) -> str:
    """As OpenAI writes it: ``120ms``, ``1.5s``, ``6m0s``, ``1h2m3s``."""
    if seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms"
    if seconds < 60:
        return f"{seconds:.3g}s"
    minutes, rest = divmod(math.ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m{rest}s" if hours else f"{minutes}m{rest}s"
