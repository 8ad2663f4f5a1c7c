"""Thoughts, text and tool calls are told apart, however the text is cut into pieces."""

import json

import pytest

from chatwright.server.backends.base import ToolCallPiece
from chatwright.server.backends.reading import AnswerReader, Grammar, Read
from chatwright.server.backends.tool_forms import HERMES, LLAMA, MISTRAL, ToolForm

WEATHER = '{"name": "weather", "arguments": {"city": "Paris", "note": "}\\" ]"}}'
LLAMA_WEATHER = WEATHER.replace("arguments", "parameters")
NAMES = frozenset({"weather", "time"})


def grammar(form: ToolForm | None, *, thinks: bool = False, parallel: bool = True) -> Grammar:
    return Grammar(thinks=thinks, form=form, names=NAMES, parallel=parallel)


def read_in(pieces: list[str], grammar_: Grammar, **begins: str) -> tuple[Read, list[tuple[str, str]]]:
    """What was read in all, and the calls as (name, arguments)."""
    reader = AnswerReader(grammar_, **begins)  # type: ignore[arg-type]
    read = Read()
    for piece in pieces:
        read += reader.read(piece, ())
    read += reader.finish()
    assert reader.has_calls == bool(read.tool_calls)
    return read, calls_of(read.tool_calls)


def calls_of(pieces: tuple[ToolCallPiece, ...]) -> list[tuple[str, str]]:
    names: dict[int, str] = {}
    arguments: dict[int, str] = {}
    for piece in pieces:
        if piece.index not in names:
            assert piece.name
            assert piece.id
            names[piece.index] = piece.name
        else:
            assert piece.name is None
            assert piece.id is None
        arguments[piece.index] = arguments.get(piece.index, "") + piece.arguments
    return [(names[index], arguments[index]) for index in sorted(names)]


CASES = [
    ("text only", HERMES, "The sky is blue. <tool> is no tag.", "The sky is blue. <tool> is no tag.", "", []),
    ("one call", HERMES, f"<tool_call>\n{WEATHER}\n</tool_call>", "", "", ["weather"]),
    (
        "text, then calls",
        HERMES,
        f"Let me see.\n<tool_call>{WEATHER}</tool_call>\n<tool_call>\n{WEATHER}\n</tool_call>\n",
        "Let me see.",
        "",
        ["weather", "weather"],
    ),
    ("thoughts", None, "<think>\nHm, 1 < 2.\n</think>\n\nYes.", "Yes.", "Hm, 1 < 2.", []),
    (
        "thoughts, then a call",
        HERMES,
        f"\n<think>\nI call.</think>\n\n<tool_call>\n{WEATHER}\n</tool_call>",
        "",
        "I call.",
        ["weather"],
    ),
    ("unclosed thoughts", None, "<think>endless", "", "endless", []),
    ("bare", LLAMA, LLAMA_WEATHER, "", "", ["weather"]),
    ("bare twice", LLAMA, f"<|python_tag|>{LLAMA_WEATHER}; {LLAMA_WEATHER}", "", "", ["weather", "weather"]),
    ("bare JSON that is an answer", LLAMA, '{"city": "Paris"}', '{"city": "Paris"}', "", []),
    ("bare JSON of no tool", LLAMA, '{"name": "Ada", "type": "x"}', '{"name": "Ada", "type": "x"}', "", []),
    ("list", MISTRAL, f"[TOOL_CALLS] [{WEATHER}, {WEATHER}]", "", "", ["weather", "weather"]),
    ("a broken call is text", HERMES, "<tool_call>\nnot JSON</tool_call>", "<tool_call>not JSON</tool_call>", "", []),
    ("a half mark at the end", HERMES, "a <tool_c", "a <tool_c", "", []),
]


@pytest.mark.parametrize(
    ("text", "form", "shown", "reasoning", "names"),
    [case[2:3] + case[1:2] + case[3:] for case in CASES],
    ids=[case[0] for case in CASES],
)
def test_what_is_read_does_not_depend_on_the_pieces(
    text: str, form: ToolForm | None, shown: str, reasoning: str, names: list[str]
) -> None:
    rules = grammar(form, thinks="<think>" in text)
    whole, calls = read_in([text], rules)
    assert (whole.text, whole.reasoning, [name for name, _ in calls]) == (shown, reasoning, names)
    assert all(json.loads(arguments) == {"city": "Paris", "note": '}" ]'} for _, arguments in calls)
    for size in (1, 2, 3, 7):
        pieces = [text[start : start + size] for start in range(0, len(text), size)]
        read, calls_in_pieces = read_in(pieces, rules)
        assert (read.text, read.reasoning, calls_in_pieces) == (shown, reasoning, calls)
    for cut in range(len(text)):
        read, calls_in_pieces = read_in([text[:cut], text[cut:]], rules)
        assert (read.text, read.reasoning, calls_in_pieces) == (shown, reasoning, calls)


def test_arguments_arrive_before_the_call_is_complete() -> None:
    reader = AnswerReader(grammar(HERMES))
    read = reader.read('<tool_call>\n{"name": "weather", "arguments": {"city": "Pa', ())
    assert calls_of(read.tool_calls) == [("weather", '{"city": "Pa')]
    assert calls_of(read.tool_calls + reader.read('ris"}}', ()).tool_calls) == [("weather", '{"city": "Paris"}')]


def test_arguments_before_the_name_wait_for_it() -> None:
    _, calls = read_in(['<tool_call>{"arguments": {"a": 1}, "na', 'me": "time"}</tool_call>'], grammar(HERMES))
    assert calls == [("time", '{"a": 1}')]


@pytest.mark.parametrize(("written", "meant"), [('"{\\"a\\": 1}"', '{"a": 1}'), ("null", "{}"), ("", "{}")])
def test_arguments_that_are_no_object_become_one(written: str, meant: str) -> None:
    rest = f', "arguments": {written}' if written else ""
    assert read_in([f'<tool_call>{{"name": "time"{rest}}}</tool_call>'], grammar(HERMES))[1] == [("time", meant)]


def test_mistral_writes_names_before_the_arguments_too() -> None:
    marks = {7: "[TOOL_CALLS]", 8: "[ARGS]"}
    reader = AnswerReader(Grammar(form=MISTRAL, names=NAMES, marks=marks))
    read = (
        reader.read("", (7,)) + reader.read("weather", (20,)) + reader.read("", (8,)) + reader.read('{"a": 1}', (21,))
    )
    assert calls_of((read + reader.finish()).tool_calls) == [("weather", '{"a": 1}')]


def test_only_one_call_counts_where_parallel_calls_are_off() -> None:
    text = f"<tool_call>{WEATHER}</tool_call><tool_call>{WEATHER}</tool_call>"
    assert len(read_in([text], grammar(HERMES, parallel=False))[1]) == 1


def test_a_prompt_may_have_opened_thoughts_or_a_call() -> None:
    read, _ = read_in(["\nhm</think>", "\n\nyes"], grammar(None, thinks=True), begins="thoughts")
    assert (read.reasoning, read.text) == ("hm", "yes")
    assert read_in([WEATHER], grammar(HERMES), begins="call")[1][0][0] == "weather"


def test_what_was_cut_off_in_a_call_is_not_lost() -> None:
    read, calls = read_in(['<tool_call>\n{"na'], grammar(HERMES))
    assert read.text == '<tool_call>{"na'
    assert calls == []
