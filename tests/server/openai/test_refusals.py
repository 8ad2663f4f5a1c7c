"""What a refusal names is what the caller sent: its field, by the name that this endpoint has for it."""

from typing import Any

import pytest

from tests.server.conftest import Client

LONG = "a long text " * 2000
FOREIGN = [10**6]  # a token id that no model of ours has
NO_SCHEMA = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "no such type"}}}
FLAT_SCHEMA = {"type": "json_schema", "name": "x", "schema": {"type": "no such type"}}
NO_ARGUMENTS = {"type": "function", "function": {"name": "f", "parameters": {"type": "no such type"}}}
HELLO = [{"role": "user", "content": "hello"}]
PICTURE = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}]

CHAT, TEXT, RESPONSES, EMBEDDINGS = "/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/embeddings"


REFUSED: list[tuple[str, dict[str, Any], str, str]] = [
    (CHAT, {"messages": [{"role": "user", "content": LONG}]}, "messages", "context_length_exceeded"),
    (CHAT, {"messages": HELLO, "max_tokens": 10**6}, "messages", "context_length_exceeded"),
    (CHAT, {"messages": PICTURE}, "messages", "invalid_value"),
    (CHAT, {"messages": HELLO, "response_format": NO_SCHEMA}, "response_format", "invalid_value"),
    (CHAT, {"messages": HELLO, "tools": [NO_ARGUMENTS], "tool_choice": "required"}, "tools", "invalid_value"),
    (TEXT, {"prompt": LONG}, "prompt", "context_length_exceeded"),
    (TEXT, {"prompt": FOREIGN}, "prompt", "invalid_value"),
    (TEXT, {"prompt": ""}, "prompt", "invalid_value"),
    (TEXT, {"prompt": "a", "response_format": NO_SCHEMA}, "response_format", "invalid_value"),
    (EMBEDDINGS, {"input": LONG}, "input", "context_length_exceeded"),
    (EMBEDDINGS, {"input": FOREIGN}, "input", "invalid_value"),
    (EMBEDDINGS, {"input": ["a", ""]}, "input.1", "invalid_value"),
    (RESPONSES, {"input": LONG}, "input", "context_length_exceeded"),
    (RESPONSES, {"input": PICTURE}, "input", "invalid_value"),
    (RESPONSES, {"input": "a", "text": {"format": FLAT_SCHEMA}}, "text.format", "invalid_value"),
    (RESPONSES, {"input": "a", "max_output_tokens": 10**6}, "input", "context_length_exceeded"),
    (RESPONSES, {"input": "a", "previous_response_id": "resp_x"}, "previous_response_id", "response_not_found"),
    (CHAT, {"messages": HELLO, "continue_final_message": True}, "continue_final_message", "invalid_value"),
    ("/tokenize", {"messages": PICTURE}, "messages", "invalid_value"),
    ("/detokenize", {"tokens": FOREIGN}, "tokens", "invalid_value"),
]


def _status(code: str) -> int:
    return 404 if code.endswith("_not_found") else 400


@pytest.mark.anyio
async def test_an_error_names_the_callers_own_field(client: Client) -> None:
    async with client(accounts=False) as http:
        for path, body, param, code in REFUSED:
            answer = await http.post(path, json={"model": "tiny", **body})
            error = answer.json()["error"]
            assert (answer.status_code, error["param"], error["code"]) == (_status(code), param, code), (path, error)
            foreign = ["prompt_ids", "of the constraint", *(["messages"] if "messages" not in body else [])]
            assert [word for word in foreign if word in error["message"]] == [], (path, error)


@pytest.mark.anyio
async def test_a_wrong_form_is_told_in_one_sentence(client: Client) -> None:
    cases: list[tuple[str, str | None]] = [
        ("", "the request has no body; send a JSON object"),
        ("[]", "the body must be a JSON object, not a list"),
        ('"text"', "the body must be a JSON object, not a string"),
        ("5", "the body must be a JSON object, not a number"),
        ("true", "the body must be a JSON object, not a boolean"),
        ('{"model": tiny}', "the body is no JSON: Expecting value (at character 10)"),
    ]
    async with client(accounts=False) as http:
        for path in (CHAT, TEXT, RESPONSES, EMBEDDINGS, "/tokenize", "/v1/moderations", "/api/conversations"):
            for content, message in cases:
                answer = await http.post(path, content=content, headers={"content-type": "application/json"})
                error = answer.json()["error"]
                assert (answer.status_code, error["message"], error["param"]) == (400, message, None)
            answer = await http.post(path, content="{}", headers={"content-type": "text/plain"})
            assert "Content-Type: application/json" in answer.json()["error"]["message"]
        neither = (await http.post("/tokenize", json={})).json()["error"]
        assert (neither["message"], neither["param"]) == ("give prompt or messages, one of them", None)
        purpose = (await http.get("/v1/files?purpose=x")).json()["error"]
        assert purpose["param"] == "purpose"
        assert purpose["message"].startswith("purpose must be 'assistants'")
        for wrong, param, message in (
            ({"messages": "hi"}, "messages", "messages must be a list, not a string"),
            ({"messages": ["hi"]}, "messages.0", "messages.0 must be an object, not a string"),
            (
                {"messages": [{"role": "user", "content": 5}]},
                "messages.0.content",
                "must be a string or a list, not a n",
            ),
            ({"stop": ["a", 1]}, "stop.1", "stop.1 must be a string, not a number"),
            ({"temperature": 3}, "temperature", "temperature must be less than or equal to 2"),
            (
                {"response_format": {"type": "xml"}},
                "response_format.type",
                "one of 'text', 'json_object', 'json_schema'",
            ),
            ({"response_format": {"type": "json_schema"}}, "response_format.json_schema", "json_schema is missing"),
            (
                {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
                "messages",
                'must be {"type": "text", "text"',
            ),
            ({"temprature": 1}, "temprature", "there is no parameter temprature here"),
        ):
            body = {"model": "tiny", "messages": HELLO, **wrong}
            error = (await http.post(CHAT, json=body)).json()["error"]
            assert error["param"] == param
            assert message in error["message"]


@pytest.mark.anyio
async def test_tokenising_counts_as_a_request(client: Client) -> None:
    requests: list[tuple[str, str, Any]] = [
        ("GET", "/tokenizer_info", None),
        ("POST", "/tokenize", {"prompt": "hello"}),
        ("POST", "/tokenize", {"messages": HELLO}),
        ("POST", "/detokenize", {"tokens": [3]}),
        ("POST", "/v1/responses/input_tokens", {"model": "tiny", "input": "hello"}),
    ]
    async with client(accounts=False, limits={"requests_per_hour": len(requests)}) as http:
        for number, (method, path, body) in enumerate(requests, start=1):
            answer = await http.request(method, path, json=body)
            assert answer.status_code == 200, answer.text
            assert answer.headers["x-ratelimit-remaining-requests"] == str(len(requests) - number)
        for method, path, body in requests:
            answer = await http.request(method, path, json=body)
            assert (answer.status_code, answer.json()["error"]["code"]) == (429, "rate_limit_exceeded")
            assert answer.headers["retry-after"]
