"""Training a vocabulary: deterministic, lossless, understood by transformers."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from chatwright.chat import CHATML, ChatTemplate
from chatwright.errors import InvalidParameterError
from chatwright.tokenizer import CHATML_TOKENS, Tokenizer, train_bpe

TEXTS = [
    "The sky is blue because air scatters light. In 2026, 12345 people asked!",
    "天空为什么是蓝色的?因为散射。",
] * 40
TRAINED = train_bpe(TEXTS, 420, chat_template=CHATML)


def test_the_same_corpus_gives_the_same_vocabulary_from_any_iterable() -> None:
    def stream() -> Iterator[str]:
        yield from TEXTS

    assert train_bpe(stream(), 420).json() == TRAINED.json() == train_bpe(TEXTS, 420).json()


@given(st.text())
def test_every_text_survives(text: str) -> None:
    assert TRAINED.decode(TRAINED.encode(text)) == text


def test_both_languages_are_compressed_and_digits_stay_alone() -> None:
    for text in ("The sky is blue because air scatters light", "天空为什么是蓝色的"):
        assert len(TRAINED.encode(text)) < len(text.encode()) / 2
    assert [TRAINED.piece(id_) for id_ in TRAINED.encode("12345")] == list("12345")


def test_special_tokens_come_first_and_never_from_the_corpus() -> None:
    tokenizer = train_bpe(["<|im_end|> <|im_start|>"] * 50, 300)
    assert [tokenizer.control_tokens[token] for token in CHATML_TOKENS] == [0, 1, 2]
    assert tokenizer.special_ids.isdisjoint(tokenizer.encode("<|im_end|> <|im_start|>"))
    assert (tokenizer.eos_id, tokenizer.pad_id, tokenizer.bos_id) == (2, 0, None)


def test_transformers_opens_the_saved_folder(tmp_path: Path) -> None:
    TRAINED.save(tmp_path)
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    assert theirs.encode("The sky 天空 2026") == TRAINED.encode("The sky 天空 2026")
    chat = [{"role": "user", "content": "天空?"}, {"role": "assistant", "content": "Blue."}]
    expected = theirs.apply_chat_template(chat, return_dict=True, return_assistant_tokens_mask=True)
    rendered = ChatTemplate(Tokenizer.from_folder(tmp_path)).render(chat, mask=True)
    assert rendered.ids == expected["input_ids"]
    assert rendered.mask == [bool(inside) for inside in expected["assistant_masks"]]


def test_a_vocabulary_that_cannot_hold_the_bytes_is_refused() -> None:
    with pytest.raises(InvalidParameterError, match="at least 259"):
        train_bpe(TEXTS, 100)
    with pytest.raises(InvalidParameterError, match="not among special_tokens"):
        train_bpe(TEXTS, 400, eos_token="</s>")
