"""Folders from before ``tokenizer.json``: ``vocab.json`` + ``merges.txt``, as GPT-1 and GPT-2 were published."""

import json
from pathlib import Path

import tokenizers
from tokenizers import decoders, normalizers, pre_tokenizers

from chatwright.errors import ModelFormatError, ModelNotFoundError, UnsupportedModelError
from chatwright.tokenizer.settings import read_json_object, read_text

_WORD_END = "</w>"


def read_vocabulary_files(folder: Path) -> tokenizers.Tokenizer:
    """Build the tokenizer of a folder without ``tokenizer.json``.

    Raises:
        ModelNotFoundError: there are no vocabulary files either.
        ModelFormatError: they are broken.
        UnsupportedModelError: there is only a SentencePiece ``tokenizer.model``.
    """
    vocab_path, merges_path = folder / "vocab.json", folder / "merges.txt"
    if vocab_path.exists() and merges_path.exists():
        tokenizer = _byte_pair(vocab_path, merges_path)
        _add_tokens(tokenizer, folder / "added_tokens.json")
        return tokenizer
    if (folder / "tokenizer.model").exists():
        raise UnsupportedModelError(
            f"{folder} has only a SentencePiece tokenizer.model; write a tokenizer.json beside it once with "
            f"`python -c \"from transformers import AutoTokenizer as T; T.from_pretrained('{folder}')"
            f".save_pretrained('{folder}')\"`"
        )
    raise ModelNotFoundError(f"{folder} has no tokenizer.json; give a folder that holds the whole model")


def _byte_pair(vocab_path: Path, merges_path: Path) -> tokenizers.Tokenizer:
    vocab = read_json_object(vocab_path)
    lines = read_text(merges_path).splitlines()
    merges = [tuple(line.split(" ")) for line in lines if line and not line.startswith("#version")]
    if not all(type(id_) is int for id_ in vocab.values()) or not all(len(pair) == 2 for pair in merges):
        raise ModelFormatError(f"{vocab_path} and {merges_path.name} do not hold ids and pairs; fetch them again")
    marks_word_end = any(piece.endswith(_WORD_END) for piece in vocab)
    model = {
        "type": "BPE",
        "vocab": vocab,
        "merges": merges,
        "unk_token": "<unk>" if "<unk>" in vocab else None,
        "end_of_word_suffix": _WORD_END if marks_word_end else None,
    }
    try:
        tokenizer = tokenizers.Tokenizer.from_str(json.dumps({"version": "1.0", "model": model}))
    except Exception as error:
        raise ModelFormatError(f"{vocab_path} and {merges_path.name} do not fit together: {error}") from None
    if marks_word_end:  # GPT-1: lower-cased words, split as BERT does
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tokenizer.decoder = decoders.BPEDecoder(suffix=_WORD_END)
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        if "<|endoftext|>" in vocab:
            tokenizer.add_special_tokens(["<|endoftext|>"])
    return tokenizer


def _add_tokens(tokenizer: tokenizers.Tokenizer, path: Path) -> None:
    """Add the tokens of ``added_tokens.json``, whose ids must follow the vocabulary without a gap."""
    for text, id_ in sorted(read_json_object(path).items(), key=lambda item: str(item[1]).zfill(12)):
        tokenizer.add_tokens([text])
        if tokenizer.token_to_id(text) != id_:
            raise ModelFormatError(f"{path}: token {text!r} has id {id_!r}, which does not follow the vocabulary")
