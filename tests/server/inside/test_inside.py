"""The view inside answers, through the API, against a plain pass of the same model over the same text."""

import asyncio
import math
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch

from chatwright import LoadedModel
from chatwright.chat import Message
from chatwright.model import GPT, load_model
from chatwright.server.backends.base import ChatRequest
from chatwright.server.backends.inside import InsideRequest, WrittenAnswer
from chatwright.server.backends.local import LocalBackend
from tests.server.conftest import Client
from tests.server.conversations.conftest import OpenWorld, world  # noqa: F401 (a fixture)

pytestmark = pytest.mark.anyio
SHORT = {"temperature": 0, "max_tokens": 12}


@pytest.fixture(scope="module")
def plain(tiny_model_dir: Path) -> GPT:
    """The served model, to be run by hand."""
    return load_model(tiny_model_dir, dtype="float32", device="cpu").eval()


async def answered(http: httpx.AsyncClient, *questions: str, **sampling: Any) -> dict[str, Any]:
    """The last answer of a conversation of these questions."""
    body = {"sampling": SHORT | sampling, "system_prompt": "Be brief."}
    conversation = (await http.post("/api/conversations", json=body)).json()["id"]
    message: dict[str, Any] = {}
    for question in questions:
        path = f"/api/conversations/{conversation}/messages"
        asked = (await http.post(path, json={"content": question})).json()["messages"][0]
        await http.get(f"/api/messages/{asked['id']}/events")
        message = (await http.get(f"/api/messages/{asked['id']}")).json()
    assert message["status"] == "complete", message
    return message


async def inside(http: httpx.AsyncClient, message: dict[str, Any], **topics: Any) -> dict[str, Any]:
    response = await http.post(f"/api/messages/{message['id']}/inside", json=topics)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


async def test_the_numbers_are_those_of_a_plain_pass_over_what_the_model_read(
    client: Client, plain: GPT, tiny_loaded: LoadedModel
) -> None:
    async with client(accounts=False) as http:
        message = await answered(http, "hello world", "你好，世界")
        seen = await inside(http, message)
        ids = [token["id"] for token in seen["tokens"]["tokens"]]
        start = seen["answer_start"]
        assert (seen["model"], seen["same_version"], seen["dropped_turns"]) == ("tiny", True, 0)
        assert (seen["num_layers"], seen["num_heads"], seen["num_tokens"]) == (2, 4, len(ids))
        assert (seen["attention"], seen["gaze"], seen["lens"]) == (None, None, None)

        # The text is the prompt that was sent, and the answer as it was kept.
        branch = (await http.get(f"/api/conversations/{message['conversation_id']}/messages")).json()["data"]
        chat = [Message("system", "Be brief."), *(Message(row["role"], row["content"]) for row in branch[:-1])]
        prompt = tiny_loaded.template.render(chat, add_generation_prompt=True).ids
        assert ids[:start] == prompt
        assert len(prompt) == message["prompt_tokens"]
        assert tiny_loaded.tokenizer.decode(ids[start:], skip_special=True) == message["content"]
        assert (
            b"".join(bytes(token["bytes"]) for token in seen["tokens"]["tokens"][start:])
            .decode()
            .startswith(message["content"])
        )
        control = [token["text"] for token in seen["tokens"]["tokens"] if token["control"]]
        assert "<|im_start|>" in control

        with torch.no_grad():
            whole = plain(torch.tensor([ids]), output_attentions=True, output_hidden_states=True)
        logprobs = whole.logits[0].log_softmax(-1)
        places = seen["tokens"]["places"]
        assert len(places) == len(ids) - start
        for index, place in enumerate(places, start):
            row = logprobs[index - 1]
            assert place["probability"] == pytest.approx(row[ids[index]].exp().item(), rel=1e-3)
            assert place["entropy"] == pytest.approx(-(row.exp() * row).sum().item() / math.log(2), abs=1e-3)
            best = [alternative["token"]["id"] for alternative in place["alternatives"]]
            assert best == row.topk(8).indices.tolist()
            assert place["rank"] == (row > row[ids[index]]).sum().item() + 1

        position = start + 2
        more = await inside(
            http,
            message,
            tokens=False,
            attention={"layer": 1, "head": 2, "first": position, "count": 3},
            gaze={"position": position},
            lens={"position": position},
        )
        assert more["tokens"] is None
        assert len(more["attention"]["rows"]) == 3
        for index, row in enumerate(more["attention"]["rows"], position):
            assert row == pytest.approx(whole.attentions[1][0, 2, index, : index + 1].tolist(), abs=1e-4)
        assert len(more["gaze"]) == 2
        assert more["gaze"][0][3]["rest"] == pytest.approx(whole.attentions[0][0, 3, position, 0].item(), abs=1e-4)
        with torch.no_grad():
            middle = plain.logits(plain.norm(whole.hidden_states[1][0, position - 1])).softmax(-1)
        assert more["lens"][1]["probability"] == pytest.approx(middle[ids[position]].item(), rel=1e-3)
        assert more["lens"][-1]["probability"] == pytest.approx(places[2]["probability"], rel=1e-3)


async def test_half_characters_have_no_text_and_alternatives_are_spelt(client: Client) -> None:
    async with client(accounts=False) as http:
        message = await answered(http, "hello")
        edited = await http.post(
            f"/api/conversations/{message['conversation_id']}/messages/{message['id']}/edit", json={"content": "好😀"}
        )
        message = edited.json()["messages"][0]
        seen = await inside(http, message)
        tokens = seen["tokens"]["tokens"][seen["answer_start"] :]
        assert bytes(byte for token in tokens for byte in token["bytes"]).decode() == "好😀"
        assert [token["text"] for token in tokens if len(token["bytes"]) == 1] == [None] * sum(
            len(token["bytes"]) == 1 for token in tokens
        )
        assert None in [token["text"] for token in tokens]
        assert all(len(place["alternatives"]) == 8 for place in seen["tokens"]["places"])
        assert not any(token["control"] for token in tokens)  # nobody ended this one but the person


async def test_what_is_asked_wrongly_is_refused(client: Client) -> None:
    async with client(accounts=False) as http:
        message = await answered(http, "hello")
        wrong: list[dict[str, Any]] = [
            {"attention": {"layer": 2, "head": 0}},
            {"attention": {"layer": 0, "head": 4}},
            {"attention": {"layer": 0, "head": 0, "first": 400}},
            {"attention": {"layer": 0, "head": 0, "count": 65}},
            {"attention": {"layer": -1, "head": 0}},
            {"attention": {"layer": 1e300, "head": 0}},
            {"attention": [1]},
            {"gaze": {"position": 400}},
            {"lens": {"position": 0}},
            {"lens": {"position": 400}},
            {"lens": {"position": None}},
            {"tokens": "maybe"},
            {"unknown": 1},
        ]
        for topics in wrong:
            refused = await http.post(f"/api/messages/{message['id']}/inside", json=topics)
            assert refused.status_code == 400, (topics, refused.text)
            assert set(refused.json()["error"]) == {"message", "type", "param", "code"}
        question = (await http.get(f"/api/conversations/{message['conversation_id']}/messages")).json()["data"][0]
        refused = await http.post(f"/api/messages/{question['id']}/inside", json={})
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "not_an_answer")


async def test_case_1_the_inside_of_somebody_elses_answer_is_not_there(client: Client) -> None:
    async with client(accounts=True, sign_up="open", admins_read_chats=True) as http:
        for name in ("admin", "anna", "ben"):
            http.cookies.clear()
            signed = await http.post("/api/sign-up", json={"name": name, "password": f"the password of {name}"})
            assert signed.status_code == 201
            if name == "anna":
                message = await answered(http, "secret")
                await inside(http, message)
        for name in ("ben", "admin"):
            http.cookies.clear()
            await http.post("/api/sign-in", json={"name": name, "password": f"the password of {name}"})
            refused = await http.post(f"/api/messages/{message['id']}/inside", json={})
            assert (refused.status_code, refused.json()["error"]["code"]) == (404, "message_not_found")


async def test_it_counts_as_what_it_reads(client: Client) -> None:
    async with client(accounts=False, limits={"requests_per_hour": 3}) as http:
        message = await answered(http, "hello")
        seen = await inside(http, message)
        usage = (await http.get("/api/me/usage")).json()["data"]
        assert sum(row["prompt_tokens"] for row in usage) >= message["prompt_tokens"] + seen["num_tokens"]
        while (answer := await http.post(f"/api/messages/{message['id']}/inside", json={})).status_code == 200:
            pass
        assert answer.status_code == 429
        assert int(answer.headers["retry-after"]) > 0


async def test_a_model_elsewhere_shows_no_inside_and_says_so(world: OpenWorld) -> None:  # noqa: F811
    async with world() as w:
        conversation = await w.conversation()
        answer = await w.answered(conversation, "Hello")
        for language, word in (("en", "another server"), ("zh", "其他服务器")):
            refused = await w.http.post(
                f"/api/messages/{answer['id']}/inside", json={}, headers={"Accept-Language": language}
            )
            assert (refused.status_code, refused.json()["error"]["code"]) == (400, "unsupported_by_model")
            assert word in refused.json()["error"]["message"]
        w.model.holds_still = True
        growing = await w.ask(conversation, "More.")
        refused = await w.http.post(f"/api/messages/{growing['id']}/inside", json={})
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "still_generating")


async def test_a_conversation_that_is_too_long_is_told_with_both_counts(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatwright.server.backends.local.MAX_TOKENS", 20)
    async with client(accounts=False) as http:
        message = await answered(http, "hello world " * 10)
        refused = await http.post(f"/api/messages/{message['id']}/inside", json={})
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "context_length_exceeded")
        assert " 20;" in refused.json()["error"]["message"]


async def test_answers_are_the_same_while_somebody_looks_inside(tiny_model_dir: Path) -> None:
    backend = LocalBackend.open(str(tiny_model_dir), device="cpu", dtype="float32", threads=1, kv_memory_bytes=8 << 20)
    try:
        request = ChatRequest((Message("user", "hello"),), {"temperature": 0, "max_tokens": 60})
        look = InsideRequest(request, WrittenAnswer("word " * 60), tokens=True, lens=20)

        async def text() -> str:
            return "".join([piece.text async for piece in await backend.chat(request)])

        alone, first = await text(), await backend.inside(look)
        beside, *found = await asyncio.gather(text(), *(backend.inside(look) for _ in range(3)))
        assert beside == alone
        assert all(each == first for each in found)
    finally:
        await backend.close()
