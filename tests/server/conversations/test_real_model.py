"""The same with a real model, limits and moderation in between, over a real socket."""

import json

import httpx
import pytest

from tests.server.conversations.conftest import events_of

pytestmark = pytest.mark.anyio


async def test_an_answer_of_the_real_model_streams_stops_and_goes_on(live_server: str) -> None:
    async with httpx.AsyncClient(base_url=live_server, timeout=60) as http:
        conversation = (await http.post("/api/conversations", json={"sampling": {"seed": 1, "max_tokens": 400}})).json()
        path = f"/api/conversations/{conversation['id']}"
        asked = await http.post(f"{path}/messages", json={"content": "Tell me a long story."})
        assert asked.status_code == 201, asked.text
        answer = asked.json()["messages"][0]["id"]
        seen = ""
        async with http.stream("GET", f"/api/messages/{answer}/events") as stream:
            async for line in stream.aiter_lines():
                if line.startswith("data: ") and "offset" in line:
                    seen += json.loads(line.removeprefix("data: "))["text"]
                if len(seen) > 20:
                    break  # the viewer goes; the answer does not mind
        stopped = (await http.post(f"{path}/messages/{answer}/stop")).json()
        assert stopped["content"].startswith(seen)
        assert stopped["status"] in ("stopped", "complete")  # a tiny model may have been faster than the request
        rest = await http.get(f"/api/messages/{answer}/events", params={"offset": len(seen)})
        events = events_of(rest.text)
        assert seen + "".join(event.data["text"] for event in events if event.name == "delta") == stopped["content"]
        if stopped["status"] == "stopped":
            assert (await http.post(f"{path}/messages/{answer}/continue")).status_code == 200
            done = events_of((await http.get(f"/api/messages/{answer}/events")).text)[-1].data["message"]
            assert done["content"].startswith(stopped["content"])
            assert done["completion_tokens"] > stopped["completion_tokens"]


async def test_a_long_conversation_says_what_was_not_sent(live_server: str) -> None:
    async with httpx.AsyncClient(base_url=live_server, timeout=60) as http:
        conversation = (await http.post("/api/conversations", json={"sampling": {"max_tokens": 8}})).json()
        path = f"/api/conversations/{conversation['id']}"
        for number in range(4):
            asked = await http.post(f"{path}/messages", json={"content": f"{number} " + "word and word " * 12})
            assert asked.status_code == 201, asked.text
            events = events_of((await http.get(f"/api/messages/{asked.json()['messages'][0]['id']}/events")).text)
            done = next(event for event in events if event.name == "done").data["message"]
        meter = (await http.get(f"{path}/context")).json()
        assert meter["context_length"] == 512
        assert done["dropped_turns"] == meter["dropped_turns"] > 0
        assert meter["prompt_tokens"] > 512
