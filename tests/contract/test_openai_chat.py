"""The official client asks for chats."""

import json

import pytest
from openai import AsyncOpenAI, BadRequestError, NotFoundError, OpenAI
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam
from pydantic import BaseModel

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "hello"}]
WEATHER: ChatCompletionToolParam = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "enum": ["Oslo", "北京"]}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}


def test_an_answer_has_everything_that_the_client_knows(openai: OpenAI) -> None:
    answer = openai.chat.completions.create(model="tiny", messages=HELLO, max_completion_tokens=8, seed=1)
    (choice,) = answer.choices
    assert answer.id.startswith("chatcmpl-")
    assert answer.object == "chat.completion"
    assert answer.model == "tiny"
    assert answer.system_fingerprint
    assert choice.message.role == "assistant"
    assert choice.message.content
    assert choice.finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 8
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 8


def test_a_seed_gives_the_same_text_and_a_stream_the_same_as_a_whole(openai: OpenAI) -> None:
    asked = {"model": "tiny", "messages": HELLO, "max_tokens": 24, "seed": 7, "temperature": 1.5, "top_p": 0.9}
    whole = openai.chat.completions.create(**asked)  # type: ignore[call-overload]
    again = openai.chat.completions.create(**asked)  # type: ignore[call-overload]
    streamed = openai.chat.completions.create(**asked, stream=True)  # type: ignore[call-overload]
    text = "".join(chunk.choices[0].delta.content or "" for chunk in streamed)
    assert text == whole.choices[0].message.content == again.choices[0].message.content


def test_the_first_chunk_has_the_role_and_the_last_the_usage(openai: OpenAI) -> None:
    stream = openai.chat.completions.create(
        model="tiny", messages=HELLO, max_tokens=4, stream=True, stream_options={"include_usage": True}
    )
    first, *middle, ended, last = list(stream)
    assert first.object == "chat.completion.chunk"
    assert first.choices[0].delta.role == "assistant"
    assert all(chunk.choices[0].finish_reason is None and chunk.usage is None for chunk in (first, *middle))
    assert ended.choices[0].finish_reason == "length"
    assert last.choices == []
    assert last.usage is not None
    assert last.usage.completion_tokens == 4
    assert {chunk.id for chunk in (first, *middle, ended, last)} == {first.id}


def test_several_answers_stream_side_by_side(openai: OpenAI) -> None:
    stream = openai.chat.completions.create(model="tiny", messages=HELLO, max_tokens=5, n=3, seed=3, stream=True)
    chunks = [chunk.choices[0] for chunk in stream]
    assert {choice.index for choice in chunks if choice.finish_reason == "length"} == {0, 1, 2}
    whole = openai.chat.completions.create(model="tiny", messages=HELLO, max_tokens=5, n=3, seed=3)
    for choice in whole.choices:
        streamed = "".join(chunk.delta.content or "" for chunk in chunks if chunk.index == choice.index)
        assert streamed == choice.message.content


def test_log_probabilities_of_every_token(openai: OpenAI) -> None:
    answer = openai.chat.completions.create(
        model="tiny", messages=HELLO, max_tokens=3, temperature=0, logprobs=True, top_logprobs=2
    )
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.content is not None
    assert len(logprobs.content) == 3
    for entry in logprobs.content:
        assert len(entry.top_logprobs) == 2
        assert entry.logprob == max(other.logprob for other in entry.top_logprobs)  # temperature 0 takes the likeliest
    stream = openai.chat.completions.create(
        model="tiny", messages=HELLO, max_tokens=3, temperature=0, logprobs=True, top_logprobs=2, stream=True
    )
    streamed = [
        entry
        for chunk in stream
        if chunk.choices[0].logprobs is not None
        for entry in chunk.choices[0].logprobs.content or ()
    ]
    assert [entry.token for entry in streamed] == [entry.token for entry in logprobs.content]


def test_stop_ends_the_answer_before_the_text(openai: OpenAI) -> None:
    free = openai.chat.completions.create(model="tiny", messages=HELLO, max_tokens=40, seed=5)
    text = free.choices[0].message.content or ""
    stop = next(letter for letter in text if letter.isalpha())
    cut = openai.chat.completions.create(model="tiny", messages=HELLO, max_tokens=40, seed=5, stop=[stop])
    assert cut.choices[0].finish_reason == "stop"
    assert cut.choices[0].message.content == text.partition(stop)[0]


def test_logit_bias_forces_a_token(openai: OpenAI) -> None:
    token = openai.post("/../tokenize", cast_to=object, body={"prompt": "e"})
    assert isinstance(token, dict)
    answer = openai.chat.completions.create(
        model="tiny", messages=HELLO, max_tokens=5, logit_bias={str(token["tokens"][0]): 100}
    )
    assert answer.choices[0].message.content == "eeeee"


def test_extras_that_other_servers_have_too(openai: OpenAI) -> None:
    wanted = {"top_k": 1, "min_p": 0.1, "repetition_penalty": 1.0}
    greedy = openai.chat.completions.create(model="tiny", messages=HELLO, max_tokens=6, temperature=0)
    picked = openai.chat.completions.create(model="tiny", messages=HELLO, max_tokens=6, extra_body=wanted)
    assert picked.choices[0].message.content == greedy.choices[0].message.content


class City(BaseModel):
    """What the model is made to say."""

    name: str
    big: bool


def test_an_answer_in_a_schema_is_parsed_by_the_client(openai: OpenAI) -> None:
    schema = {
        "type": "object",
        "properties": {"name": {"enum": ["Oslo", "北京"]}, "big": {"type": "boolean"}},
        "required": ["name", "big"],
        "additionalProperties": False,
    }
    answer = openai.chat.completions.create(
        model="tiny",
        messages=HELLO,
        response_format={"type": "json_schema", "json_schema": {"name": "city", "schema": schema, "strict": True}},
    )
    assert City.model_validate_json(answer.choices[0].message.content or "").name in ("Oslo", "北京")
    assert answer.choices[0].finish_reason == "stop"


@pytest.mark.parametrize("stream", [False, True])
def test_a_tool_that_must_be_called_is_called(openai: OpenAI, stream: bool) -> None:
    asked = {"model": "tiny", "messages": HELLO, "tools": [WEATHER], "tool_choice": "required"}
    if stream:
        with openai.chat.completions.stream(**asked, parallel_tool_calls=False) as events:  # type: ignore[arg-type]
            answer = events.get_final_completion()
    else:
        answer = openai.chat.completions.create(**asked, parallel_tool_calls=False)  # type: ignore[call-overload]
    (choice,) = answer.choices
    assert choice.finish_reason == "tool_calls"
    assert choice.message.tool_calls is not None
    (call,) = choice.message.tool_calls
    assert call.type == "function"
    assert call.id
    assert call.function.name == "weather"
    assert json.loads(call.function.arguments)["city"] in ("Oslo", "北京")


def test_the_clients_own_message_objects_come_back(openai: OpenAI) -> None:
    first = openai.chat.completions.create(
        model="tiny", messages=HELLO, tools=[WEATHER], tool_choice={"type": "function", "function": {"name": "weather"}}
    )
    message = first.choices[0].message
    assert message.tool_calls
    result: ChatCompletionMessageParam = {
        "role": "tool",
        "tool_call_id": message.tool_calls[0].id,
        "content": [{"type": "text", "text": "rain"}],
    }
    second = openai.chat.completions.create(
        model="tiny",
        messages=[*HELLO, message.to_dict(), result],  # type: ignore[list-item]
        tools=[WEATHER],
        tool_choice="none",
        max_tokens=3,
    )
    assert second.choices[0].message.tool_calls is None


def test_a_model_that_is_not_there(openai: OpenAI) -> None:
    with pytest.raises(NotFoundError) as caught:
        openai.chat.completions.create(model="gpt-9", messages=HELLO)
    assert caught.value.code == "model_not_found"
    assert caught.value.param == "model"
    assert caught.value.type == "invalid_request_error"


def test_a_request_beyond_the_context_tells_both_counts(openai: OpenAI) -> None:
    with pytest.raises(BadRequestError) as caught:
        openai.chat.completions.create(model="tiny", messages=HELLO, max_tokens=3000)
    assert caught.value.code == "context_length_exceeded"
    assert "2,048" in caught.value.message
    assert "3,012" in caught.value.message
    with pytest.raises(BadRequestError) as caught:
        openai.chat.completions.create(model="tiny", messages=[{"role": "user", "content": "hello " * 1500}])
    assert caught.value.code == "context_length_exceeded"
    assert "2,048" in caught.value.message
    assert "3,011" in caught.value.message


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"temperature": 3}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"n": 0}, "n"),
        ({"n": 1_000_000_000}, "n"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"logit_bias": {"hello": 1}}, "logit_bias.hello"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}}, None),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}, "messages"),
        ({"messages": [{"role": "wizard", "content": "hello"}]}, "messages.0.role"),
        ({"functions": []}, "functions"),
    ],
)
def test_every_refusal_names_what_is_wrong(openai: OpenAI, wrong: dict[str, object], param: str | None) -> None:
    with pytest.raises(BadRequestError) as caught:
        openai.chat.completions.create(model="tiny", messages=HELLO, extra_body=wrong)
    assert set(caught.value.body) == {"message", "type", "param", "code"}  # type: ignore[arg-type]
    if param is not None:
        assert caught.value.param == param


@pytest.mark.anyio
async def test_the_asynchronous_client_streams(async_openai: AsyncOpenAI) -> None:
    async with async_openai as client:
        stream = await client.chat.completions.create(model="tiny", messages=HELLO, max_tokens=6, stream=True)
        pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]
    assert "".join(pieces)


@pytest.mark.anyio
async def test_the_client_closes_a_stream_and_goes_on(async_openai: AsyncOpenAI) -> None:
    async with async_openai as client:
        for _ in range(8):  # more than ever run at once: a stream that is left must not keep its place
            stream = await client.chat.completions.create(
                model="tiny", messages=HELLO, max_tokens=400, stream=True, extra_body={"ignore_eos": True}
            )
            await anext(aiter(stream))
            await stream.close()
        answer = await client.chat.completions.create(model="tiny", messages=HELLO, max_tokens=2)
    assert answer.usage is not None
