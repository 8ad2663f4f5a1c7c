"""Streams: nothing is held back, silence is filled, errors are told, and nobody writes for a reader who has gone."""

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import anyio
import pytest

from chatwright.errors import EngineError
from chatwright.server.errors import ApiError
from chatwright.server.principal import Principal
from chatwright.server.sse import EventStream, event, unless_disconnected

TIMEOUT_S = 20


class Wire:
    """The other end of a connection."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.start: dict[str, Any] = {}
        self.news = asyncio.Condition()
        self.gone = asyncio.Event()

    async def receive(self) -> dict[str, Any]:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.start = message
        else:
            self.sent.append(message["body"])
        async with self.news:
            self.news.notify_all()

    async def until(self, text: bytes) -> None:
        async with self.news:
            await asyncio.wait_for(self.news.wait_for(lambda: any(text in each for each in self.sent)), TIMEOUT_S)

    async def carry(self, stream: EventStream) -> None:
        await asyncio.wait_for(stream({"type": "http"}, self.receive, self.send), TIMEOUT_S)


def test_an_event_is_one_line_of_data() -> None:
    assert event('{"a":"你"}') == 'data: {"a":"你"}\n\n'.encode()
    assert event("x", name="delta", id="3.0") == b"id: 3.0\nevent: delta\ndata: x\n\n"
    assert event("\ud800") == b"data: ?\n\n"


@pytest.mark.anyio
async def test_every_event_leaves_at_once() -> None:
    wire, go_on = Wire(), asyncio.Event()

    async def events() -> AsyncGenerator[bytes, None]:
        yield event("one")
        await go_on.wait()
        yield event("two")

    async with asyncio.TaskGroup() as group:
        group.create_task(wire.carry(EventStream(events(), headers={"x-ratelimit-limit-requests": "5"})))
        await wire.until(b"one")
        assert wire.sent == [event("one")]
        go_on.set()
    assert wire.sent == [event("one"), event("two"), b""]
    headers = dict(wire.start["headers"])
    assert headers[b"content-type"] == b"text/event-stream; charset=utf-8"
    assert headers[b"x-accel-buffering"] == b"no"
    assert headers[b"x-ratelimit-limit-requests"] == b"5"


@pytest.mark.anyio
async def test_silence_is_filled_with_comments() -> None:
    wire, go_on = Wire(), asyncio.Event()

    async def events() -> AsyncGenerator[bytes, None]:
        await go_on.wait()
        yield event("late")

    async with asyncio.TaskGroup() as group:
        group.create_task(wire.carry(EventStream(events(), keep_alive_s=0.01)))
        await wire.until(b": keep-alive\n\n")
        go_on.set()
    assert event("late") in wire.sent


@pytest.mark.anyio
async def test_a_reader_who_goes_ends_the_work_at_once() -> None:
    wire, freed, closed = Wire(), asyncio.Event(), asyncio.Event()

    async def events() -> AsyncGenerator[bytes, None]:
        try:
            yield event("one")
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)  # clean-up that waits for something must still be done to its end
            freed.set()

    async def close() -> None:
        await asyncio.sleep(0)
        closed.set()

    async with asyncio.TaskGroup() as group:
        group.create_task(wire.carry(EventStream(events(), close=close)))
        await wire.until(b"one")
        wire.gone.set()
    assert closed.is_set()
    assert freed.is_set()


@pytest.mark.anyio
async def test_what_was_never_begun_is_closed_too() -> None:
    wire, closed = Wire(), asyncio.Event()

    async def events() -> AsyncGenerator[bytes, None]:
        yield event("one")

    async def close() -> None:
        closed.set()

    async def broken(_: Any) -> None:
        raise OSError

    with pytest.raises(OSError):
        await EventStream(events(), close=close)({"type": "http"}, wire.receive, broken)
    assert closed.is_set()


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("error", "code"),
    [
        (EngineError("the file /secret is gone"), "engine_unavailable"),
        (ApiError(503, "stopped", code="cancelled"), "cancelled"),
        (ValueError("a bug with private text"), "internal_error"),
    ],
)
async def test_an_error_in_the_middle_is_the_last_event(error: Exception, code: str) -> None:
    wire = Wire()

    async def events() -> AsyncGenerator[bytes, None]:
        yield event("one")
        raise error

    await wire.carry(EventStream(events(), error_name="error"))
    name, data = wire.sent[1].decode().split("\n")[:2]
    assert name == "event: error"
    told = json.loads(data.removeprefix("data: "))["error"]
    assert set(told) == {"message", "type", "param", "code"}
    assert told["code"] == code
    assert "secret" not in data
    assert "private" not in data


@pytest.mark.anyio
async def test_a_bug_is_told_in_the_language_of_the_reader() -> None:
    sent: list[bytes] = []

    async def events() -> AsyncGenerator[bytes, None]:
        raise ValueError("a bug with private text")
        yield b""

    async def send(message: Any) -> None:
        sent.append(message.get("body", b""))

    scope = {"type": "http", "state": {"principal": Principal(language="zh")}}
    await EventStream(events())(scope, Wire().receive, send)
    assert "服务器内部出现错误".encode() in b"".join(sent)


@pytest.mark.anyio
async def test_work_without_a_stream_ends_with_its_client() -> None:
    wire, cancelled = Wire(), asyncio.Event()

    async def work() -> int:
        try:
            wire.gone.set()
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return 1

    with pytest.raises(ApiError) as caught, anyio.fail_after(TIMEOUT_S):
        await unless_disconnected(wire.receive, work())
    assert caught.value.status == 499
    assert cancelled.is_set()


@pytest.mark.anyio
async def test_work_that_is_done_in_time_is_returned() -> None:
    async def work() -> int:
        return 1

    assert await unless_disconnected(Wire().receive, work()) == 1
