"""The official client uses the Responses API."""

import json

import pytest
from openai import AsyncOpenAI, BadRequestError, NotFoundError, OpenAI
from openai.types.responses import FunctionToolParam, ResponseInputParam, ResponseTextConfigParam

YES: ResponseTextConfigParam = {
    "format": {
        "type": "json_schema",
        "name": "yes",
        "schema": {
            "type": "object",
            "properties": {"a": {"const": 1}},
            "required": ["a"],
            "additionalProperties": False,
        },
    }
}
WEATHER: FunctionToolParam = {
    "type": "function",
    "name": "weather",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string", "enum": ["Oslo", "北京"]}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}


def test_a_response_has_text_and_usage(openai: OpenAI) -> None:
    response = openai.responses.create(model="tiny", input="hello", max_output_tokens=6, metadata={"a": "b"})
    assert response.id.startswith("resp_")
    assert response.status == "incomplete"
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == "max_output_tokens"
    assert response.output_text
    assert response.metadata == {"a": "b"}
    assert response.usage is not None
    assert response.usage.output_tokens == 6
    assert response.usage.input_tokens_details.cached_tokens >= 0


def test_a_response_that_follows_another_reads_both(openai: OpenAI) -> None:
    first = openai.responses.create(model="tiny", input="hello", instructions="be brief", max_output_tokens=4)
    second = openai.responses.create(
        model="tiny", input="and then", previous_response_id=first.id, temperature=0, max_output_tokens=4
    )
    history: ResponseInputParam = [
        {"role": "user", "content": "hello"},
        *[item.to_dict() for item in first.output],  # type: ignore[list-item]
        {"role": "user", "content": [{"type": "input_text", "text": "and then"}]},
    ]
    by_hand = openai.responses.create(model="tiny", input=history, temperature=0, max_output_tokens=4, store=False)
    assert second.output_text == by_hand.output_text
    assert second.usage is not None
    assert by_hand.usage is not None
    assert second.usage.input_tokens == by_hand.usage.input_tokens
    counted = openai.responses.input_tokens.count(model="tiny", input="and then", previous_response_id=first.id)
    assert counted.input_tokens == second.usage.input_tokens


def test_a_response_is_kept_listed_and_forgotten(openai: OpenAI) -> None:
    made = openai.responses.create(
        model="tiny",
        input=[{"role": "user", "content": "one"}, {"role": "user", "content": "two"}],
        max_output_tokens=3,
    )
    assert openai.responses.retrieve(made.id).to_dict() == made.to_dict()
    newest = openai.responses.input_items.list(made.id, limit=1)
    assert newest.has_more
    texts = [item.to_dict()["content"][0]["text"] for item in newest]  # type: ignore[index]  # the client turns pages
    assert texts == ["two", "one"]
    openai.responses.delete(made.id)
    with pytest.raises(NotFoundError):
        openai.responses.retrieve(made.id)
    with pytest.raises(NotFoundError):
        openai.responses.create(model="tiny", input="x", previous_response_id=made.id)


def test_what_is_not_to_be_stored_is_not_there(openai: OpenAI) -> None:
    made = openai.responses.create(model="tiny", input="hello", max_output_tokens=2, store=False)
    with pytest.raises(NotFoundError) as caught:
        openai.responses.retrieve(made.id)
    assert caught.value.code == "response_not_found"


def test_events_build_the_response(openai: OpenAI) -> None:
    with openai.responses.stream(model="tiny", input="hello", text=YES) as stream:
        events = list(stream)
        final = stream.get_final_response()
    kinds = [event.type for event in events]
    assert kinds[:4] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
    ]
    assert kinds[-4:] == [
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    deltas = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert deltas == final.output_text
    assert openai.responses.retrieve(final.id).output_text == deltas


def test_a_function_is_called_and_its_output_read(openai: OpenAI) -> None:
    with openai.responses.stream(
        model="tiny", input="hello", tools=[WEATHER], tool_choice={"type": "function", "name": "weather"}
    ) as stream:
        events = list(stream)
        response = stream.get_final_response()
    (call,) = [item for item in response.output if item.type == "function_call"]
    assert call.name == "weather"
    assert json.loads(call.arguments)["city"] in ("Oslo", "北京")
    deltas = "".join(event.delta for event in events if event.type == "response.function_call_arguments.delta")
    assert deltas == call.arguments
    after = openai.responses.create(
        model="tiny",
        previous_response_id=response.id,
        input=[{"type": "function_call_output", "call_id": call.call_id, "output": "rain"}],
        tools=[WEATHER],
        max_output_tokens=3,
    )
    assert after.output_text is not None
    assert after.usage is not None
    assert response.usage is not None
    assert after.usage.input_tokens > response.usage.input_tokens


def test_a_schema_and_log_probabilities(openai: OpenAI) -> None:
    response = openai.responses.create(
        model="tiny",
        input="hello",
        include=["message.output_text.logprobs"],
        top_logprobs=1,
        text=YES,
    )
    assert json.loads(response.output_text)["a"] == 1
    (item,) = response.output
    assert item.type == "message"
    (part,) = item.content
    assert part.type == "output_text"
    assert part.logprobs
    assert all(entry.top_logprobs for entry in part.logprobs)


def test_turns_are_left_out_only_when_that_is_asked_for(openai: OpenAI) -> None:
    turns = [{"role": role, "content": "hello " * 400} for role in ("user", "assistant") * 4]
    turns.append({"role": "user", "content": "and now"})
    with pytest.raises(BadRequestError) as caught:
        openai.responses.create(model="tiny", input=turns, max_output_tokens=3)  # type: ignore[arg-type]
    assert caught.value.code == "context_length_exceeded"
    assert caught.value.param == "input"
    response = openai.responses.create(model="tiny", input=turns, max_output_tokens=3, truncation="auto")  # type: ignore[arg-type]
    assert response.to_dict()["dropped_turns"] == 3


@pytest.mark.parametrize(
    "wrong",
    [
        {"background": True},
        {"tools": [{"type": "web_search"}]},
        {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]},
        {"input": [{"type": "item_reference", "id": "msg_1"}]},
        {"previous_response_id": "resp_missing\x00"},
        {"stream_options": {}},
    ],
)
def test_what_is_not_offered_is_refused(openai: OpenAI, wrong: dict[str, object]) -> None:
    with pytest.raises((BadRequestError, NotFoundError)):
        openai.responses.create(model="tiny", input="hello", extra_body=wrong)


@pytest.mark.anyio
async def test_the_asynchronous_client_streams(async_openai: AsyncOpenAI) -> None:
    async with async_openai as client:
        stream = await client.responses.create(model="tiny", input="hello", max_output_tokens=4, stream=True)
        kinds = [event.type async for event in stream]
    assert kinds[-1] == "response.incomplete"
