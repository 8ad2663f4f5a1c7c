"""Several servers, one process that runs the models: answers are the same, and only the key opens the door."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from pydantic import SecretStr

from chatwright.chat import Message
from chatwright.engine.params import Constraint
from chatwright.model.inside import HeadWish
from chatwright.server.app import create_app
from chatwright.server.backends.base import Answer, Backend, ChatRequest, Piece, TextRequest
from chatwright.server.backends.inside import InsideRequest, SeesInside, WrittenAnswer
from chatwright.server.errors import ApiError
from chatwright.server.principal import Principal
from chatwright.server.services import Services
from tests.server.conftest import Client, MakeSettings, live, running

KEY = "the key that both servers share"
ADMIN = Principal(user_id="admin", role="admin", channel="local")
HELLO = (Message("user", "hello 你好"),)
TOOL = {
    "type": "function",
    "function": {"name": "now", "parameters": {"type": "object", "additionalProperties": False}},
}


@pytest.fixture(scope="module")
def engine_address(tiny_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server with the tiny model that other servers may use."""
    from chatwright.server.settings import ServerSettings

    settings = ServerSettings(
        home=tmp_path_factory.mktemp("engine"),
        model=str(tiny_model_dir),
        device="cpu",
        dtype="float32",
        models_memory_bytes=256 << 20,
        accounts=False,
        engine_key=SecretStr(KEY),
    )
    with live(settings) as address:
        yield address


@pytest.fixture
async def front(engine_address: str, make_settings: MakeSettings) -> AsyncIterator[Services]:
    """The services of a server whose models are elsewhere."""
    settings = make_settings(accounts=False, engine_url=engine_address, engine_key=KEY)
    async with running(create_app(settings)) as app:
        yield app.state.services


@pytest.fixture
async def here(make_settings: MakeSettings, tmp_path: Path) -> AsyncIterator[Services]:
    """The services of a server with the same model in its own process."""
    async with running(create_app(make_settings(accounts=False, home=tmp_path / "here"))) as app:
        yield app.state.services


async def read(answer: Answer) -> list[Piece]:
    return [piece async for piece in answer]


def joined(pieces: list[Piece]) -> dict[int, tuple[str, str, str | None]]:
    """Per index: text, arguments of calls, how it ended."""
    found: dict[int, tuple[str, str, str | None]] = {}
    for piece in pieces:
        text, arguments, finish = found.get(piece.index, ("", "", None))
        arguments += "".join(call.arguments for call in piece.tool_calls)
        found[piece.index] = (text + piece.text, arguments, piece.finish_reason or finish)
    return found


def tokens(pieces: list[Piece]) -> list[tuple[int, list[bytes]]]:
    """The scored tokens of each answer; what is remembered of a prompt changes the last digits of scores."""
    return [
        (index, [score.data for piece in pieces if piece.index == index for score in piece.scores or ()])
        for index in sorted({piece.index for piece in pieces})
    ]


@pytest.mark.anyio
async def test_everything_is_answered_as_in_process(front: Services, here: Services) -> None:
    far = (await front.models.find(None, ADMIN)).backend
    near = (await here.models.find(None, ADMIN)).backend
    assert far.version == near.version
    assert far.context_length == near.context_length
    chat = (Message("user", "word " * 100), Message("assistant", "x " * 100), *HELLO)
    requests = [
        ChatRequest(
            HELLO, {"seed": 1, "max_tokens": 20, "n": 2, "logprobs": 2, "stop": ("zz",), "logit_bias": {9: -5.0}}
        ),
        ChatRequest(HELLO, {"seed": 2, "max_tokens": 60}, tools=(TOOL,), tool_choice="now"),
        ChatRequest(HELLO, {"seed": 3, "max_tokens": 30}, constraint=Constraint.regex("[ab]{3}")),
        ChatRequest(chat, {"seed": 4, "max_tokens": 300}, context_policy="drop_oldest"),
    ]
    for request in requests:
        first, second = await far.chat(request), await near.chat(request)
        assert first.dropped_turns == second.dropped_turns
        far_pieces, near_pieces = await read(first), await read(second)
        assert joined(far_pieces) == joined(near_pieces)
        assert tokens(far_pieces) == tokens(near_pieces)
        assert (first.usage.prompt, first.usage.completion) == (second.usage.prompt, second.usage.completion)
    assert (await far.chat(requests[3])).dropped_turns == 1
    ids = await near.encode("你好 world")
    text = TextRequest(tuple(ids), {"max_tokens": 3, "temperature": 0, "prompt_logprobs": 1, "logprobs": 1})
    first, second = await far.complete(text), await near.complete(text)
    assert tokens(await read(first)) == tokens(await read(second))
    assert first.prompt_scores is not None
    assert second.prompt_scores is not None
    assert [score and score.token_id for score in first.prompt_scores] == [None, *ids[1:]]
    for far_score, near_score in zip(first.prompt_scores[1:], second.prompt_scores[1:], strict=True):
        assert far_score is not None
        assert near_score is not None
        assert far_score.data == near_score.data
        assert far_score.logprob == pytest.approx(near_score.logprob, abs=1e-3)
    look = InsideRequest(
        requests[0], WrittenAnswer("你好 world"), tokens=True, attention=HeadWish(1, 0, 3, 2), gaze=4, lens=5
    )
    assert isinstance(far, SeesInside)
    assert isinstance(near, SeesInside)
    assert await far.inside(look) == await near.inside(look)
    assert await far.encode("你好 world") == ids
    assert await far.decode(ids) == "你好 world"
    assert await far.count(HELLO) == await near.count(HELLO)
    assert await far.tokenizer_facts() == await near.tokenizer_facts()
    near_vectors = (await near.embed(["a", ids])).vectors
    assert np.allclose((await far.embed(["a", ids])).vectors, near_vectors, atol=1e-6)


@pytest.mark.anyio
async def test_refusals_are_told_as_they_are(front: Services) -> None:
    backend = (await front.models.find(None, ADMIN)).backend
    with pytest.raises(ApiError) as refused:
        await backend.chat(ChatRequest(HELLO, {"temperature": 3}))
    assert (refused.value.status, refused.value.param) == (400, "temperature")
    with pytest.raises(ApiError) as refused:
        await backend.chat(ChatRequest((Message("user", "word " * 600),)))
    assert refused.value.code == "context_length_exceeded"


@pytest.mark.anyio
async def test_a_model_of_the_servers_entries_runs_in_the_engine_process(
    engine_address: str, client: Client, tiny_model_dir: Path
) -> None:
    async with client(accounts=False, engine_url=f"{engine_address}/v1", engine_key=KEY) as http:
        body = {"name": "mine", "source": str(tiny_model_dir), "options": {"max_model_len": 128}}
        assert (await http.post("/api/admin/models", json=body)).json()["state"] == "unloaded"
        loaded = (await http.post("/api/admin/models/mine/load")).json()
        assert (loaded["state"], loaded["context_length"]) == ("ready", 128)
        assert loaded["memory_bytes"] > 0
        question = {"model": "mine", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 5}
        assert (await http.post("/v1/chat/completions", json=question)).json()["usage"]["completion_tokens"] == 5
        assert (await http.post("/api/admin/models/mine/unload")).json()["state"] == "unloaded"


async def busy(backend: Backend) -> bool:
    """Whether the engine process refuses to unload the model."""
    return not await backend.unload()  # type: ignore[attr-defined]


@pytest.mark.anyio
async def test_to_cancel_frees_the_place_over_there(front: Services) -> None:
    backend = (await front.models.find(None, ADMIN)).backend
    answer = await backend.chat(ChatRequest(HELLO, {"max_tokens": 450, "ignore_eos": True, "n": 8}))
    assert await busy(backend)
    answer.cancel()
    assert {piece.finish_reason for piece in await read(answer)} >= {"cancelled"}
    for _ in range(200):  # each try is a request, so the other side has time
        if not await busy(backend):
            break
    else:
        pytest.fail("the engine still works for nobody")


@pytest.mark.anyio
async def test_only_the_key_opens_the_engine(engine_address: str, client: Client) -> None:
    body = {"model": {"name": "x"}, "request": {"messages": [{"role": "user", "content": "hi"}]}}
    async with httpx.AsyncClient(base_url=engine_address) as http:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {KEY}"}):
            answer = await http.post("/engine/chat", json=body, headers={"X-Chatwright-Owner": "ada", **headers})
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, "engine_key_required")
    async with client(accounts=False) as here:
        assert (await here.post("/engine/chat", json=body)).status_code == 404
        assert "/engine/chat" not in (await here.get("/openapi.json")).text
