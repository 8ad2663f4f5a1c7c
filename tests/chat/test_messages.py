"""What counts as a chat, and what a person is told when it is none."""

from typing import Any

import pytest

from chatwright.chat import Message, parse_messages
from chatwright.errors import InputError

CALL = {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"x": "天"}'}}


def test_text_parts_become_one_text() -> None:
    parts = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
    assert Message.parse({"role": "user", "content": parts}).content == "one\ntwo"


def test_openai_nulls_count_as_absent() -> None:
    message = Message.parse({"role": "assistant", "content": None, "tool_calls": [CALL], "refusal": None})
    assert message.to_dict() == {
        "role": "assistant",
        "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": {"x": "天"}}}],
    }


def test_arguments_that_are_no_object_stay_as_the_model_wrote_them() -> None:
    broken = {"function": {"name": "f", "arguments": '{"x": '}}
    message = Message.parse({"role": "assistant", "content": "", "tool_calls": [broken]})
    assert message.tool_calls[0]["function"]["arguments"] == '{"x": '


@pytest.mark.parametrize("key", ["reasoning_content", "reasoning", "thinking"])
def test_thoughts_under_any_of_their_names(key: str) -> None:
    assert Message.parse({"role": "assistant", "content": "a", key: "b"}).reasoning_content == "b"


@pytest.mark.parametrize(
    ("messages", "told"),
    [
        ([], "empty"),
        ("hello", "list of messages"),
        ({"role": "user", "content": "x"}, "list of messages"),
        (None, "list of messages"),
        (["hello"], "must be an object"),
        ([{"role": "root", "content": "x"}], "'root'; allowed are system, user"),
        ([{"role": ["user"], "content": "x"}], "allowed are"),
        ([{"content": "x"}], "no role"),
        ([{"role": "user"}], "no content"),
        ([{"role": "user", "content": None}], "no content"),
        ([{"role": "user", "content": 5}], "string or a list"),
        ([{"role": "user", "content": {"a": 1}}], "string or a list"),
        ([{"role": "user", "content": [5]}], "part of content"),
        ([{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}], "reads text only"),
        ([{"role": "user", "content": "\ud83d"}], "lone surrogate"),
        ([{"role": "user", "content": "x", "name": 7}], "name of a user message"),
        ([{"role": "user", "content": "x", "colour": "red"}], "unknown key 'colour'"),
        ([{"role": "user", "content": "x", "tool_calls": [CALL]}], "only the assistant"),
        ([{"role": "assistant", "content": "x", "tool_calls": "f"}], "must be a list"),
        ([{"role": "assistant", "content": "x", "tool_calls": [{"function": "f"}]}], "a tool call must be"),
    ],
)
def test_what_is_no_chat_is_an_input_error(messages: Any, told: str) -> None:
    with pytest.raises(InputError, match=told):
        parse_messages(messages)
