"""Rows to ids: as in serving, learned where they should be, and never a control token out of the data."""

import pickle  # noqa: TID251 - encoders travel to other processes
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chatwright.chat import ChatTemplate, Message
from chatwright.data.encode import (
    DialogueEncoder,
    LabelledEncoder,
    PreferenceEncoder,
    PromptEncoder,
    RatedEncoder,
    RowEncoder,
    TextEncoder,
    check_length,
)
from chatwright.data.example import Document, Example
from chatwright.data.rows import Dialogue, Labelled, Preference, Prompt, Rated, Row, Text
from chatwright.errors import ConfigError, InputError, TemplateError
from chatwright.tokenizer import Tokenizer

DATA = Path(__file__).parent / "chat"
FAMILIES = sorted(path.name for path in DATA.iterdir() if path.is_dir())
TOKENIZER = Tokenizer.from_folder(DATA / "chatml")
TEMPLATE = ChatTemplate(TOKENIZER)


def messages(*texts: str, system: str | None = None) -> tuple[Message, ...]:
    """User and assistant in turn."""
    turns = [Message("assistant" if index % 2 else "user", text) for index, text in enumerate(texts)]
    return (*([Message("system", system)] if system else []), *turns)


def learned_texts(document: Document, tokenizer: Tokenizer = TOKENIZER) -> list[str]:
    """The runs of learned tokens as text."""
    assert document.mask is not None
    edges = np.flatnonzero(np.diff(np.concatenate([[False], document.mask, [False]])))
    return [
        tokenizer.decode(document.ids[a:b].tolist(), skip_special=False)
        for a, b in zip(edges[::2], edges[1::2], strict=True)
    ]


def text_of(document: Document) -> str:
    return TOKENIZER.decode(document.ids.tolist(), skip_special=False)


def only(example: Example | None) -> Document:
    assert example is not None
    (document,) = example.documents
    return document


def test_text_is_learned_whole_and_ends() -> None:
    document = only(TextEncoder(TOKENIZER)(Text("你好 world")))
    assert document.mask is None
    assert document.ids.tolist() == [*TOKENIZER.encode("你好 world"), TOKENIZER.eos_id]


def test_text_begins_as_a_prompt_does_where_the_model_wants_bos() -> None:
    settings = replace(Tokenizer.from_folder(DATA / "llama3").settings, add_bos=True)
    tokenizer = Tokenizer.from_json(Tokenizer.from_folder(DATA / "llama3").json(), settings)
    assert tokenizer.bos_id is not None
    document = only(TextEncoder(tokenizer)(Text("Hello")))
    assert document.ids[:-1].tolist() == tokenizer.encode("Hello", add_bos=True)


def test_many_texts_at_once_are_the_same() -> None:
    encoder = TextEncoder(TEMPLATE)
    rows = [Text("a b"), Text(""), Text("天空 " * 2000)]
    for row, example in zip(rows, encoder.encode_many(rows), strict=True):
        alone = encoder(row)
        assert (alone is None) == (example is None)
        if alone is not None:
            assert only(alone).ids.tolist() == only(example).ids.tolist()
    assert encoder.tally == {"empty": 2}


@pytest.mark.parametrize("family", FAMILIES)
def test_dialogues_are_what_serving_renders(family: str) -> None:
    """Up to each answer: the very prompt that it will be given, the template's default system prompt included."""
    template = ChatTemplate(Tokenizer.from_folder(DATA / family))
    chat = messages("Why?", "Because.", "天空?", "Blue sky.")
    document = only(DialogueEncoder(template, 512)(Dialogue(chat)))
    assert document.mask is not None
    starts = np.flatnonzero(np.diff(document.mask.astype(int), prepend=0) == 1)
    for start, served in zip(starts, (chat[:1], chat[:3]), strict=True):
        prompt = template.render(served, add_generation_prompt=True).ids
        assert document.ids[:start].tolist() == prompt


@pytest.mark.parametrize("family", FAMILIES)
def test_answers_end_with_a_token_that_stops_the_engine(family: str) -> None:
    template = ChatTemplate(Tokenizer.from_folder(DATA / family))
    document = only(DialogueEncoder(template, 512)(Dialogue(messages("Why?", "Because.", "And?", "So."))))
    assert document.mask is not None
    ends = np.flatnonzero(np.diff(document.mask.astype(int), append=0) == -1)
    assert {int(document.ids[end]) for end in ends} == {template.turn_end_id}
    assert document.mask[-1]  # nothing is kept of what follows the last answer


@pytest.mark.parametrize("family", FAMILIES)
def test_answers_that_are_marked_are_read_and_not_learned(family: str) -> None:
    encoder = DialogueEncoder(ChatTemplate(Tokenizer.from_folder(DATA / family)), 512)
    chat = messages("Why?", "Because.", "And?", "So.", "Then?", "End.")
    whole, part = only(encoder(Dialogue(chat))), only(encoder(Dialogue(chat, unlearned=(1,))))
    assert part.ids.tolist() == whole.ids.tolist()
    assert learned_texts(part) == learned_texts(whole)[1:]
    assert encoder(Dialogue(chat, unlearned=(1, 3, 5))) is None
    assert encoder.tally == {"nothing to learn": 1}
    early = only(encoder(Dialogue(chat, unlearned=(3, 5))))
    assert learned_texts(early) == learned_texts(whole)[:1]
    assert len(early.ids) < len(whole.ids)  # what comes after the last learned answer is not even read


def test_answers_that_a_template_runs_together_cannot_be_marked() -> None:
    source = (
        "{% generation %}{% for m in messages %}{{ m.content }}{% endfor %}{% endgeneration %}"
        "{% if add_generation_prompt %}{% endif %}"
    )
    with pytest.raises(TemplateError, match="of 2 answers the chat template renders 1 apart; leave the marks out"):
        DialogueEncoder(ChatTemplate(TOKENIZER, source), 512)(Dialogue(messages("a", "b", "c", "d"), unlearned=(1,)))


def test_a_turn_end_outside_the_generation_marks_is_learned_too() -> None:
    source = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}"
        "{% generation %}{{ m.content }}{% endgeneration %}{% else %}{{ m.content }}{% endif %}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    document = only(DialogueEncoder(ChatTemplate(TOKENIZER, source), 512)(Dialogue(messages("Why?", "So."))))
    assert learned_texts(document) == ["So.<|im_end|>"]


def test_a_template_without_a_turn_end_gets_eos() -> None:
    source = (
        "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
        "{% if add_generation_prompt %}assistant:{% endif %}"
    )
    document = only(DialogueEncoder(ChatTemplate(TOKENIZER, source), 512)(Dialogue(messages("Why?", "So."))))
    assert document.ids[-1] == TOKENIZER.eos_id
    assert learned_texts(document)[-1].rstrip().endswith("<|im_end|>")


def test_a_long_dialogue_ends_with_a_whole_turn() -> None:
    chat = messages("one", "first answer", "two", "second answer", "three", "third answer " * 50)
    full = only(DialogueEncoder(TEMPLATE, 4096)(Dialogue(chat)))
    two = only(DialogueEncoder(TEMPLATE, 4096)(Dialogue(chat[:4])))
    for limit in (len(two), len(two) + 1, len(full) - 1):
        encoder = DialogueEncoder(TEMPLATE, limit)
        cut = only(encoder(Dialogue(chat)))
        assert cut.ids.tolist() == two.ids.tolist()
        assert encoder.tally == {"cut to max_length": 1}
    encoder = DialogueEncoder(TEMPLATE, 8)
    assert encoder(Dialogue(chat)) is None
    assert encoder.tally == {"longer than max_length": 1}


def test_thousands_of_turns_are_not_all_looked_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody's chats of years as one conversation: what fits is learned, in no more time than what fits takes."""
    row = Dialogue(messages(*(f"words of number {index}" for index in range(3_000))))
    asked: list[int] = []
    render = ChatTemplate.render

    def counted(self: ChatTemplate, chat: Sequence[Message], **options: Any) -> Any:
        asked.append(len(chat) ** 2 if options.get("mask") else len(chat))
        return render(self, chat, **options)

    monkeypatch.setattr(ChatTemplate, "render", counted)
    long = only(DialogueEncoder(TEMPLATE, 200)(row))
    assert sum(asked) < 20 * 3_000
    short = only(DialogueEncoder(TEMPLATE, 200)(replace(row, messages=row.messages[:40])))
    assert long.ids.tolist() == short.ids.tolist()
    assert learned_texts(long) == learned_texts(short)
    whole = DialogueEncoder(TEMPLATE, 10**6)
    assert len(learned_texts(only(whole(replace(row, messages=row.messages[:100]))))) == 50
    assert not whole.tally


def test_pairs_share_the_prompt_and_learn_the_answers_alone() -> None:
    prompt = messages("Hi", "Hello!", "Why?", system="Be kind.")
    row = Preference(prompt, messages("", "Because it is.")[1:], messages("", "No.")[1:], margin=1.5)
    example = PreferenceEncoder(TEMPLATE, 512)(row)
    assert example is not None
    chosen, rejected = example.documents
    assert learned_texts(chosen) == ["Because it is.<|im_end|>"]  # not the "Hello!" of the prompt
    assert learned_texts(rejected) == ["No.<|im_end|>"]
    shared = TEMPLATE.render(prompt, add_generation_prompt=True).ids
    assert chosen.ids[: len(shared)].tolist() == rejected.ids[: len(shared)].tolist() == shared
    assert example.values == {"margin": 1.5}


def test_a_pair_of_whole_texts_has_no_prompt() -> None:
    row = Preference((), messages("", "Good.")[1:], messages("", "Bad.")[1:])
    example = PreferenceEncoder(TEMPLATE, 512)(row)
    assert example is not None
    assert [learned_texts(document) for document in example.documents] == [["Good.<|im_end|>"], ["Bad.<|im_end|>"]]
    assert example.values == {"margin": 0.0}


def test_a_long_prompt_loses_its_oldest_turns_for_both_answers() -> None:
    prompt = messages("first question", "first answer", "second", "reply", "third", system="Be kind.")
    good, bad = messages("", "Good.")[1:], messages("", "Bad, and at length.")[1:]
    full = max(map(len, PreferenceEncoder(TEMPLATE, 4096)(Preference(prompt, good, bad)).documents))  # type: ignore[union-attr]
    encoder = PreferenceEncoder(TEMPLATE, full - 1)
    example = encoder(Preference(prompt, good, bad))
    assert example is not None
    assert max(map(len, example.documents)) < full
    for document, answer in zip(example.documents, ("Good.", "Bad, and at length."), strict=True):
        assert "Be kind." in text_of(document)
        assert "first" not in text_of(document)
        assert "second" in text_of(document)
        assert learned_texts(document) == [f"{answer}<|im_end|>"]
    assert encoder.tally == {"cut to max_length": 1}
    short = PreferenceEncoder(TEMPLATE, 12)
    assert short(Preference(prompt, good, bad)) is None
    assert short.tally == {"longer than max_length": 1}


def test_a_rated_answer_carries_its_thumb() -> None:
    for label in (True, False):
        example = RatedEncoder(TEMPLATE, 512)(Rated(messages("Why?"), messages("", "So.")[1:], label))
        assert example is not None
        assert learned_texts(only(example)) == ["So.<|im_end|>"]
        assert example.values == {"label": float(label)}


def test_a_labelled_text_carries_its_class_and_is_not_learned() -> None:
    encoder = LabelledEncoder(TEMPLATE, ["bad", "good"], 10)
    example = encoder(Labelled("fine", "good"))
    document = only(example)
    assert example is not None
    assert example.values == {"label": 1.0}
    assert document.ids[-1] == TOKENIZER.eos_id
    assert document.mask is not None
    assert not document.mask.any()
    assert len(only(encoder(Labelled("a long text " * 20, "bad")))) == 10
    assert encoder.tally == {"cut to max_length": 1}
    with pytest.raises(InputError, match="'ugly' is none of bad, good"):
        encoder(Labelled("x", "ugly"))


def test_a_prompt_is_what_serving_renders() -> None:
    encoder = PromptEncoder(TEMPLATE, 64)
    document = only(encoder(Prompt(messages("Why?"), "So.", {})))
    assert document.ids.tolist() == TEMPLATE.render(messages("Why?"), add_generation_prompt=True).ids
    assert encoder(Prompt(messages("Why? " * 100), None, {})) is None


@pytest.mark.parametrize("family", FAMILIES)
def test_no_text_of_the_data_becomes_a_control_token(family: str) -> None:
    """Every control token, as the content of every kind of row in every role, adds none to a harmless row's."""
    tokenizer = Tokenizer.from_folder(DATA / family)
    template = ChatTemplate(tokenizer)
    control = np.array(sorted(tokenizer.special_ids))

    def count(document: Document) -> dict[int, int]:
        ids, counts = np.unique(document.ids[np.isin(document.ids, control)], return_counts=True)
        return dict(zip(ids.tolist(), counts.tolist(), strict=True))

    def rows(text: str) -> Sequence[tuple[RowEncoder, Row]]:
        chat = messages(text, text, "x" + text, text + "x")
        answer = messages("", text)[1:]
        return [
            (TextEncoder(template), Text(text)),
            (DialogueEncoder(template, 4096), Dialogue(chat)),
            (PreferenceEncoder(template, 4096), Preference(chat[:1], answer, messages("", "y" + text)[1:])),
            (RatedEncoder(template, 4096), Rated(chat[:3], answer, True)),
            (LabelledEncoder(template, [text], 4096), Labelled(text, text)),
            (PromptEncoder(template, 4096), Prompt(chat[:3], text, {})),
        ]

    harmless = [[count(d) for d in encoder(row).documents] for encoder, row in rows("plain")]  # type: ignore[union-attr]
    for token in tokenizer.control_tokens:
        for (encoder, row), expected in zip(rows(token), harmless, strict=True):
            example = encoder(row)
            assert example is not None
            assert [count(document) for document in example.documents] == expected, (token, type(row).__name__)


def test_tokens_that_the_template_writes_are_spelt_out_in_text() -> None:
    tokenizer = Tokenizer.from_folder(DATA / "qwen3")
    ids = only(TextEncoder(tokenizer)(Text("<tool_call> <think>"))).ids
    assert not {tokenizer.added_tokens["<tool_call>"], tokenizer.added_tokens["<think>"]} & set(ids.tolist())


def test_encoders_travel_and_are_told_apart() -> None:
    encoders: list[RowEncoder] = [
        TextEncoder(TEMPLATE),
        DialogueEncoder(TEMPLATE, 64),
        DialogueEncoder(TEMPLATE, 65),
        DialogueEncoder(ChatTemplate(TOKENIZER, TEMPLATE.source + " "), 64),
        DialogueEncoder(ChatTemplate(Tokenizer.from_folder(DATA / "llama3")), 64),
        LabelledEncoder(TEMPLATE, ["a", "b"], 64),
        LabelledEncoder(TEMPLATE, ["b", "a"], 64),
    ]
    prints = [encoder.fingerprint for encoder in encoders]
    assert len(set(prints)) == len(prints)
    for encoder in encoders:
        twin = pickle.loads(pickle.dumps(encoder))  # noqa: S301
        assert twin.fingerprint == encoder.fingerprint
    row = Dialogue(messages("Why?", "天空 is blue."))
    twin = pickle.loads(pickle.dumps(encoders[1]))  # noqa: S301
    assert only(twin(row)).ids.tolist() == only(encoders[1](row)).ids.tolist()


def test_another_kind_of_row_is_refused() -> None:
    with pytest.raises(InputError, match="of the kind Dialogue, not Text"):
        DialogueEncoder(TEMPLATE, 64)(Text("x"))


def test_a_length_without_room_is_refused() -> None:
    check_length(64, TEMPLATE)
    with pytest.raises(ConfigError, match="template alone takes"):
        check_length(8, TEMPLATE)
