"""Sliding windows: what is left, and when there is more."""

import pytest

from chatwright.errors import ConfigError
from chatwright.server.limits.windows import Counters, Window, open_counters, seconds_until
from tests.server.limits.conftest import Clock

REQUESTS = Window("user:anna", "requests", "hour", 3)
TOKENS = Window("user:anna", "tokens", "minute", 1000)


@pytest.mark.anyio
async def test_requests_come_free_one_by_one_when_an_hour_has_passed_since_each(clock: Clock) -> None:
    counters = Counters()
    for _ in range(3):
        assert await counters.take(REQUESTS, 1)
        clock.now_s += 600
    assert not await counters.take(REQUESTS, 1)
    state = await counters.look(REQUESTS)
    assert (state.remaining, round(state.wait_s)) == (0, 1800)
    clock.now_s += 1801
    assert (await counters.look(REQUESTS)).remaining == 1
    assert await counters.take(REQUESTS, 1)
    assert not await counters.take(REQUESTS, 1)


@pytest.mark.anyio
async def test_a_changed_limit_forgives_nothing(clock: Clock) -> None:
    counters = Counters()
    for _ in range(3):
        await counters.take(REQUESTS, 1)
    higher = Window(REQUESTS.subject, "requests", "hour", 4)
    assert (await counters.look(higher)).remaining == 1


@pytest.mark.anyio
async def test_tokens_fade_within_the_window(clock: Clock) -> None:
    counters = Counters()
    await counters.spend(TOKENS, 900)
    assert (await counters.look(TOKENS, 100)).wait_s == 0
    assert 0 < (await counters.look(TOKENS, 200)).wait_s < 120
    await counters.spend(TOKENS, 900)  # more than is left: filled to the brim, without debt
    assert (await counters.look(TOKENS)).remaining == 0
    clock.now_s += 180
    assert (await counters.look(TOKENS)).remaining == 1000


@pytest.mark.anyio
@pytest.mark.parametrize(("spent", "cost"), [(900, 200), (1000, 1), (1000, 1000), (400, 900)])
async def test_waiting_as_long_as_was_said_is_enough_and_much_less_is_not(clock: Clock, spent: int, cost: int) -> None:
    counters = Counters()
    await counters.spend(TOKENS, spent)
    wait_s = (await counters.look(TOKENS, cost)).wait_s
    clock.now_s += wait_s - 1
    assert not await counters.take(TOKENS, cost)
    clock.now_s += 1.01
    assert await counters.take(TOKENS, cost)


def test_seconds_until_needs_no_division_by_what_is_not_there() -> None:
    assert seconds_until(1000, TOKENS, (0, 0.0, 0, 0.0)) == 0


@pytest.mark.anyio
async def test_redis_counts_for_all_processes(redis_url: str) -> None:
    async with open_counters(redis_url) as one, open_counters(redis_url) as other:
        assert [await counters.take(REQUESTS, 1) for counters in (one, other, one, other)] == [True, True, True, False]
        await one.spend(TOKENS, 700)
        state = await other.look(TOKENS, 400)
        assert state.remaining == 300
        assert 0 < state.wait_s <= 120


@pytest.mark.anyio
async def test_when_redis_goes_away_each_process_goes_on_counting(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from redis.exceptions import ConnectionError as RedisConnectionError

    async with open_counters(redis_url) as counters:
        assert await counters.take(REQUESTS, 1)

        async def unreachable(*_: object, **__: object) -> None:
            raise RedisConnectionError("gone")

        monkeypatch.setattr("redis.asyncio.connection.ConnectionPool.get_connection", unreachable)
        assert [await counters.take(REQUESTS, 1) for _ in range(4)] == [True, True, True, False]
    assert sum("Redis does not answer" in record.message for record in caplog.records) == 1


@pytest.mark.anyio
@pytest.mark.parametrize("url", ["redis://:secret-password@127.0.0.1:1/0", "http://secret-password@host"])
async def test_a_redis_that_is_not_there_stops_the_start_without_telling_the_password(url: str) -> None:
    with pytest.raises(ConfigError, match="REDIS_URL") as refused:
        async with open_counters(url):
            pass
    assert "secret-password" not in str(refused.value)
