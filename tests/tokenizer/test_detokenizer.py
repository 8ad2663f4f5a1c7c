"""Streaming text: whole characters only, and the pieces put together are the whole text."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, pre_tokenizers

from chatwright.errors import InvalidParameterError
from chatwright.tokenizer import Detokenizer, Tokenizer
from chatwright.tokenizer.decoding import byte_alphabet

DATA = Path(__file__).parents[1] / "data" / "chat"
SPELLINGS = {name: Tokenizer.from_folder(DATA / name) for name in ("qwen3", "gemma", "mistral", "phi")}
TEXTS = [
    "天空为什么是蓝色的?",
    "👩‍👩‍👧‍👦 family, flag 🇨🇳, skin 👍🏽, keycap 1️⃣",
    "e\u0301 a\u0308\u0323 \u0915\u094d\u0937 combining",
    "plain English,  two spaces\n\n\nand\ttabs ",
    "𠮷野家 𝔘𝔫𝔦𝔠𝔬𝔡𝔢 \u200b\ufeff\ufffd",
    "",
]


def pieces_of(tokenizer: Tokenizer, ids: list[int]) -> list[str]:
    stream = Detokenizer(tokenizer)
    return [*(stream.push(id_) for id_ in ids), stream.flush()]


def two_bytes_a_token() -> Tokenizer:
    """A byte-level vocabulary with every byte and every pair of bytes, so that tokens can cut text anywhere."""
    alphabet = byte_alphabet()
    pieces = alphabet + [first + second for first in alphabet for second in alphabet]
    vocab = {piece: id_ for id_, piece in enumerate(pieces)}
    backend = Backend(models.BPE(vocab=vocab, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    return Tokenizer(backend)


PAIRS = two_bytes_a_token()


def cut(data: bytes, at: list[bool]) -> list[int]:
    """Ids for ``data``: one byte a token, or two where ``at`` says so."""
    ids, position, turn = [], 0, 0
    while position < len(data):
        if position + 1 < len(data) and turn < len(at) and at[turn]:
            ids.append(256 + 256 * data[position] + data[position + 1])
            position += 2
        else:
            ids.append(data[position])
            position += 1
        turn += 1
    return ids


@pytest.mark.parametrize("name", SPELLINGS)
@pytest.mark.parametrize("text", TEXTS)
def test_pieces_are_whole_characters_and_make_the_text(name: str, text: str) -> None:
    tokenizer = SPELLINGS[name]
    ids = tokenizer.encode(text)
    pieces = pieces_of(tokenizer, ids)
    assert "".join(pieces) == text == tokenizer.decode(ids) == tokenizer.backend.decode(ids)


@pytest.mark.parametrize(("name", "expected"), [("gemma", "  two"), ("phi", "  two"), ("mistral", " two")])
def test_only_the_space_that_the_spelling_adds_is_removed(name: str, expected: str) -> None:
    tokenizer = SPELLINGS[name]
    assert (
        tokenizer.decode(tokenizer.encode("  two")) == expected == tokenizer.backend.decode(tokenizer.encode("  two"))
    )


def test_text_that_continues_keeps_its_leading_space() -> None:
    tokenizer = SPELLINGS["phi"]
    word = tokenizer.token_id("▁the")
    assert word is not None
    assert Detokenizer(tokenizer).push(word) == "the"
    assert Detokenizer(tokenizer, continuing=True).push(word) == " the"


@given(st.text(alphabet=st.sampled_from("a 天é👩\u200d👧🇨\u0301𠮷")), st.lists(st.booleans(), max_size=200))
def test_no_split_of_valid_text_shows_a_replacement_character(text: str, at: list[bool]) -> None:
    ids = cut(text.encode(), at)
    pieces = pieces_of(PAIRS, ids)
    assert "".join(pieces) == text
    assert pieces[-1] == ""  # nothing was held back for longer than it took to complete


@given(st.binary(max_size=60), st.lists(st.booleans(), max_size=60))
def test_invalid_bytes_come_out_as_the_whole_decode_has_them(data: bytes, at: list[bool]) -> None:
    ids = cut(data, at)
    expected = data.decode("utf-8", errors="replace")
    assert "".join(pieces_of(PAIRS, ids)) == PAIRS.decode(ids) == PAIRS.backend.decode(ids) == expected


@given(st.text(max_size=20).filter(lambda text: text.isprintable()))
def test_byte_fallback_streams_each_character_once_complete(text: str) -> None:
    tokenizer = SPELLINGS["gemma"]
    ids = [id_ for byte in text.encode() if (id_ := tokenizer.token_id(f"<0x{byte:02X}>")) is not None]
    stream = Detokenizer(tokenizer)
    shown = ""
    for count, id_ in enumerate(ids, start=1):
        shown += stream.push(id_)
        assert shown == text.encode()[:count].decode(errors="ignore")
    assert stream.flush() == ""


def test_half_a_character_at_the_end_is_flushed_once() -> None:
    stream = Detokenizer(PAIRS)
    assert stream.push("天".encode()[0]) == ""
    assert stream.flush() == "\ufffd"
    assert stream.flush() == ""


def test_special_tokens_are_hidden_unless_asked_for() -> None:
    tokenizer = SPELLINGS["qwen3"]
    ids = [tokenizer.control_tokens["<|im_start|>"], *tokenizer.encode("hi"), tokenizer.control_tokens["<|im_end|>"]]
    assert tokenizer.decode(ids) == "hi"
    assert tokenizer.decode(ids, skip_special=False) == "<|im_start|>hi<|im_end|>"


def test_ids_without_a_token_give_nothing_and_negative_ones_are_refused() -> None:
    assert PAIRS.decode([10**6]) == ""  # a model's table is often padded beyond its vocabulary
    with pytest.raises(InvalidParameterError, match="-1 is not a token id"):
        PAIRS.decode([-1])


def test_word_level_vocabularies_stream_with_their_spaces() -> None:
    backend = Backend(models.WordLevel({"hello": 0, "world": 1, "<unk>": 2}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = Tokenizer(backend)
    assert pieces_of(tokenizer, [0, 1, 0]) == ["hello", " world", " hello", ""]
    assert tokenizer.decode([0, 1, 0]) == "hello world hello"
