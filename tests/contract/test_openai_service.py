"""The official client meets models, moderation, limits, keys and a server that fails in the middle."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import APIError, AuthenticationError, BadRequestError, NotFoundError, OpenAI, RateLimitError

from chatwright.server.app import create_app
from chatwright.server.settings import Limits, ServerSettings
from tests.contract.conftest import UNLIMITED
from tests.server.conftest import live

Serve = Callable[..., Any]


@pytest.fixture
def serve(tmp_path: Path, tiny_model_dir: Path) -> Serve:
    """``with serve(limits=…) as address``: a server of a test's own."""

    def start(**changes: Any) -> Any:
        given: dict[str, Any] = {
            "home": tmp_path / "home",
            "model": str(tiny_model_dir),
            "served_model_name": "org/tiny",
            "device": "cpu",
            "dtype": "float32",
            "models_memory_bytes": 256 << 20,
            "accounts": False,
            "limits": UNLIMITED,
        }
        return live(ServerSettings(**(given | changes)))

    return start


def test_models_are_listed_and_found(openai: OpenAI) -> None:
    assert "tiny" in [model.id for model in openai.models.list()]
    assert openai.models.retrieve("tiny").object == "model"
    with pytest.raises(NotFoundError) as caught:
        openai.models.retrieve("gpt-9")
    assert caught.value.code == "model_not_found"


def test_a_models_name_may_have_a_slash(serve: Serve) -> None:
    with serve() as address, OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0) as client:
        assert client.models.retrieve("org/tiny").id == "org/tiny"
        answer = client.chat.completions.create(
            model="org/tiny", messages=[{"role": "user", "content": "hello"}], max_tokens=1
        )
        assert answer.model == "org/tiny"


def test_moderation_in_the_clients_form(openai: OpenAI) -> None:
    answer = openai.moderations.create(input=["What a lovely day.", "I will kill you tonight, you worthless pig."])
    harmless, threat = answer.results
    assert not harmless.flagged
    assert threat.flagged
    assert threat.categories.violence or threat.categories.harassment
    assert 0 <= harmless.category_scores.violence < threat.category_scores.violence <= 1
    assert threat.category_applied_input_types.violence == ["text"]
    assert threat.category_applied_input_types.violence_graphic == []  # nobody looks for it
    assert threat.categories.violence_graphic is False
    (one,) = openai.moderations.create(
        model="omni-moderation-latest", input=[{"type": "text", "text": "What a"}, {"type": "text", "text": "day"}]
    ).results
    assert not one.flagged
    with pytest.raises(BadRequestError):
        openai.moderations.create(input=[{"type": "image_url", "image_url": {"url": "x"}}])


def test_a_key_that_is_wrong(serve: Serve) -> None:
    key = "a key of sixteen letters or more"
    with serve(api_key=key) as address:
        asked: dict[str, Any] = {"model": "org/tiny", "messages": [{"role": "user", "content": "hello"}]}
        with OpenAI(base_url=f"{address}/v1", api_key="sk-wrong", max_retries=0) as client:
            with pytest.raises(AuthenticationError) as caught:
                client.chat.completions.create(**asked)
            assert caught.value.code == "invalid_api_key"
            with pytest.raises(AuthenticationError):
                client.chat.completions.create(**asked, stream=True)
        with OpenAI(base_url=f"{address}/v1", api_key=key, max_retries=0) as client:
            assert client.chat.completions.create(**asked, max_tokens=1).choices


def test_limits_are_told_in_headers_and_the_client_does_not_insist(serve: Serve) -> None:
    requests: list[httpx.Request] = []
    http = httpx.Client(event_hooks={"request": [requests.append]})
    with (
        serve(limits=Limits(requests_per_minute=None, requests_per_hour=2)) as address,
        OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=5, http_client=http) as client,
    ):
        asked: dict[str, Any] = {
            "model": "org/tiny",
            "messages": [{"role": "user", "content": "hello"}],
            "max_tokens": 1,
        }
        first = client.chat.completions.with_raw_response.create(**asked)
        assert first.headers["x-ratelimit-limit-requests"] == "2"
        assert first.headers["x-ratelimit-remaining-requests"] == "1"
        assert first.headers["x-request-id"]
        assert list(client.chat.completions.create(**asked, stream=True))
        with pytest.raises(RateLimitError) as caught:
            client.chat.completions.create(**asked)
    assert caught.value.code == "rate_limit_exceeded"
    assert "Too many requests in 1 hour. Try again later." in caught.value.message
    assert int(caught.value.response.headers["retry-after"]) > 60
    assert caught.value.response.headers["x-should-retry"] == "false"
    assert len(requests) == 3  # waiting for an hour is the person's decision, not the client's


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch, serve: Serve) -> Iterator[str]:
    """A server whose engine dies after the first piece, however many tokens that has."""
    from chatwright.errors import EngineError
    from chatwright.server.backends.local_answer import LocalAnswer

    whole = LocalAnswer.__aiter__

    async def dies(self: LocalAnswer) -> Any:
        async for piece in whole(self):
            yield piece
            raise EngineError("the worker is gone from /srv/secret")

    monkeypatch.setattr(LocalAnswer, "__aiter__", dies)
    with serve() as address:
        yield address


def test_an_engine_that_dies_in_the_middle_is_an_error_of_the_client(broken: str) -> None:
    asked: dict[str, Any] = {"model": "org/tiny", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 9}
    with OpenAI(base_url=f"{broken}/v1", api_key="none", max_retries=0) as client:
        pieces = []
        with pytest.raises(APIError) as caught:
            pieces += client.chat.completions.create(**asked, stream=True)
        assert caught.value.code == "engine_unavailable"
        assert "/srv" not in str(caught.value.body)
        with pytest.raises(APIError) as caught:
            client.chat.completions.create(**asked)
        assert caught.value.code == "engine_unavailable"
        events = list(client.responses.create(model="org/tiny", input="hello", max_output_tokens=9, stream=True))
        assert events[-1].type == "response.failed"
        assert events[-1].response.error is not None


def test_every_route_of_this_room_is_described() -> None:
    document = create_app(ServerSettings(accounts=False)).openapi()
    for path in (
        *("/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/embeddings", "/v1/moderations"),
        *("/tokenize", "/detokenize", "/v1/responses/input_tokens"),
    ):
        operation = document["paths"][path]["post"]
        assert operation["summary"]
        assert {"200", "4XX", "5XX"} <= set(operation["responses"])
        assert operation["requestBody"]["content"]["application/json"]["schema"]
    stream = document["paths"]["/v1/chat/completions"]["post"]["responses"]["200"]["content"]
    assert set(stream) == {"application/json", "text/event-stream"}
