"""Tools in the forms of several families, forced by a grammar, and described in words where a template knows none."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chatwright.chat import Message
from chatwright.engine.params import Constraint
from chatwright.errors import InvalidParameterError
from chatwright.loaded import LoadedModel
from chatwright.model import GPT, ModelConfig
from chatwright.server.backends.base import Answer, ChatRequest, Piece
from chatwright.server.backends.inside import InsideRequest, WrittenAnswer
from chatwright.server.backends.local import LocalBackend
from chatwright.tokenizer import Tokenizer

DATA = Path(__file__).parents[2] / "data" / "chat"
ASK = (Message("user", "what is the weather like in Paris"),)
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"$ref": "#/$defs/City"}},
            "required": ["city"],
            "additionalProperties": False,
            "$defs": {"City": {"enum": ["Paris", "Beijing"]}},
        },
    },
}
TIME = {"type": "function", "function": {"name": "get_time"}}
MISTRAL_TOOLS = (
    "{{- bos_token }}{% if tools %}[AVAILABLE_TOOLS]{{ tools | tojson }}[/AVAILABLE_TOOLS]{% endif %}"
    "{% for message in messages %}[INST] {{ message.content }} [/INST]{% endfor %}{# [TOOL_CALLS] #}"
)
Open = Callable[..., LocalBackend]


@pytest.fixture
def open_backend(tmp_path: Path) -> Iterator[Open]:
    """``open_backend("qwen3")``: random weights with that family's tokenizer and template."""
    opened: list[LoadedModel] = []

    def open_(family: str, template: str | None = None) -> LocalBackend:
        folder = tmp_path / family
        shutil.copytree(DATA / family, folder)
        if template is not None:
            (folder / "chat_template.jinja").write_text(template)
        tokenizer = Tokenizer.from_folder(folder)
        config = ModelConfig(
            vocab_size=tokenizer.vocab_size,
            hidden_size=32,
            num_layers=1,
            num_heads=2,
            intermediate_size=32,
            max_position_embeddings=2048,
        )
        opened.append(LoadedModel.of(GPT(config).eval(), tokenizer, kv_memory_bytes=4 << 20))
        return LocalBackend(opened[-1], version="test")

    yield open_
    for loaded in opened:
        loaded.close()


async def pieces_of(answer: Answer) -> list[Piece]:
    return [piece async for piece in answer]


@pytest.mark.anyio
@pytest.mark.parametrize("family", ["qwen3", "llama3", "chatml", "mistral", "gemma"])
@pytest.mark.parametrize("choice", ["required", "get_weather"])
async def test_a_forced_call_is_valid_whatever_the_model(open_backend: Open, family: str, choice: str) -> None:
    backend = open_backend(family, MISTRAL_TOOLS if family == "mistral" else None)
    request = ChatRequest(ASK, {"seed": 3, "max_tokens": 200}, tools=(WEATHER,), tool_choice=choice)
    pieces = await pieces_of(await backend.chat(request))
    calls = [call for piece in pieces for call in piece.tool_calls]
    assert calls[0].name == "get_weather"
    assert json.loads("".join(call.arguments for call in calls))["city"] in ("Paris", "Beijing")
    assert "".join(piece.text for piece in pieces) == ""
    assert pieces[-1].finish_reason == "tool_calls"


@pytest.mark.anyio
async def test_a_named_tool_among_several_is_the_one_that_is_called(open_backend: Open) -> None:
    backend = open_backend("qwen3")
    request = ChatRequest(ASK, {"max_tokens": 200}, tools=(TIME, WEATHER), tool_choice="get_weather")
    calls = [call for piece in await pieces_of(await backend.chat(request)) for call in piece.tool_calls]
    assert [call.name for call in calls if call.name] == ["get_weather"]


@pytest.mark.anyio
async def test_calls_and_results_reach_a_model_whose_template_knows_no_tools(open_backend: Open) -> None:
    backend = open_backend("chatml")
    call = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'}}
    chat = (
        *ASK,
        Message.parse({"role": "assistant", "content": None, "tool_calls": [call]}),
        Message("tool", "rain", tool_call_id="call_1"),
    )
    with_tools, without = await backend.count(chat, (WEATHER,)), await backend.count(chat)
    assert with_tools > without > await backend.count(ASK)
    answer = await backend.chat(ChatRequest(chat, {"max_tokens": 1}, tools=(WEATHER,)))
    assert answer.usage.prompt == with_tools
    await pieces_of(answer)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("request_", "parameter"),
    [
        (ChatRequest(ASK, tools=(WEATHER,), tool_choice="get_rich"), "tool_choice"),
        (ChatRequest(ASK, tool_choice="required"), "tool_choice"),
        (ChatRequest(ASK, tools=({"type": "function"},)), "tools"),
        (ChatRequest(ASK, tools=(WEATHER,), constraint=Constraint.regex("a+")), "response_format"),
        (ChatRequest(ASK, template_variables={"messages": []}), "chat_template_kwargs"),
    ],
)
async def test_what_does_not_go_together_is_refused_by_name(
    open_backend: Open, request_: ChatRequest, parameter: str
) -> None:
    with pytest.raises(InvalidParameterError) as refused:
        await open_backend("qwen3").chat(request_)
    assert refused.value.parameter == parameter


@pytest.mark.anyio
async def test_a_schema_holds_even_where_the_template_opens_thoughts(open_backend: Open) -> None:
    template = (DATA / "qwen3" / "chat_template.jinja").read_text() + "{{- '<think>\\n' if add_generation_prompt }}"
    backend = open_backend("qwen3", template)
    schema: dict[str, Any] = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
    schema["additionalProperties"] = False
    request = ChatRequest(ASK, {"max_tokens": 60}, constraint=Constraint.json_schema(schema))
    pieces = await pieces_of(await backend.chat(request))
    assert isinstance(json.loads("".join(piece.text for piece in pieces))["ok"], bool)
    free = await backend.chat(ChatRequest(ASK, {"max_tokens": 5}))
    thoughts = await pieces_of(free)
    assert free.usage.reasoning == 5
    assert not any(piece.text for piece in thoughts)


@pytest.mark.anyio
@pytest.mark.parametrize("opened", [False, True])
async def test_a_kept_answer_is_read_back_with_its_thoughts(open_backend: Open, opened: bool) -> None:
    template = (DATA / "qwen3" / "chat_template.jinja").read_text()
    backend = open_backend("qwen3", template + ("{{- '<think>\\n' if add_generation_prompt }}" if opened else ""))

    async def read_back(answer: WrittenAnswer) -> str:
        found = await backend.inside(InsideRequest(ChatRequest(ASK), answer, tokens=True))
        assert found.findings.places is not None
        assert len(found.findings.places) == len(found.ids) - found.answer_start
        return b"".join(found.pieces[token] for token in found.ids[found.answer_start :]).decode()

    begin = "" if opened else "<think>\n"
    whole = await read_back(WrittenAnswer("Yes.", "Hm.\n", is_ended=True))
    assert whole == f"{begin}Hm.\n</think>\n\nYes.<|im_end|>"
    assert await read_back(WrittenAnswer("", "Hm")) == f"{begin}Hm\n"  # it was stopped while it thought
    assert await read_back(WrittenAnswer("Yes.")) == ("</think>\n\nYes." if opened else "Yes.")


@pytest.mark.anyio
@pytest.mark.parametrize("family", ["qwen3", "llama3", "chatml", "mistral"])
async def test_an_answer_is_either_json_as_asked_for_or_a_call(open_backend: Open, family: str) -> None:
    backend = open_backend(family, MISTRAL_TOOLS if family == "mistral" else None)
    schema = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
    constraint = Constraint.json_schema(schema | {"additionalProperties": False})
    seen = set()
    for seed in range(40):
        request = ChatRequest(ASK, {"seed": seed, "max_tokens": 200}, tools=(WEATHER,), constraint=constraint)
        pieces = await pieces_of(await backend.chat(request))
        arguments = "".join(call.arguments for piece in pieces for call in piece.tool_calls)
        text = "".join(piece.text for piece in pieces)
        if arguments:
            assert json.loads(arguments)["city"] in ("Paris", "Beijing")
            assert not text
        else:
            assert isinstance(json.loads(text)["ok"], bool)
        assert pieces[-1].finish_reason == ("tool_calls" if arguments else "stop")
        seen.add(bool(arguments))
        if len(seen) == 2:
            return
    pytest.fail(f"only one kind of answer came: {seen}")
