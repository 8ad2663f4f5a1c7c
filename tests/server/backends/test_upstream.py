"""Other servers behind our interface: what they are sent, what is made of their answers, what is refused."""

import asyncio
import ipaddress
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import numpy as np
import pytest

from chatwright.chat import Message
from chatwright.engine.params import Constraint
from chatwright.errors import InvalidParameterError
from chatwright.server.backends.base import ChatRequest, NoTokenizer, Piece, TextRequest
from chatwright.server.backends.upstream import UpstreamBackend
from chatwright.server.backends.upstream_address import GuardedTransport, checked_url, refusal
from chatwright.server.backends.upstream_answer import UpstreamAnswer
from chatwright.server.backends.upstream_client import UpstreamClient
from chatwright.server.errors import ApiError
from tests.server.backends.fake_upstream import (
    Asked,
    FakeUpstream,
    Handler,
    chat_event,
    events,
    fake_upstream,
    json_answer,
)
from tests.server.conftest import Client

HELLO = (Message("system", "be kind"), Message("user", "hello"))
USAGE = {
    "choices": [],
    "usage": {"prompt_tokens": 7, "completion_tokens": 3, "completion_tokens_details": {"reasoning_tokens": 2}},
}
KEY = "sk-upstream-secret"


@asynccontextmanager
async def backend(**routes: Handler) -> AsyncIterator[tuple[UpstreamBackend, FakeUpstream]]:
    async with fake_upstream(**routes) as fake:
        client = UpstreamClient(fake.url, KEY, allow_private=True, read_seconds=10)
        yield UpstreamBackend(client, "there", version="fake/there"), fake
        await client.close()


async def read(answer: UpstreamAnswer) -> tuple[str, str, list[Piece]]:
    pieces = [piece async for piece in answer]
    return "".join(piece.text for piece in pieces), "".join(piece.reasoning for piece in pieces), pieces


@pytest.mark.anyio
async def test_a_chat_is_sent_and_read_in_openais_form() -> None:
    stream = events(
        chat_event("", role="assistant"), chat_event("Hi "), chat_event("you 你好"), chat_event(finish="stop"), USAGE
    )
    async with backend(chat_completions=stream) as (upstream, fake):
        request = ChatRequest(
            HELLO, {"temperature": 0.5, "max_tokens": 9, "stop": ("x",), "logit_bias": {5: 1.0}, "top_k": 3}
        )
        answer = await upstream.chat(request)
        text, _, pieces = await read(answer)
        assert text == "Hi you 你好"
        assert pieces[-1].finish_reason == "stop"
        assert (answer.usage.prompt, answer.usage.completion, answer.usage.reasoning) == (7, 3, 2)
        sent = fake.asked[0]
        assert sent.headers["authorization"] == f"Bearer {KEY}"
        assert sent.body["messages"] == [{"role": "system", "content": "be kind"}, {"role": "user", "content": "hello"}]
        assert sent.body | {"messages": None} == {
            "model": "there",
            "messages": None,
            "temperature": 0.5,
            "max_tokens": 9,
            "stop": ["x"],
            "logit_bias": {"5": 1.0},
            "top_k": 3,
            "stream": True,
            "stream_options": {"include_usage": True},
        }


@pytest.mark.anyio
async def test_thoughts_and_calls_are_read_whoever_parses_them() -> None:
    call = {"index": 0, "id": "call_a", "function": {"name": "time", "arguments": '{"a"'}}
    rest = {"index": 0, "function": {"arguments": ": 1}"}}
    parsed = events(
        chat_event(reasoning_content="hm"),
        chat_event(tool_calls=[call]),
        chat_event(tool_calls=[rest]),
        chat_event(finish="tool_calls"),
    )
    async with backend(chat_completions=parsed) as (upstream, fake):
        tool = {"type": "function", "function": {"name": "time"}}
        answer = await upstream.chat(ChatRequest(HELLO, tools=(tool,), tool_choice="time"))
        _, reasoning, pieces = await read(answer)
        calls = [call for piece in pieces for call in piece.tool_calls]
        assert reasoning == "hm"
        assert (calls[0].id, calls[0].name, "".join(call.arguments for call in calls)) == ("call_a", "time", '{"a": 1}')
        assert fake.asked[0].body["tool_choice"] == {"type": "function", "function": {"name": "time"}}
    async with backend(chat_completions=events(chat_event("<think>hm</thi"), chat_event("nk>yes", finish="stop"))) as (
        upstream,
        _,
    ):
        assert (await read(await upstream.chat(ChatRequest(HELLO))))[:2] == ("yes", "hm")


@pytest.mark.anyio
async def test_histories_with_calls_go_out_as_text_of_json() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "time", "arguments": '{"zone": "北京"}'}}
    chat = (
        *HELLO,
        Message.parse({"role": "assistant", "content": None, "tool_calls": [call], "reasoning_content": "private"}),
        Message("tool", "noon", tool_call_id="c1"),
    )
    async with backend(chat_completions=events(chat_event("x", finish="stop"))) as (upstream, fake):
        await read(await upstream.chat(ChatRequest(chat, constraint=Constraint.json_object())))
        sent = fake.asked[0].body
        assert sent["messages"][2]["tool_calls"] == [call]
        assert "reasoning_content" not in sent["messages"][2]
        assert sent["response_format"] == {"type": "json_object"}


@pytest.mark.anyio
async def test_a_chat_that_is_too_long_loses_its_oldest_turns_only_where_that_is_allowed() -> None:
    async def picky(asked: Asked, writer: asyncio.StreamWriter) -> None:
        refused = {"message": "This model's maximum context length is 8 tokens", "type": "BadRequestError", "code": 400}
        too_long = len(asked.body["messages"]) > 3
        handler = json_answer(refused, 400) if too_long else events(chat_event("ok", finish="stop"))
        await handler(asked, writer)

    chat = (HELLO[0], *(Message("user" if i % 2 == 0 else "assistant", str(i)) for i in range(7)))
    async with backend(chat_completions=picky) as (upstream, fake):
        with pytest.raises(ApiError) as refused:
            await upstream.chat(ChatRequest(chat))
        assert refused.value.code == "context_length_exceeded"
        answer = await upstream.chat(ChatRequest(chat, context_policy="drop_oldest"))
        assert (await read(answer))[0] == "ok"
        assert answer.dropped_turns == 3
        assert [message["content"] for message in fake.asked[-1].body["messages"]] == ["be kind", "6"]


@pytest.mark.anyio
async def test_to_cancel_closes_the_connection() -> None:
    async def endless(_: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        while True:
            writer.write(f"data: {json.dumps(chat_event('word '))}\n\n".encode())
            await writer.drain()
            await asyncio.sleep(0.001)

    async with backend(chat_completions=endless) as (upstream, fake):
        answer = await upstream.chat(ChatRequest(HELLO))
        pieces = []
        async for piece in answer:
            pieces.append(piece)
            answer.cancel()
        assert pieces[-1].finish_reason == "cancelled"
        async with asyncio.timeout(10):
            await fake.gone.wait()


@pytest.mark.anyio
async def test_a_caller_who_is_cancelled_before_the_answer_begins_leaves_no_connection() -> None:
    asked = asyncio.Event()

    async def silent(_: Asked, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await asyncio.Event().wait()

    async with backend(chat_completions=silent) as (upstream, fake):
        caller = asyncio.create_task(upstream.chat(ChatRequest(HELLO)))
        async with asyncio.timeout(10):
            await asked.wait()
            caller.cancel()
            await fake.gone.wait()


@pytest.mark.anyio
@pytest.mark.parametrize(
    "stream",
    [
        events(chat_event("half"), done=False),
        events(chat_event("half"), {"error": {"message": "CUDA out of memory at /home/x"}}),
        events(chat_event("half"), {"choices": "none"}),
        events(chat_event("half"), {"choices": [{"index": -1, "delta": {}}]}),
    ],
    ids=["cut off", "error", "wrong type", "wrong index"],
)
async def test_what_fails_in_the_middle_is_an_error_of_ours(stream: Handler) -> None:
    async with backend(chat_completions=stream) as (upstream, _):
        answer = await upstream.chat(ChatRequest(HELLO))
        pieces = aiter(answer)
        assert (await anext(pieces)).text == "half"
        with pytest.raises(ApiError) as failed:
            await anext(pieces)
        assert (failed.value.status, failed.value.code) == (502, "upstream_error")
        assert "/home" not in str(failed.value)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("status", "body", "expected", "code"),
    [
        (400, {"error": {"message": "temperature is odd", "param": "temperature"}}, 400, "invalid_value"),
        (401, {"error": {"message": f"bad key {KEY}"}}, 502, "upstream_error"),
        (404, {"message": "no such model"}, 502, "upstream_error"),
        (429, {"error": "slow down"}, 503, "upstream_busy"),
        (500, {"error": {"message": f"trace /srv {KEY}"}}, 502, "upstream_error"),
        (302, {}, 502, "upstream_error"),
    ],
)
async def test_refusals_are_told_in_our_words_and_without_keys(
    status: int, body: Any, expected: int, code: str
) -> None:
    elsewhere = json_answer({"choices": []})
    refuse = json_answer(body, status, Location="/v1/elsewhere", Retry_After="9")
    async with backend(chat_completions=refuse, elsewhere=elsewhere) as (upstream, fake):
        with pytest.raises(ApiError) as refused:
            await upstream.chat(ChatRequest(HELLO))
        assert (refused.value.status, refused.value.code) == (expected, code)
        assert KEY not in str(refused.value)
        assert len(fake.asked) == 1  # a redirect is not followed
        assert refused.value.headers.get("Retry-After") == ("9" if code == "upstream_busy" else None)


@pytest.mark.anyio
async def test_a_server_that_is_not_there() -> None:
    client = UpstreamClient("http://127.0.0.1:9/v1", allow_private=True)
    upstream = UpstreamBackend(client, "x", version="x")
    with pytest.raises(ApiError) as refused:
        await upstream.chat(ChatRequest(HELLO))
    assert refused.value.code == "upstream_unavailable"
    assert (await upstream.health()).state == "failed"
    await client.close()


@pytest.mark.anyio
async def test_scores_of_an_echoed_prompt() -> None:
    scores = {
        "tokens": ["he", "llo", " you"],
        "token_logprobs": [None, -1.0, -2.0],
        "top_logprobs": [None, {"llo": -1.0}, {"x": -0.5}],
    }
    body = {
        "choices": [{"index": 0, "text": "hello you", "logprobs": scores, "finish_reason": "length"}],
        "usage": {"prompt_tokens": 2, "completion_tokens": 1},
    }
    for prompt in ("hello", (1, 2)):
        async with backend(completions=json_answer(body)) as (upstream, fake):
            sampling = {"max_tokens": 1, "logprobs": 1, "prompt_logprobs": 1}
            answer = await upstream.complete(TextRequest(prompt, sampling))
            text, _, pieces = await read(answer)
            assert text == " you"
            assert answer.prompt_scores is not None
            assert [score and score.logprob for score in answer.prompt_scores] == [None, -1.0]
            assert pieces[0].scores is not None
            assert [score.top[0].token for score in pieces[0].scores] == ["x"]
            assert fake.asked[0].body["echo"] is True


@pytest.mark.anyio
async def test_embeddings_are_checked_and_scaled() -> None:
    good = {
        "data": [{"index": 1, "embedding": [0.0, 2.0]}, {"index": 0, "embedding": [3.0, 4.0]}],
        "usage": {"prompt_tokens": 4},
    }
    async with backend(embeddings=json_answer(good)) as (upstream, _):
        found = await upstream.embed(["a", "b"])
        assert np.allclose(found.vectors, [[0.6, 0.8], [0.0, 1.0]])
        assert found.num_tokens == 4
        with pytest.raises(ApiError):
            await upstream.embed(["a", "b", "c"])
    for data in ([{"index": 0, "embedding": []}], [{"index": 0, "embedding": [0.0]}], "none", []):
        async with backend(embeddings=json_answer({"data": data})) as (upstream, _):
            with pytest.raises(ApiError):
                await upstream.embed(["a"])


@pytest.mark.anyio
async def test_tokens_are_asked_for_where_the_server_knows_them() -> None:
    async with backend() as (upstream, fake):
        fake.routes |= {"/tokenize": json_answer({"tokens": [4, 5]}), "/detokenize": json_answer({"prompt": "hi"})}
        assert await upstream.encode("hi") == [4, 5]
        assert await upstream.decode([4, 5]) == "hi"
    async with backend() as (upstream, fake):
        for _ in range(2):
            with pytest.raises(NoTokenizer):
                await upstream.encode("hi")
        assert len(fake.asked) == 1  # known from then on
        assert await upstream.count(HELLO) > 0


@pytest.mark.anyio
async def test_what_has_no_effect_there_is_refused() -> None:
    async with backend() as (upstream, fake):
        with pytest.raises(InvalidParameterError):
            await upstream.chat(ChatRequest(HELLO, {"beam_width": 2}))
        with pytest.raises(InvalidParameterError):
            await upstream.chat(ChatRequest(HELLO, {"temperature": 9}))
        assert not fake.asked


@pytest.mark.parametrize(
    ("address", "public", "private"),
    [
        ("93.184.216.34", True, True),
        ("127.0.0.1", False, True),
        ("10.1.2.3", False, True),
        ("192.168.0.1", False, True),
        ("::1", False, True),
        ("fd00::1", False, True),
        ("::ffff:10.0.0.1", False, True),
        ("100.64.0.1", False, True),
        ("169.254.169.254", False, False),
        ("::ffff:169.254.169.254", False, False),
        ("64:ff9b::a9fe:a9fe", False, False),
        ("64:ff9b::5db8:d822", True, True),
        ("fe80::1", False, False),
        ("0.0.0.0", False, False),
        ("::", False, False),
        ("224.0.0.1", False, False),
        ("255.255.255.255", False, False),
    ],
)
def test_case_7_where_requests_may_go(address: str, public: bool, private: bool) -> None:
    found = ipaddress.ip_address(address)
    assert (refusal(found, allow_private=False) is None) == public
    assert (refusal(found, allow_private=True) is None) == private


@pytest.mark.anyio
@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "127.1", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]"]
)
async def test_case_7_no_spelling_of_this_machine_gets_through(host: str) -> None:
    async with fake_upstream(models=json_answer({"data": []})) as fake:
        client = UpstreamClient(fake.url.replace("127.0.0.1", host))
        with pytest.raises(ApiError):
            await client.get("/models")
        await client.close()
        assert not fake.asked


@pytest.mark.anyio
async def test_case_7_the_connection_goes_to_the_address_that_was_judged() -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200)

    transport = GuardedTransport(allow_private=True, transport=httpx.MockTransport(answer))
    async with httpx.AsyncClient(transport=transport) as http:
        await http.get("https://localhost:8443/v1/models")
    assert asked[0].url.host in ("127.0.0.1", "::1")
    assert asked[0].headers["Host"] == "localhost:8443"
    assert asked[0].extensions["sni_hostname"] == "localhost"


@pytest.mark.parametrize(
    "url",
    ["", "ftp://x/v1", "file:///etc/passwd", "http://", "http://user:pw@x/v1", "http://x/v1?a=b", "http://x/#y", "x"],
)
def test_case_7_what_is_no_address_of_an_api_is_refused(url: str) -> None:
    with pytest.raises(InvalidParameterError):
        checked_url(url)


@pytest.mark.anyio
async def test_administration_of_upstreams(client: Client) -> None:
    stream = events(chat_event("from there", finish="stop"), USAGE)
    listed = json_answer({"data": [{"id": "there"}, {"id": 5}]})
    async with fake_upstream(chat_completions=stream, models=listed) as fake, client(accounts=False) as http:
        body = {"name": "gpu", "base_url": fake.url, "api_key": KEY}
        made = await http.post("/api/admin/upstreams", json=body)
        assert made.status_code == 201
        assert made.json()["has_key"] is True
        assert (await http.post("/api/admin/upstreams", json=body)).status_code == 409
        assert (await http.post("/api/admin/upstreams", json=body | {"base_url": "file:///x"})).status_code == 400
        path = f"/api/admin/upstreams/{made.json()['id']}"
        check = (await http.post(f"{path}/check")).json()
        assert check["state"] == "failed"
        assert "private" in check["detail"]
        assert (await http.patch(path, json={"allow_private": True})).json()["has_key"] is True
        assert (await http.post(f"{path}/check")).json() == {"state": "ready", "detail": "", "models": ["there"]}
        model = {"name": "far/away", "kind": "upstream", "source": "there", "upstream_id": made.json()["id"]}
        assert (await http.post("/api/admin/models", json=model)).json()["state"] == "ready"
        question = {"model": "far/away", "messages": [{"role": "user", "content": "hi"}]}
        answer = (await http.post("/v1/chat/completions", json=question)).json()
        assert answer["choices"][0]["message"]["content"] == "from there"
        assert answer["usage"]["prompt_tokens"] == 7
        assert fake.asked[-1].headers["authorization"] == f"Bearer {KEY}"
        assert (await http.patch(path, json={"name": None})).status_code == 400
        assert (await http.patch(path, json={"api_key": None})).json()["has_key"] is False
        everything = [
            await http.get(url) for url in ("/api/admin/upstreams", path, "/api/admin/audit", "/api/admin/models")
        ]
        assert not any(KEY in found.text for found in everything)
        assert (await http.patch(path, json={"enabled": False})).json()["enabled"] is False
        assert (await http.post("/v1/chat/completions", json=question)).status_code == 404
        assert (await http.delete(path)).status_code == 204
        assert (await http.get("/api/admin/models/far/away")).status_code == 404
