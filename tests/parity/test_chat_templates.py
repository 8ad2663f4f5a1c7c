"""Our ids are those of transformers' ``apply_chat_template`` on ordinary chats, in every way of spelling text."""

from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from chatwright.chat import ChatTemplate
from chatwright.tokenizer import Tokenizer

DATA = Path(__file__).parents[1] / "data" / "chat"
FAMILIES = sorted(path.name for path in DATA.iterdir() if path.is_dir())

QUESTION = {"role": "user", "content": "What is the weather like in Paris today?"}
SHORT = [QUESTION]
SYSTEM = [{"role": "system", "content": "You are kind and brief."}, QUESTION]
TURNS = [
    *SYSTEM,
    {"role": "assistant", "content": "Sunny, 21 degrees."},
    {"role": "user", "content": "  北京呢?😀👩‍👩‍👧 é́\n\n\n  indented\tline\n"},
    {"role": "assistant", "content": "多云。\n\n```python\nprint('hi')  # <table>\n```"},
    {"role": "user", "content": "a < b > c | d [x] {y} </"},
]
ENDS_WITH_ANSWER = [*TURNS, {"role": "assistant", "content": "  yes\n"}]
CHATS = {"short": SHORT, "system": SYSTEM, "turns": TURNS, "answered": ENDS_WITH_ANSWER}
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Today's weather — 天气 & <b>more</b>",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
TOOL_CHAT: list[dict[str, Any]] = [
    *SYSTEM,
    {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"type": "function", "function": {"name": "get_weather", "arguments": {"city": "巴黎"}}}],
    },
    {"role": "tool", "content": '{"degrees": 21}', "name": "get_weather"},
    {"role": "assistant", "content": "<think>\n21 is warm.\n</think>\n\nIt is warm."},
    {"role": "user", "content": "Thanks!"},
    {"role": "assistant", "content": "You are welcome.", "reasoning_content": "Be kind."},
]


def theirs(family: str, messages: list[dict[str, Any]], **options: Any) -> list[int]:
    tokenizer = AutoTokenizer.from_pretrained(DATA / family)
    ids: list[int] = tokenizer.apply_chat_template(messages, tokenize=True, return_dict=False, **options)
    return ids


def template_of(family: str) -> ChatTemplate:
    return ChatTemplate(Tokenizer.from_folder(DATA / family))


@pytest.mark.parametrize("add_generation_prompt", [False, True])
@pytest.mark.parametrize("chat", CHATS)
@pytest.mark.parametrize("family", FAMILIES)
def test_ordinary_chats_have_the_same_ids(family: str, chat: str, add_generation_prompt: bool) -> None:
    expected = theirs(family, CHATS[chat], add_generation_prompt=add_generation_prompt)
    rendered = template_of(family).render(CHATS[chat], add_generation_prompt=add_generation_prompt)
    assert rendered.ids == expected


@pytest.mark.parametrize("family", ["llama3", "qwen3"])
def test_tools_thoughts_and_tool_answers_have_the_same_ids(family: str) -> None:
    rendered = template_of(family).render(TOOL_CHAT, tools=[WEATHER], add_generation_prompt=True)
    assert rendered.ids == theirs(family, TOOL_CHAT, tools=[WEATHER], add_generation_prompt=True)


def test_template_variables_reach_the_template() -> None:
    expected = theirs("qwen3", SHORT, add_generation_prompt=True, enable_thinking=False)
    assert template_of("qwen3").render(SHORT, add_generation_prompt=True, enable_thinking=False).ids == expected
    assert len(expected) > len(theirs("qwen3", SHORT, add_generation_prompt=True))


@pytest.mark.parametrize("family", FAMILIES)
def test_an_open_answer_has_the_same_ids(family: str) -> None:
    chat = [*SYSTEM, {"role": "assistant", "content": "Sunny, and"}]
    assert template_of(family).render(chat, continue_final=True).ids == theirs(
        family, chat, continue_final_message=True
    )


def test_generation_marks_give_the_same_mask() -> None:
    tokenizer = AutoTokenizer.from_pretrained(DATA / "chatml")
    encoding = tokenizer.apply_chat_template(ENDS_WITH_ANSWER, return_dict=True, return_assistant_tokens_mask=True)
    rendered = template_of("chatml").render(ENDS_WITH_ANSWER, mask=True)
    assert rendered.ids == encoding["input_ids"]
    assert rendered.mask == [bool(inside) for inside in encoding["assistant_masks"]]


@pytest.mark.parametrize("family", FAMILIES)
def test_saved_tokenizer_gives_the_same_ids_in_transformers(family: str, tmp_path: Path) -> None:
    Tokenizer.from_folder(DATA / family).save(tmp_path)
    saved = AutoTokenizer.from_pretrained(tmp_path)
    expected = theirs(family, TURNS)
    assert saved.apply_chat_template(TURNS, tokenize=True, return_dict=False) == expected
