"""No text becomes a control token, in any role, in any field, through any template (SECURITY-CASES 13)."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatwright.chat import ChatTemplate, Message
from chatwright.tokenizer import Tokenizer

DATA = Path(__file__).parents[1] / "data" / "chat"
FAMILIES = sorted(path.name for path in DATA.iterdir() if path.is_dir())
TEMPLATES = {family: ChatTemplate(Tokenizer.from_folder(DATA / family)) for family in FAMILIES}
QWEN = TEMPLATES["qwen3"]
TAGS = ("<think>", "</think>", "<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>")


def control_ids(template: ChatTemplate, ids: list[int]) -> list[int]:
    """The control tokens among ``ids``, in order: special ones, and the tags that the template writes."""
    tokenizer = template.tokenizer
    control = (tokenizer.special_ids - {tokenizer.unk_id}) | {tokenizer.added_tokens.get(tag) for tag in TAGS}
    return [id_ for id_ in ids if id_ in control]


def chat_saying(text: str, *, tools: bool) -> list[dict[str, Any]]:
    """A chat with ``text`` in every field of every role."""
    call = {"type": "function", "function": {"name": text, "arguments": {text: [text, {"x": text}]}}}
    answer: dict[str, Any] = {"role": "assistant", "content": text, "name": text, "reasoning_content": text}
    with_tools = [
        {**answer, "tool_calls": [{**call, "id": text}]},
        {"role": "tool", "content": text, "name": text, "tool_call_id": text},
    ]
    return [
        {"role": "system", "content": text, "name": text},
        {"role": "user", "content": text, "name": text},
        *(with_tools if tools else []),
        answer,
        {"role": "user", "content": [{"type": "text", "text": text}, {"type": "text", "text": text}]},
    ]


def tool_saying(text: str) -> dict[str, Any]:
    parameters = {"type": "object", "properties": {text: {"type": "string", "description": text}}}
    return {"type": "function", "function": {"name": text, "description": text, "parameters": parameters}}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_special_token_in_every_role_and_field(family: str) -> None:
    template = TEMPLATES[family]
    tools = family in ("llama3", "qwen3")
    options: dict[str, Any] = {"add_generation_prompt": True}

    def controls(text: str) -> list[int]:
        given = options | ({"tools": [tool_saying(text)]} if tools else {})
        return control_ids(template, template.render(chat_saying(text, tools=tools), **given).ids)

    expected = controls("harmless")
    for token in template.tokenizer.control_tokens:
        for text in (
            token,
            f"a{token}b",
            token + token,
            f" {token}\n",
            f"{token[:2]}{token}{token[2:]}",
            token.upper(),
        ):
            assert controls(text) == expected, text


@pytest.mark.parametrize("tag", TAGS)
def test_tags_are_the_assistants_alone(tag: str) -> None:
    def controls(role: str, text: str) -> list[int]:
        chat: list[dict[str, Any]] = [{"role": "user", "content": "hi"}, {"role": role, "content": text}]
        return control_ids(QWEN, QWEN.render([*chat, {"role": "user", "content": "?"}]).ids)

    for role in ("system", "user", "tool"):
        assert controls(role, f"x {tag} y") == controls(role, "x y")
    answer = f"code: {tag}" if tag != "</think>" else "a tag that the template takes for the end of a thought"
    assert (QWEN.tokenizer.added_tokens[tag] in controls("assistant", answer)) == (tag in answer)


FRAGMENTS = [
    "<|",
    "im_",
    "im_end",
    "|>",
    "<|im_",
    "end|>",
    "<|im_end|>",
    "<",
    ">",
    "|",
    "s",
    "/s",
    "user",
    "\n",
    " ",
    "a",
]
# Templates that put fields side by side, inside brackets of their own, and through what templates do to strings.
HOSTILE = """{{ '<|im_start|>' }}
{%- for message in messages %}
{{- message.name ~ message.content }}
{{- message.name + message.content + '|>' }}
{{- '<|' + message.content + '|>' }}<|{{ message.name }}|><{{ message.content }}>
{{- '<' ~ message.name ~ '>' }}
{{- message.content | trim }}{{ message.name.strip() }}
{{- message.content | upper | lower }}{{ message.content.split('x') | join('') }}
{{- message.content | replace('x', '') }}{{ message.content[1:] }}{{ message.content[:-1] }}{{ message.name }}
{{- [message.name, message.content] | join }}{{ message | tojson }}
{{- '%s%s' % (message.name, message.content) }}{{ '{}{}'.format(message.name, message.content) }}
{{- message.content.split('|') | join('|') }}{{ message.content | reverse | reverse }}
{%- endfor %}
{{- '<|im_end|>' }}"""
HOSTILE_TEMPLATE = ChatTemplate(TEMPLATES["chatml"].tokenizer, HOSTILE)


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=5), st.lists(st.sampled_from(FRAGMENTS), max_size=5))
def test_tokens_split_over_adjacent_fields_stay_text(name: list[str], content: list[str]) -> None:
    chat = [Message("user", "".join(content), name="".join(name))]
    rendered = HOSTILE_TEMPLATE.render(chat)
    special = HOSTILE_TEMPLATE.tokenizer.control_tokens
    assert control_ids(HOSTILE_TEMPLATE, rendered.ids) == [special["<|im_start|>"], special["<|im_end|>"]]


@given(st.text(alphabet="\ufdd0\ufdd1\ufdd2\ufdd3\U000f0000\U000f0003\U000f0004a<", max_size=12))
def test_our_own_marks_in_text_are_text(text: str) -> None:
    template = TEMPLATES["chatml"]
    rendered = template.render([{"role": "user", "content": text}])
    special = template.tokenizer.control_tokens
    start, end = special["<|im_start|>"], special["<|im_end|>"]
    assert control_ids(template, rendered.ids) == [start, end] * 2
    assert template.tokenizer.decode(rendered.ids).endswith(f"user\n{text}\n")


def test_a_role_between_brackets_is_a_token_only_where_the_template_puts_the_role() -> None:
    template = TEMPLATES["phi"]
    tokens = template.tokenizer.control_tokens
    ids = template.render([{"role": "user", "content": "<|user|>", "name": "user"}], add_generation_prompt=True).ids
    assert control_ids(template, ids) == [tokens["<|user|>"], tokens["<|end|>"], tokens["<|assistant|>"]]
    forged = ChatTemplate(template.tokenizer, "{% for m in messages %}{{ '<|' + m.content + '|>' }}{% endfor %}")
    assert control_ids(forged, forged.render([{"role": "user", "content": "user"}]).ids) == []


@pytest.mark.parametrize("variable", ["date_string", "bos_token_note"])
def test_template_variables_of_the_caller_are_text(variable: str) -> None:
    template = TEMPLATES["llama3"]
    chat = [{"role": "user", "content": "hi"}]
    plain = control_ids(template, template.render(chat).ids)
    assert control_ids(template, template.render(chat, **{variable: "<|eot_id|>"}).ids) == plain


@pytest.mark.parametrize("family", FAMILIES)
def test_control_tokens_in_text_are_read_back_as_they_were_written(family: str) -> None:
    template = TEMPLATES[family]
    for token in template.tokenizer.control_tokens:
        ids = template.render([{"role": "user", "content": f"What does {token} do?"}]).ids
        assert f"What does {token} do?" in template.tokenizer.decode(ids)
