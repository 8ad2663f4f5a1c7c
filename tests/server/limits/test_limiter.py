"""Admission: the words and headers of a refusal, what is counted, and what is given back."""

import asyncio
from dataclasses import replace

import anyio
import pytest

from chatwright.server.backends.base import TokenUsage
from chatwright.server.database import open_database
from chatwright.server.errors import ApiError
from chatwright.server.identifiers import now_ms
from chatwright.server.limits import Limiter
from chatwright.server.limits.rules import RuleBook, RuleLimits
from chatwright.server.principal import Principal
from chatwright.server.settings import Limits
from tests.server.limits.conftest import ANNA, BERT, Clock, OpenLimiter

KEY = replace(ANNA, channel="key", key_id="key_1")


async def ask(limits: Limiter, principal: Principal = ANNA, model: str = "tiny", tokens: int = 10) -> dict[str, str]:
    async with limits.admit(principal, model, prompt_tokens=tokens) as admitted:
        await admitted.settle(TokenUsage(prompt=tokens, completion=tokens))
        return dict(admitted.headers)


async def refusal(limits: Limiter, principal: Principal = ANNA, model: str = "tiny", tokens: int = 10) -> ApiError:
    with pytest.raises(ApiError) as refused:
        await ask(limits, principal, model, tokens)
    return refused.value


@pytest.mark.anyio
async def test_the_hour_limit_says_so_in_the_persons_language(limiter: OpenLimiter, clock: Clock) -> None:
    async with limiter(requests_per_hour=2) as limits:
        for person in (ANNA, BERT):
            assert (await ask(limits, person))["x-ratelimit-remaining-requests"] == "1"
            clock.now_s += 60
            await ask(limits, person)
        error = await refusal(limits)
        assert (error.status, error.type, error.code) == (429, "rate_limit_error", "rate_limit_exceeded")
        assert str(error) == "Too many requests in 1 hour. Try again later."
        assert str(await refusal(limits, BERT)) == "1 小时内请求过多，请稍后再试。"
        assert error.headers["Retry-After"] == str(3600 - 120)
        assert error.headers["retry-after-ms"] == str((3600 - 120) * 1000)
        assert error.headers["x-should-retry"] == "false"  # OpenAI's clients would wait seconds and fail again
        assert error.headers["x-ratelimit-limit-requests"] == "2"
        assert error.headers["x-ratelimit-remaining-requests"] == "0"
        assert error.headers["x-ratelimit-reset-requests"] == "58m0s"


@pytest.mark.anyio
async def test_a_refused_request_is_counted_in_no_window(limiter: OpenLimiter, clock: Clock) -> None:
    async with limiter(requests_per_minute=1, requests_per_day=10) as limits:
        await ask(limits)
        for _ in range(5):
            assert str(await refusal(limits)) == "Too many requests in 1 minute. Try again later."
        day = next(state for state in await limits.states(ANNA, "tiny") if state.window.period == "day")
        assert day.remaining == 9


@pytest.mark.anyio
async def test_twenty_requests_at_once_get_no_more_than_the_limit(limiter: OpenLimiter) -> None:
    async with limiter(requests_per_hour=7) as limits:
        results = await asyncio.gather(*(ask(limits) for _ in range(20)), return_exceptions=True)
        assert sum(isinstance(result, dict) for result in results) == 7


@pytest.mark.anyio
async def test_tokens_are_reserved_while_an_answer_is_written_and_settled_after(
    limiter: OpenLimiter, clock: Clock
) -> None:
    async with limiter(tokens_per_hour=1000) as limits:
        async with limits.admit(ANNA, "tiny", prompt_tokens=500) as admitted:
            error = await refusal(limits, tokens=200)  # it would fit beside 500, not beside the answer as well
            assert str(error) == "Too many tokens in 1 hour. Try again later."
            await admitted.settle(TokenUsage(prompt=500, completion=20))
        headers = await ask(limits, tokens=100)
        assert headers["x-ratelimit-limit-tokens"] == "1000"
        [state] = await limits.states(ANNA, "tiny")
        assert state.remaining == 1000 - 520 - 200


@pytest.mark.anyio
async def test_what_never_fits_is_refused_with_both_counts(limiter: OpenLimiter) -> None:
    async with limiter(tokens_per_minute=1000) as limits:
        error = await refusal(limits, tokens=5000)
        assert "5000" in str(error)
        assert "1000" in str(error)
        assert error.headers["x-should-retry"] == "false"


@pytest.mark.anyio
async def test_rules_for_user_key_and_model(limiter: OpenLimiter) -> None:
    async with limiter(requests_per_hour=2) as limits:
        await limits.rules.create("user", BERT.user_id, RuleLimits(requests_per_hour=None))
        await limits.rules.create("key", "key_1", RuleLimits(requests_per_day=1))
        rule = await limits.rules.create("model", "large", RuleLimits(requests_per_minute=3))
        for _ in range(5):
            await ask(limits, BERT)
        await ask(limits, KEY)
        assert "1 day" in str(await refusal(limits, KEY))  # the key has its own
        await ask(limits)
        assert "1 hour" in str(await refusal(limits))  # key and session of a user count together
        for _ in range(3):
            await ask(limits, BERT, "large")
        assert "1 分钟" in str(await refusal(limits, BERT, "large"))
        await limits.rules.change(rule.id, RuleLimits(requests_per_minute=4))
        await ask(limits, BERT, "large")
        await limits.rules.delete(rule.id)
        await ask(limits, BERT, "large")
        with pytest.raises(ApiError) as twice:
            await limits.rules.create("key", "key_1", RuleLimits(requests_per_day=2))
        assert twice.value.status == 409


@pytest.mark.anyio
async def test_the_only_user_of_a_computer_is_limited_by_what_was_set_alone() -> None:
    database = await open_database("sqlite://")
    try:
        local = Principal(user_id="user_local", role="admin", channel="local")
        assert not (await RuleBook(database, Limits()).allowance(local, "tiny")).windows
        assert (await RuleBook(database, Limits()).allowance(ANNA, "tiny")).windows
        assert len((await RuleBook(database, Limits(requests_per_day=5)).allowance(local, "tiny")).windows) == 1
    finally:
        await database.close()


@pytest.mark.anyio
async def test_a_full_queue_answers_503_and_counts_nothing(limiter: OpenLimiter) -> None:
    async with (
        limiter(requests_per_hour=10, max_queue=1, max_concurrent=1) as limits,
        asyncio.TaskGroup() as tasks,
        limits.admit(ANNA, "tiny", prompt_tokens=1),
    ):
        tasks.create_task(ask(limits))
        while limits.queue.num_waiting == 0:
            await asyncio.sleep(0)
        error = await refusal(limits)
        assert (error.status, error.code) == (503, "queue_full")
        assert int(error.headers["Retry-After"]) > 0
        [state] = await limits.states(ANNA, "tiny")
        assert state.remaining == 8


@pytest.mark.anyio
async def test_a_fifth_answer_waits_for_one_of_the_four(limiter: OpenLimiter) -> None:
    async with limiter(concurrent_generations=1) as limits, asyncio.TaskGroup() as tasks:
        async with limits.admit(ANNA, "tiny", prompt_tokens=1):
            waiting = tasks.create_task(ask(limits))
            await ask(limits, BERT)
            assert not waiting.done()
        await asyncio.wait_for(waiting, 5)


@pytest.mark.anyio
async def test_usage_is_recorded_even_when_the_client_is_gone(limiter: OpenLimiter, database_url: str) -> None:
    async with limiter(url=database_url) as limits:
        with anyio.CancelScope() as gone:
            async with limits.admit(KEY, "tiny", prompt_tokens=7) as admitted:
                gone.cancel()
                await admitted.settle(TokenUsage(prompt=7, completion=3))
        await asyncio.gather(*(ask(limits, BERT, tokens=5) for _ in range(8)))
        now = now_ms()
        rows = await limits.usage.summary(["user", "model"], from_ms=now - 3_600_000, to_ms=now + 1, limit=10)
        assert [(row.user_id, row.model, row.requests, row.prompt_tokens, row.completion_tokens) for row in rows] == [
            (BERT.user_id, "tiny", 8, 40, 40),
            (KEY.user_id, "tiny", 1, 7, 3),
        ]
        [day] = await limits.usage.summary(["day"], from_ms=now - 1, to_ms=now + 1, utc_offset_minutes=480, limit=10)
        assert day.start_ms is not None
        assert (day.start_ms + 8 * 3_600_000) % 86_400_000 == 0  # midnight in Beijing
        assert day.requests == 9
        assert await limits.usage.summary([], from_ms=0, to_ms=1, limit=10) == []
