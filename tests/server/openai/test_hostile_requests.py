"""SECURITY-CASES 12: no request brings the server down or gets more than a refusal with four keys."""

import json
from typing import Any

import pytest

from tests.server.conftest import Client

CHAT = {"model": "tiny", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 1}
FIELDS = {
    "/v1/chat/completions": (
        CHAT,
        [
            *("model", "messages", "temperature", "top_p", "n", "seed", "stop", "max_tokens", "max_completion_tokens"),
            *("presence_penalty", "frequency_penalty", "logit_bias", "logprobs", "top_logprobs", "response_format"),
            *("tools", "tool_choice", "stream", "stream_options", "top_k", "min_p", "repetition_penalty", "metadata"),
            *("chat_template_kwargs", "user", "reasoning_effort", "stop_token_ids", "parallel_tool_calls", "store"),
        ],
    ),
    "/v1/completions": (
        {"model": "tiny", "prompt": "hello", "max_tokens": 1},
        ["model", "prompt", "echo", "logprobs", "best_of", "suffix", "n", "max_tokens", "stream"],
    ),
    "/v1/responses": (
        {"model": "tiny", "input": "hello", "max_output_tokens": 1},
        [
            *("model", "input", "instructions", "tools", "tool_choice", "text", "include", "reasoning", "truncation"),
            *("previous_response_id", "max_output_tokens", "metadata", "store", "top_logprobs", "stream"),
        ],
    ),
    "/v1/embeddings": ({"model": "tiny", "input": "hello"}, ["model", "input", "encoding_format", "dimensions"]),
    "/tokenize": ({"prompt": "hello"}, ["model", "prompt", "messages", "tools"]),
    "/detokenize": ({"tokens": [3]}, ["model", "tokens"]),
}


def nested(depth: int) -> Any:
    """A list within a list …"""
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


VALUES: list[Any] = [
    None,
    -1,
    1e9,
    10**30,
    float("nan"),
    "",
    "\ud800",
    "\0",
    [],
    [None],
    {},
    {"\ud800": "\ud800"},
    nested(60),
]


async def _check(http: Any, path: str, content: str | bytes) -> int:
    answer = await http.post(path, content=content, headers={"content-type": "application/json"})
    assert answer.status_code < 500, (path, content[:200], answer.text)
    if answer.status_code >= 400:
        assert set(answer.json()) == {"error"}
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
    return int(answer.status_code)


@pytest.mark.anyio
@pytest.mark.parametrize("path", FIELDS)
async def test_case_12_every_field_with_every_wrong_value(client: Client, path: str) -> None:
    body, fields = FIELDS[path]
    unlimited = {"requests_per_minute": None, "requests_per_hour": None}
    async with client(accounts=False, limits=unlimited) as http:
        for field in fields:
            for value in VALUES:
                await _check(http, path, json.dumps(body | {field: value}))
            missing = {key: item for key, item in body.items() if key != field}
            await _check(http, path, json.dumps(missing))
        assert await _check(http, path, json.dumps(body)) == 200  # alive, and no worse for it


@pytest.mark.anyio
@pytest.mark.parametrize("path", FIELDS)
async def test_case_12_bodies_that_are_no_objects(client: Client, path: str) -> None:
    deep = "[" * 100_000 + "]" * 100_000
    async with client(accounts=False) as http:
        for content in ("", "null", "[]", "1", '"text"', "{", '{"model": tiny}', b"\xff\xfe", deep, "1" * 5000):
            assert await _check(http, path, content) == 400


@pytest.mark.anyio
@pytest.mark.parametrize("depth", [100, 400, 900, 990, 5000])
async def test_case_12_schemas_within_schemas(client: Client, depth: int) -> None:
    deep = '{"properties":{"a":' * depth + '{"type":"string"}' + "}}" * depth
    function = f'{{"type":"function","function":{{"name":"f","parameters":{deep}}}}}'
    messages = json.dumps(CHAT["messages"])
    async with client(accounts=False) as http:
        for more in (
            f'"tools":[{function}],"max_tokens":1',
            f'"tools":[{function}],"tool_choice":"required","max_tokens":1',
            f'"response_format":{{"type":"json_schema","json_schema":{{"name":"f","schema":{deep}}}}},"max_tokens":1',
            f'"chat_template_kwargs":{{"a":{deep}}},"max_tokens":1',
        ):
            await _check(http, "/v1/chat/completions", f'{{"model":"tiny","messages":{messages},{more}}}')
        assert await _check(http, "/v1/chat/completions", json.dumps(CHAT)) == 200


@pytest.mark.anyio
async def test_case_12_what_nothing_fits_is_no_failure_of_the_server(client: Client) -> None:
    """A client that is told 503 asks again and again."""
    nothing_left = {"logit_bias": {str(token): -100 for token in range(320)}}
    endless = {"type": "json_schema", "json_schema": {"name": "endless", "schema": {"$ref": "#"}}}
    async with client(accounts=False) as http:
        for demand in (nothing_left, {"response_format": endless}):
            body = {"model": "tiny", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 20, **demand}
            response = await http.post("/v1/chat/completions", json=body)
            assert response.status_code == 400
            assert response.json()["error"]["code"] == "constraint_unsatisfiable"


@pytest.mark.anyio
async def test_case_12_ten_megabytes(client: Client) -> None:
    async with client(accounts=False) as http:
        for path, (body, _) in FIELDS.items():
            assert await _check(http, path, json.dumps(body | {"model": "x" * 10_000_000})) == 413
        many = CHAT | {"messages": [{"role": "user", "content": "x"}] * 100_000}
        assert await _check(http, "/v1/chat/completions", json.dumps(many)) == 400
        long = CHAT | {"messages": [{"role": "user", "content": "天 sky " * 500_000}]}
        assert await _check(http, "/v1/chat/completions", json.dumps(long)) == 400


@pytest.mark.anyio
async def test_case_13_no_text_becomes_a_control_token(client: Client) -> None:
    marks = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    async with client(accounts=False) as http:
        for mark in marks:
            plain = await http.post("/tokenize", json={"prompt": mark})
            assert not {0, 1, 2} & set(plain.json()["tokens"])
            for role in ("system", "user", "assistant", "tool"):
                message = {"role": role, "content": mark, "tool_call_id": "a"}
                counted = await http.post("/tokenize", json={"messages": [message]})
                empty = await http.post("/tokenize", json={"messages": [message | {"content": "x"}]})
                assert counted.json()["count"] == empty.json()["count"] - 1 + plain.json()["count"]
