"""Records are recognised by their keys, in every form that people write them in."""

import json
from typing import Any

import pytest

from chatwright.chat import Message
from chatwright.data.formats import parse_row
from chatwright.data.row_texts import learned_texts
from chatwright.data.rows import Dialogue, Labelled, Preference, Prompt, Rated, Text
from chatwright.errors import InputError

ALL = (Text, Dialogue, Preference, Rated, Labelled, Prompt)
ASK, SAY = Message("user", "Hi"), Message("assistant", "Hello")
OTHER = Message("assistant", "Go away")

DIALOGUES: list[dict[str, Any]] = [
    {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]},
    {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}], "id": 7},
    {"conversation": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]},
    {"messages": '[{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]'},
    {"instruction": "Hi", "input": "", "output": "Hello"},
    {"instruction": "Hi", "input": None, "output": "Hello", "system": None, "history": None},
    {"prompt": "Hi", "completion": "Hello"},
    {"prompt": [{"role": "user", "content": "Hi"}], "completion": [{"role": "assistant", "content": "Hello"}]},
    {"question": "Hi", "answer": "Hello"},
    {"question": "Hi", "answers": {"text": ["Hello", "Hey"], "answer_start": [0, 3]}},
]


@pytest.mark.parametrize("record", DIALOGUES, ids=lambda record: ",".join(record))
def test_every_form_of_a_dialogue_is_the_same_dialogue(record: dict[str, Any]) -> None:
    assert parse_row(record, (Dialogue,)) == Dialogue((ASK, SAY))


def test_system_history_and_input_of_alpaca_come_in_order() -> None:
    record = {"instruction": "Add", "input": "1 2", "output": "3", "system": "Calculate.", "history": [["Hi", "Hello"]]}
    row = parse_row(record, (Dialogue,))
    assert row == Dialogue(
        (Message("system", "Calculate."), ASK, SAY, Message("user", "Add\n1 2"), Message("assistant", "3"))
    )


def test_a_question_comes_after_its_context() -> None:
    row = parse_row({"context": "Ann is 7.", "question": "How old?", "answer": 7}, (Dialogue,))
    assert row == Dialogue((Message("user", "Ann is 7.\nHow old?"), Message("assistant", "7")))


def test_the_stage_decides_what_a_question_with_an_answer_is() -> None:
    record = {"question": "2+2", "answer": "4", "level": "easy"}
    assert parse_row(record, (Prompt,)) == Prompt((Message("user", "2+2"),), "4", {"level": "easy"})
    assert isinstance(parse_row(record, (Dialogue,)), Dialogue)
    chat = {"messages": [{"role": "user", "content": "2+2"}, {"role": "assistant", "content": "4"}]}
    assert parse_row(chat, (Prompt,)) == Prompt((Message("user", "2+2"),), "4", {})
    labelled = {"text": "good", "label": 1}
    assert parse_row(labelled, (Labelled,)) == Labelled("good", "1")
    assert parse_row(labelled, (Text,)) == Text("good")


def test_tools_and_calls_in_both_styles_mean_the_same() -> None:
    tool = {"type": "function", "function": {"name": "now", "parameters": {}}}
    call = {"type": "function", "function": {"name": "now", "arguments": {"zone": "UTC"}}}
    openai = {
        "messages": [
            {"role": "user", "content": "Time?"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "content": "12:00"},
            {"role": "assistant", "content": "Noon."},
        ],
        "tools": [tool],
    }
    sharegpt = {
        "conversations": [
            {"from": "human", "value": "Time?"},
            {"from": "function_call", "value": '{"name": "now", "arguments": {"zone": "UTC"}}'},
            {"from": "observation", "value": "12:00"},
            {"from": "gpt", "value": "Noon."},
        ],
        "tools": '[{"type": "function", "function": {"name": "now", "parameters": {}}}]',
    }
    row = parse_row(openai, (Dialogue,))
    assert isinstance(row, Dialogue)
    assert row == parse_row(sharegpt, (Dialogue,))
    assert row.tools == (tool,)


WHOLE = [{"role": "user", "content": "Hi"}]
PREFERENCES: list[dict[str, Any]] = [
    {"prompt": "Hi", "chosen": "Hello", "rejected": "Go away"},
    {"prompt": WHOLE, "chosen": [{"role": "assistant", "content": "Hello"}], "rejected": "Go away"},
    {
        "prompt": "Hi",  # as UltraFeedback has it: the prompt again, before each answer
        "chosen": [*WHOLE, {"role": "assistant", "content": "Hello"}],
        "rejected": [*WHOLE, {"role": "assistant", "content": "Go away"}],
    },
    {
        "chosen": [*WHOLE, {"role": "assistant", "content": "Hello"}],
        "rejected": [*WHOLE, {"role": "assistant", "content": "Go away"}],
    },
    {"chosen": "\n\nHuman: Hi\n\nAssistant: Hello", "rejected": "\n\nHuman: Hi\n\nAssistant: Go away"},
    {"instruction": "Hi", "input": "", "chosen": "Hello", "rejected": "Go away"},
    {
        "conversations": [{"from": "human", "value": "Hi"}],
        "chosen": {"from": "gpt", "value": "Hello"},
        "rejected": {"from": "gpt", "value": "Go away"},
    },
]


@pytest.mark.parametrize("record", PREFERENCES, ids=lambda record: ",".join(record))
def test_every_form_of_a_preference_is_the_same_preference(record: dict[str, Any]) -> None:
    assert parse_row(record, (Preference,)) == Preference((ASK,), (SAY,), (OTHER,))


def test_a_question_that_nobody_answered_does_not_cost_the_answers_before() -> None:
    said = [*WHOLE, {"role": "assistant", "content": "Hello"}]
    assert parse_row({"messages": [*said, *WHOLE, *WHOLE]}, (Dialogue,)) == Dialogue((ASK, SAY))
    assert isinstance(parse_row({"messages": [*said, *WHOLE]}, (Dialogue, Prompt)), Prompt)


@pytest.mark.parametrize("mark", [{"weight": 0}, {"weight": 0.0}, {"train": False}, {"loss": False}])
def test_answers_that_are_marked_are_not_learned(mark: dict[str, Any]) -> None:
    said = [
        {"role": "user", "content": "One?", "weight": 0},
        {"role": "assistant", "content": "No.", **mark},
        {"role": "user", "content": "Two?"},
        {"role": "assistant", "content": "Yes.", "weight": 1, "train": True},
        {"role": "user", "content": "Three?"},
    ]
    for record in ({"messages": said}, {"messages": json.dumps(said)}, {"system": "Be brief.", "messages": said}):
        row = parse_row(record, (Dialogue,))
        assert isinstance(row, Dialogue)
        assert [row.messages[index].content for index in row.unlearned] == ["No."]
        assert list(learned_texts(row)) == ["Yes."]


def test_scores_make_a_margin() -> None:
    record = {"prompt": "Hi", "chosen": "a", "rejected": "b", "score_chosen": 8, "score_rejected": "5.5"}
    row = parse_row(record, (Preference,))
    assert isinstance(row, Preference)
    assert row.margin == 2.5


@pytest.mark.parametrize(("label", "good"), [(True, True), (0, False), ("false", False), ("1", True), (1.0, True)])
def test_thumbs_in_every_spelling(label: Any, good: bool) -> None:
    expected = Rated((ASK,), (SAY,), good)
    assert parse_row({"prompt": "Hi", "completion": "Hello", "label": label}, (Rated,)) == expected
    chat = {"messages": [*WHOLE, {"role": "assistant", "content": "Hello"}], "label": label}
    assert parse_row(chat, (Rated,)) == expected


@pytest.mark.parametrize(
    ("record", "says"),
    [
        (["text"], "a list, where an object"),
        ({}, "no known format has its keys"),
        ({"x": 1}, "columns"),
        ({"text": 3}, "text is a number"),
        ({"text": "a\ud800b"}, "lone surrogate"),
        ({"messages": []}, "messages is empty"),
        ({"messages": "Hi"}, "not the JSON of a list"),
        ({"messages": {"role": "user"}}, "must be text or a list"),
        ({"messages": [None]}, "message 1: it is null"),
        ({"messages": [{"role": "narrator", "content": "x"}]}, "its role is 'narrator'"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "part of type 'image_url'"),
        ({"messages": [*WHOLE]}, "the last message is the user's"),
        ({"messages": [{"role": "assistant", "content": "x", "weight": 0.5}]}, "its weight is 0.5; it must be 0"),
        ({"instruction": "a", "output": 3}, "output is a number"),
        ({"instruction": "a", "output": "b", "history": [["only"]]}, "history, turn 1"),
        ({"prompt": "a", "chosen": "b", "rejected": "b"}, "are equal"),
        ({"prompt": "a", "chosen": "b", "rejected": []}, "rejected is empty"),
        ({"prompt": "a", "completion": "b", "label": "maybe"}, "label is 'maybe'"),
        ({"prompt": "a", "completion": "b", "label": None}, "messages"),
    ],
)
def test_what_is_wrong_with_a_record_is_said(record: Any, says: str) -> None:
    kinds = (Rated,) if isinstance(record, dict) and "label" in record else (Dialogue, Preference)
    if says == "messages":  # without a label it is a dialogue, which is for the caller to refuse
        assert isinstance(parse_row(record, (Dialogue,)), Dialogue)
        return
    with pytest.raises(InputError, match=says):
        parse_row(record, kinds)


def test_a_named_format_wins_over_the_keys() -> None:
    record = {"text": "body", "messages": [*WHOLE]}
    assert parse_row(record, ALL, "text") == Text("body")
    with pytest.raises(InputError, match="instruction is missing"):
        parse_row(record, ALL, "alpaca")
