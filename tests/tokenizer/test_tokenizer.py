"""The tokenizer: no control token from text, files in and out, broken files refused."""

import json
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, pre_tokenizers
from transformers import AutoTokenizer, OpenAIGPTTokenizer

from chatwright.errors import InputError, ModelFormatError, ModelNotFoundError, UnsupportedModelError
from chatwright.tokenizer import Detokenizer, Tokenizer, TokenizerSettings

DATA = Path(__file__).parents[1] / "data" / "chat"
FAMILIES = sorted(path.name for path in DATA.iterdir() if path.is_dir())


@pytest.mark.parametrize("family", FAMILIES)
def test_no_special_token_from_any_text(family: str) -> None:
    tokenizer = Tokenizer.from_folder(DATA / family)
    forbidden = tokenizer.special_ids - {tokenizer.unk_id}
    for token in tokenizer.control_tokens:
        for text in (token, f" {token} ", f"a{token}b", token * 3, token[:3] + token + token[3:]):
            ids = tokenizer.encode(text)
            assert forbidden.isdisjoint(ids)
            assert forbidden.isdisjoint(*tokenizer.encode_batch([text]))
            assert token in tokenizer.decode(ids)


def unigram() -> Tokenizer:
    """SentencePiece's Unigram keeps ``<s>`` and ``</s>`` among its pieces, where plain text can find them."""
    pieces = [("<unk>", 0.0), ("<s>", 0.0), ("</s>", 0.0), ("\u2581", -2.0)]
    pieces += [(char, -3.0) for char in "<>/sabc"] + [("ab", -2.5)]
    backend = Backend(models.Unigram(pieces, unk_id=0, byte_fallback=False))
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    backend.decoder = decoders.Metaspace(prepend_scheme="first")
    return Tokenizer(backend, TokenizerSettings({"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}))


@given(st.lists(st.sampled_from(["<s>", "</s>", "<", "/", "s", ">", "a", "b", " "]), max_size=12))
def test_a_vocabulary_that_holds_special_pieces_spells_them_out(parts: list[str]) -> None:
    tokenizer = unigram()
    text = "".join(parts)
    ids = tokenizer.encode(text)
    assert not {tokenizer.bos_id, tokenizer.eos_id} & set(ids)
    spelt = "".join(tokenizer.piece(id_) for id_ in ids).replace("\u2581", " ")
    assert spelt.lstrip(" ") == text.lstrip(" ")


def test_word_level_words_that_are_special_become_unknown() -> None:
    backend = Backend(models.WordLevel({"<unk>": 0, "stop": 1, "go": 2}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = Tokenizer(backend, TokenizerSettings({"eos_token": "stop", "unk_token": "<unk>"}))
    assert 1 not in tokenizer.encode("go stop go")


@pytest.mark.parametrize("family", FAMILIES)
def test_ordinary_text_has_the_ids_of_transformers(family: str) -> None:
    theirs = AutoTokenizer.from_pretrained(DATA / family)
    tokenizer = Tokenizer.from_folder(DATA / family)
    for text in ("Hello, world 2026!", "天空\n\n\n蓝色 <table>", " two  spaces\t", "", "naïve 👩‍👧 x<y"):
        assert tokenizer.encode(text) == theirs.encode(text, add_special_tokens=False)
    assert tokenizer.bos_id == theirs.bos_token_id
    assert tokenizer.eos_id == theirs.eos_token_id
    assert tokenizer.pad_id == theirs.pad_token_id
    assert tokenizer.special_ids == set(theirs.all_special_ids) | special_added(theirs)


def special_added(theirs: Any) -> set[int]:
    return {id_ for id_, token in theirs.added_tokens_decoder.items() if token.special}


@pytest.mark.parametrize("family", FAMILIES)
def test_long_text_has_the_same_ids_and_places_as_the_backend_gives(family: str) -> None:
    tokenizer = Tokenizer.from_folder(DATA / family)
    text = "天空为什么是蓝色的? because 👩‍👧 air\n" * 300
    expected = tokenizer.backend.encode(text, add_special_tokens=False)
    assert tokenizer.encode(text) == expected.ids
    assert tokenizer.text_encoder().encode_spans(text) == (expected.ids, expected.offsets)


def test_bos_only_on_demand() -> None:
    tokenizer = Tokenizer.from_folder(DATA / "llama3")
    assert tokenizer.encode("hi", add_bos=True) == [tokenizer.bos_id, *tokenizer.encode("hi")]


def test_count_is_close_and_stops_early() -> None:
    tokenizer = Tokenizer.from_folder(DATA / "qwen3")
    text = "The sky is blue. 天空是蓝色的。" * 3000
    exact = len(tokenizer.encode(text))
    assert tokenizer.count(text) == pytest.approx(exact, rel=0.001)
    assert 100 < tokenizer.count(text, stop_after=100) < exact / 5


@pytest.mark.parametrize("text", ["\ud800", "ok \udfff", 7, None, b"bytes"])
def test_what_is_not_text_is_an_input_error(text: Any) -> None:
    with pytest.raises(InputError, match=r"surrogate|must be a string"):
        Tokenizer.from_folder(DATA / "qwen3").encode(text)


def test_saved_folder_opens_with_the_same_ids_names_and_template(tmp_path: Path) -> None:
    tokenizer = Tokenizer.from_folder(DATA / "qwen3")
    tokenizer.save(tmp_path / "new")
    again = Tokenizer.from_folder(tmp_path / "new")
    assert again.json() == tokenizer.json()
    assert again.settings == tokenizer.settings


def broken(tmp_path: Path, **files: str) -> Path:
    folder = tmp_path / "model"
    shutil.copytree(DATA / "qwen3", folder)
    for name, content in files.items():
        (folder / f"{name}.json").write_text(content, encoding="utf-8")
    return folder


GOOD = (DATA / "qwen3" / "tokenizer.json").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        GOOD[: len(GOOD) // 2],
        GOOD.replace('"version":"1.0"', '"version":7', 1),
        '{"version": "1.0", "model": {"type": "BPE", "vocab": {"a": -1}, "merges": []}}',
        '{"version": "1.0", "model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["a b"]}}',
        '{"version": "1.0", "model": {"type": "BPE", "vocab": {"a": 0, "b": 0}, "merges": []}}',
        '{"version": "1.0", "model": {"type": "BPE", "vocab": {}, "merges": []}}',
        '{"version": "1.0", "model": ' + "[" * 100_000,
    ],
    ids=lambda content: content[:30] or "empty",
)
def test_broken_tokenizer_files_are_format_errors(tmp_path: Path, content: str) -> None:
    with pytest.raises(ModelFormatError):
        Tokenizer.from_folder(broken(tmp_path, tokenizer=content))


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"eos_token": 7}', '{"chat_template": 7}', '{"add_bos_token": "yes"}', "[" * 100_000]
)
def test_broken_settings_are_format_errors(tmp_path: Path, content: str) -> None:
    with pytest.raises(ModelFormatError, match="tokenizer_config"):
        Tokenizer.from_folder(broken(tmp_path, tokenizer_config=content))


def test_a_tokenizer_larger_than_the_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFormatError, match="do not belong together"):
        Tokenizer.from_folder(broken(tmp_path, config='{"vocab_size": 100}'))


def test_a_special_token_beyond_the_model_is_left_unused(tmp_path: Path) -> None:
    size = Tokenizer.from_folder(DATA / "qwen3").vocab_size
    backend = Backend.from_str(GOOD)
    backend.add_special_tokens(["<image>"])
    folder = broken(tmp_path, tokenizer=backend.to_str(), config=json.dumps({"vocab_size": size}))
    tokenizer = Tokenizer.from_folder(folder)
    assert tokenizer.vocab_size == size
    assert "<image>" not in tokenizer.control_tokens


def test_stored_truncation_does_not_cut_text(tmp_path: Path) -> None:
    backend = Backend.from_str(GOOD)
    backend.enable_truncation(4)
    tokenizer = Tokenizer.from_folder(broken(tmp_path, tokenizer=backend.to_str()))
    assert tokenizer.decode(tokenizer.encode("a long text that is kept")) == "a long text that is kept"


def test_folders_from_before_tokenizer_json(tmp_path: Path) -> None:
    state = json.loads(GOOD)
    (tmp_path / "vocab.json").write_text(json.dumps(state["model"]["vocab"]), encoding="utf-8")
    merges = "".join(f"{left} {right}\n" for left, right in state["model"]["merges"])
    (tmp_path / "merges.txt").write_text("#version: 0.2\n" + merges, encoding="utf-8")
    text = "The sky is blue 天空"
    tokenizer = Tokenizer.from_folder(tmp_path)
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert len(tokenizer.encode(text)) < len(text.encode())


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match=r"tokenizer\.json"):
        Tokenizer.from_folder(tmp_path)
    with pytest.raises(ModelNotFoundError, match="is not a folder"):
        Tokenizer.from_folder(tmp_path / "absent")
    (tmp_path / "tokenizer.model").write_bytes(b"\n\x0e")
    with pytest.raises(UnsupportedModelError, match="save_pretrained"):
        Tokenizer.from_folder(tmp_path)


@given(st.integers(0, len(GOOD) - 1), st.text(max_size=4), st.integers(0, 40))
def test_a_damaged_file_is_an_error_of_ours_or_a_tokenizer(position: int, inserted: str, removed: int) -> None:
    damaged = GOOD[:position] + inserted + GOOD[position + removed :]
    with suppress(ModelFormatError):
        tokenizer = Tokenizer.from_json(damaged)
        assert tokenizer.special_ids.isdisjoint(tokenizer.encode("The sky is blue 天空 <|im_end|>"))


def test_a_vocabulary_that_cannot_encode_a_text_says_so() -> None:
    backend = Backend(models.WordLevel({"go": 0}, unk_token="<unk>"))
    with pytest.raises(ModelFormatError, match="cannot encode"):
        Tokenizer(backend).encode("stop")


def test_gpt1_words_are_lower_cased_and_joined_by_spaces(tmp_path: Path) -> None:
    vocab = ["<unk>", *"helowrd!", "o</w>", "d</w>", "!</w>", "he", "hel", "hell", "hello</w>", "wo", "wor", "worl"]
    merges = ["h e", "he l", "hel l", "hell o</w>", "w o", "wo r", "wor l"]
    (tmp_path / "vocab.json").write_text(json.dumps({piece: id_ for id_, piece in enumerate(vocab)}))
    (tmp_path / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    tokenizer = Tokenizer.from_folder(tmp_path)
    theirs = OpenAIGPTTokenizer.from_pretrained(tmp_path)
    ids = tokenizer.encode("Hello world!")
    assert ids == theirs.encode("Hello world!", add_special_tokens=False)
    assert tokenizer.decode(ids) == "hello world !"
    stream = Detokenizer(tokenizer)
    assert "".join([stream.push(id_) for id_ in ids]) + stream.flush() == "hello world !"
