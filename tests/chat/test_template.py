"""Rendering: masks, open answers, the default template, and templates that misbehave."""

from pathlib import Path
from typing import Any

import pytest

from chatwright.chat import CHATML, ChatTemplate
from chatwright.errors import InputError, TemplateError
from chatwright.tokenizer import Tokenizer, TokenizerSettings

DATA = Path(__file__).parents[1] / "data" / "chat"
FAMILIES = sorted(path.name for path in DATA.iterdir() if path.is_dir())
TOKENIZER = Tokenizer.from_folder(DATA / "chatml")
CHAT = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": "天空?"},
    {"role": "assistant", "content": "Blue."},
    {"role": "user", "content": "Why?"},
    {"role": "assistant", "content": "Air scatters it."},
]


def learnt(template: ChatTemplate, chat: list[dict[str, Any]], **options: Any) -> list[str]:
    """The runs of tokens on which a loss is taken, as text."""
    rendered = template.render(chat, mask=True, **options)
    assert rendered.mask is not None
    assert len(rendered.mask) == len(rendered.ids)
    runs: list[list[int]] = [[]]
    for id_, inside in zip(rendered.ids, rendered.mask, strict=True):
        if inside:
            runs[-1].append(id_)
        elif runs[-1]:
            runs.append([])
    return [template.tokenizer.decode(run, skip_special=False) for run in runs if run]


@pytest.mark.parametrize(
    ("family", "end"),
    [
        ("chatml", "<|im_end|>"),
        ("llama3", "<|eot_id|>"),
        ("gemma", "<end_of_turn>"),
        ("mistral", "</s>"),
        ("phi", "<|end|>"),
    ],
)
def test_the_mask_covers_answers_and_their_ends_alone(family: str, end: str) -> None:
    template = ChatTemplate(Tokenizer.from_folder(DATA / family))
    assert [run.strip() for run in learnt(template, CHAT)] == [f"Blue.{end}", f"Air scatters it.{end}"]


def test_a_mask_needs_the_prompt_to_be_how_the_chat_begins() -> None:
    template = ChatTemplate(Tokenizer.from_folder(DATA / "qwen3"))
    assert learnt(template, CHAT) == ["Blue.<|im_end|>", "<think>\n\n</think>\n\nAir scatters it.<|im_end|>"]
    with pytest.raises(TemplateError, match="generation"):
        template.render(CHAT, mask=True, enable_thinking=False)  # the prompt holds a thought that the chat leaves out


def test_tool_calls_are_learnt_and_tool_answers_are_not() -> None:
    template = ChatTemplate(Tokenizer.from_folder(DATA / "qwen3"))
    call = {"type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}
    chat = [
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "2"},
        {"role": "assistant", "content": "It is 2."},
    ]
    runs = learnt(template, chat)
    assert runs[0] == '<tool_call>\n{"name": "f", "arguments": {"x": 1}}\n</tool_call><|im_end|>'
    assert len(runs) == 2


def test_training_and_serving_see_the_same_ids() -> None:
    template = ChatTemplate(TOKENIZER)
    prompt = template.render(CHAT[:-1], add_generation_prompt=True).ids
    assert template.render(CHAT).ids[: len(prompt)] == prompt


def test_the_open_answer_keeps_its_text_and_has_no_end() -> None:
    for family in FAMILIES:
        template = ChatTemplate(Tokenizer.from_folder(DATA / family))
        open_chat = [*CHAT[:-1], {"role": "assistant", "content": "Air scatters "}]
        rendered = template.render(open_chat, continue_final=True)
        assert rendered.text.endswith("Air scatters ")
        assert template.tokenizer.decode(rendered.ids).endswith("Air scatters ")


def test_an_answer_continued_by_its_ids_is_what_the_engine_saw() -> None:
    template = ChatTemplate(TOKENIZER)
    answer = [TOKENIZER.encode("Air")[0], *TOKENIZER.encode("x")]
    prompt = template.render(CHAT[:-1], add_generation_prompt=True)
    assert template.render_continuation(CHAT[:-1], answer).ids == [*prompt.ids, *answer]


def test_what_cannot_be_continued_is_refused() -> None:
    template = ChatTemplate(TOKENIZER)
    with pytest.raises(InputError, match="beginning of an answer"):
        template.render(CHAT[:2], continue_final=True)
    with pytest.raises(InputError, match="do not go with it"):
        template.render(CHAT, continue_final=True, add_generation_prompt=True)


@pytest.mark.parametrize(
    ("family", "end"), [("llama3", "<|eot_id|>"), ("gemma", "<end_of_turn>"), ("mistral", "</s>"), ("phi", "<|end|>")]
)
def test_the_token_that_ends_a_turn_is_found(family: str, end: str) -> None:
    template = ChatTemplate(Tokenizer.from_folder(DATA / family))
    assert template.turn_end_id == template.tokenizer.control_tokens[end]
    assert template.stop_texts == ()


def test_a_model_without_a_template_gets_chatml_and_says_so() -> None:
    bare = ChatTemplate(Tokenizer.from_json(TOKENIZER.json()))
    assert bare.is_default
    assert bare.source == CHATML
    assert bare.turn_end_id == TOKENIZER.eos_id
    assert learnt(bare, CHAT) == ["Blue.<|im_end|>", "Air scatters it.<|im_end|>"]
    assert not ChatTemplate(TOKENIZER).is_default


def test_chatml_spelt_as_text_is_stopped_by_text() -> None:
    base = ChatTemplate(Tokenizer.from_json(Tokenizer.from_folder(DATA / "mistral").json()))
    assert base.turn_end_id is None
    assert base.stop_texts == ("<|im_end|>",)


def test_a_template_of_its_own_for_tools() -> None:
    sources = {"default": "plain", "tool_use": "with {{ tools | length }} tools"}
    tokenizer = Tokenizer.from_json(TOKENIZER.json(), TokenizerSettings(chat_templates=sources))
    template = ChatTemplate(tokenizer)
    assert template.render(CHAT).text == "plain"
    assert template.render(CHAT, tools=[{"type": "function", "function": {"name": "f"}}]).text == "with 1 tools"


@pytest.mark.parametrize(
    "tools", ["f", {"name": "f"}, [print], ["f"], [{"name": print}], [{"name": "\ud800"}], [{1: 2}]]
)
def test_tools_that_are_no_schemas_are_an_input_error(tools: Any) -> None:
    with pytest.raises(InputError):
        ChatTemplate(TOKENIZER, "{{ tools | tojson }}").render(CHAT, tools=tools)


def test_nesting_without_end_is_an_input_error() -> None:
    deep: list[Any] = []
    deep.append(deep)
    with pytest.raises(InputError, match="nested more than"):
        ChatTemplate(TOKENIZER).render(CHAT, tools=[{"name": deep}])


def test_a_refusal_is_passed_on_in_the_templates_words() -> None:
    template = ChatTemplate(Tokenizer.from_folder(DATA / "gemma"))
    with pytest.raises(TemplateError, match="refuses these messages: user and assistant must take turns"):
        template.render([CHAT[1], CHAT[1]])


BROKEN = ["{% if %}", "{{ ", "{% for x in messages %}", "{% unknown %}", "{{ 'a' | nosuchfilter }}", "{{ (" * 5000]


@pytest.mark.parametrize("source", [*BROKEN, "x" * 300_000], ids=lambda source: source[:20])
def test_broken_templates_are_refused_at_once(source: str) -> None:
    with pytest.raises(TemplateError):
        ChatTemplate(TOKENIZER, source)


def test_a_token_that_is_built_at_run_time_is_refused_and_not_sent_as_text() -> None:
    with pytest.raises(TemplateError, match="in one piece"):
        ChatTemplate(TOKENIZER, "{% set kind = 'end' %}{{ messages[0].content }}{{ '<|im_{}|>'.format(kind) }}")


ESCAPES = [
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ messages.__class__ }}",
    "{{ self.__init__.__globals__ }}",
    "{{ raise_exception.__globals__ }}",
    "{{ namespace.__init__.__globals__ }}",
    "{{ (messages | map(attribute='__class__') | list)[0].__mro__ }}",
    "{{ '{0.__class__}'.format(messages) }}",
    "{{ ('{0.__class__.__mro__}' | string).format_map({'0': 1}) }}",
    "{% set ns = namespace(__class__=1) %}",
    "{% set ns = namespace() %}{% set ns.__init__ = 1 %}",
    "{% set x = messages.append(1) %}",
    "{{ cycler }}{{ cycler.__init__.__globals__.os }}",
    "{% include '/etc/passwd' %}",
    "{% import 'os' as os %}",
    "{{ strftime_now('%Y' * 100000) }}",
    "{{ messages[0].nothing.deeper }}",
    "{{ 1 / 0 }}",
    "{{ 'a' + 1 }}",
]


@pytest.mark.parametrize("source", ESCAPES)
def test_templates_cannot_leave_the_sandbox(source: str) -> None:
    try:
        text = ChatTemplate(TOKENIZER, source).render(CHAT).text
    except TemplateError:
        return
    assert text == ""  # Jinja prints what is forbidden as nothing, like what does not exist


BOMBS = [
    "{{ 'x' * 10**9 }}",
    "{{ 10**9 * 'x' }}",
    "{{ [1] * 10**9 }}",
    "{{ 9**999999999 }}",
    "{% set ns = namespace(n=3) %}{% for i in range(100) %}{% set ns.n = ns.n * ns.n %}{% endfor %}",
    "{% set ns = namespace(s='x') %}{% for i in range(64) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
    "{% set ns = namespace(s='x') %}{% for i in range(64) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
    "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "{% for a in range(99999) %}{% for b in range(99999) if false %}{% endfor %}{% endfor %}",
    "{% for a in range(99999) %}{% set x = range(99999) | list | sort %}{% endfor %}",
    "{% for a in range(10**9) %}{% endfor %}",
    "{% macro f(n) %}{{ f(n) }}{{ f(n) }}{% endmacro %}{{ f(1) }}",
    "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
    "{{ 'x'.ljust(10**9) }}",
    "{{ 'x'.zfill(10**9) }}",
    "{{ 'x' | center(10**9) }}",
    "{{ '%1000000000d' % 1 }}",
    "{{ '%*d' % (1000000000, 1) }}",
    "{{ '{:1000000000}'.format(1) }}",
    "{{ '{:{w}}'.format(1, w=10**9) }}",
    "{{ messages | tojson(indent=10**8) }}",
    "{{ 'a\nb' | indent(10**9) }}",
    "{{ range(99999) | join('x' * 100000) }}",
    "{{ ('x' * 100000).replace('x', 'y' * 100000) }}",
    "{{ ('x' * 100000) | replace('x', 'y' * 100000) }}",
    "{{ ('x' * 100000).join(range(99999) | map('string')) }}",
    "{{ '\t'.expandtabs(10**9) }}",
    "{{ [1] | batch(10**9, 'x') | list }}",
    "{% for i in range(99999) %}{{ 'x' * 10000 }}{% endfor %}",
]


@pytest.mark.parametrize("source", BOMBS)
def test_templates_cannot_eat_time_or_memory(source: str) -> None:
    with pytest.raises(TemplateError):
        ChatTemplate(TOKENIZER, source).render(CHAT)


def test_a_mark_cannot_be_made_from_a_number() -> None:
    for source in ("{{ '%c%c' % (64976, 983043) }}", "{{ '{:c}{:c}'.format(64976, 983043) }}"):
        with pytest.raises(TemplateError):
            ChatTemplate(TOKENIZER, source).render(CHAT)
    with_escapes = ChatTemplate(TOKENIZER, "{{ '\\ufdd0\\U000f0003' }}{{ messages[0].content }}<|im_end|>")
    assert with_escapes.render(CHAT).ids.count(TOKENIZER.control_tokens["<|im_end|>"]) == 1


def test_a_long_honest_chat_is_within_the_limits() -> None:
    chat = [message for _ in range(2000) for message in CHAT[1:3]]
    template = ChatTemplate(Tokenizer.from_folder(DATA / "qwen3"))
    assert template.render(chat).text.count("Blue.") == 2000
