"""GGUF vocabulary → a ``tokenizer.json`` of Hugging Face's ``tokenizers``, its special tokens and chat template.

Two kinds of vocabulary exist for the architectures we run. ``gpt2`` is byte-level BPE with its merges and the name of
a pre-tokenizer. ``llama`` is SentencePiece's BPE: no merges, but a score per token; the pair whose union scores best
is joined first, and a character that is no token falls back to its bytes.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from chatwright.errors import ModelFormatError, UnsupportedModelError
from chatwright.model.gguf_file import GGUFFile
from chatwright.model.gguf_pretokenizers import PreTokenizer, pre_tokenizer

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
SPACE_MARK = "▁"  # SentencePiece writes a space so
# Tokens that end a turn or a text wherever they occur, whether the metadata point at them or not: files often name
# only one of them as EOS, and the model then runs on after the other.
TURN_ENDS = frozenset(
    {
        "<|im_end|>",
        "<|endoftext|>",
        "<|eot_id|>",
        "<|eom_id|>",
        "<|end_of_text|>",
        "<end_of_turn>",
        "<|end|>",
        "<|return|>",
        "<EOT>",
    }
)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What a GGUF says about its tokenizer.

    Attributes:
        kind: ``gpt2`` (byte-level BPE) or ``llama`` (SentencePiece BPE).
        tokens, types: by id.
        bos_id, unk_id, pad_id: special tokens, None where there is none.
        eos_ids: tokens that end an answer, the file's EOS first.
        add_bos, add_eos: whether a text gets them.
        chat_template: Jinja source, or None.
    """

    kind: str
    tokens: list[str]
    types: list[int]
    bos_id: int | None
    eos_ids: tuple[int, ...]
    unk_id: int | None
    pad_id: int | None
    add_bos: bool
    add_eos: bool
    chat_template: str | None


def has_vocabulary(file: GGUFFile) -> bool:
    """Whether the file has a tokenizer: no metadata of one, or llama.cpp's "no_vocab", means weights alone.

    Raises:
        ModelFormatError: there are parts of a tokenizer, but not its kind.
    """
    if any(key.startswith("tokenizer.ggml.") for key in file.metadata):
        return file.get("tokenizer.ggml.model", str) not in ("no_vocab", "none")
    return False


def gguf_vocabulary(file: GGUFFile) -> Vocabulary:
    """Read and check the tokenizer's metadata.

    Raises:
        UnsupportedModelError: another kind of tokenizer; names it.
        ModelFormatError: keys are missing or contradict each other.
    """
    kind = file.get("tokenizer.ggml.model", str)
    if kind not in ("gpt2", "llama"):
        raise UnsupportedModelError(
            f"{file.path}: the tokenizer is of the kind {kind!r}; byte-level BPE ('gpt2') and SentencePiece ('llama') "
            "are supported"
        )
    tokens = file.strings("tokenizer.ggml.tokens")
    types = [NORMAL] * len(tokens)
    if "tokenizer.ggml.token_type" in file.metadata:
        types = [int(value) for value in file.numbers("tokenizer.ggml.token_type")]
    if len(types) != len(tokens):
        raise ModelFormatError(f"{file.path}: {len(tokens)} tokens, but {len(types)} token types")
    rows = file.tensors["token_embd.weight"].shape[0]
    if len(tokens) > rows:
        raise ModelFormatError(f"{file.path}: {len(tokens)} tokens, but 'token_embd.weight' has only {rows} rows")
    ids = _SpecialIds(file, len(tokens))
    sentencepiece = kind == "llama"
    eos = [ids.get("eos", 2 if sentencepiece else None), ids.get("eot"), ids.get("eom")]
    eos += [index for index, token in enumerate(tokens) if types[index] == CONTROL and token in TURN_ENDS]
    way = None if sentencepiece else pre_tokenizer(_pre_name(file))
    return Vocabulary(
        kind=kind,
        tokens=tokens,
        types=types,
        bos_id=ids.get("bos", 1 if sentencepiece else None),
        eos_ids=tuple(dict.fromkeys(index for index in eos if index is not None)),
        unk_id=ids.get("unknown", 0 if sentencepiece else None),
        pad_id=ids.get("padding"),
        add_bos=file.get("tokenizer.ggml.add_bos_token", bool, sentencepiece or (way is not None and way.add_bos)),
        add_eos=file.get("tokenizer.ggml.add_eos_token", bool, False),
        chat_template=file.get("tokenizer.chat_template", str, "") or None,
    )


def gguf_tokenizer_json(file: GGUFFile, vocabulary: Vocabulary) -> dict[str, Any]:
    """The whole ``tokenizer.json``.

    Raises:
        ModelFormatError: tokens appear twice, or a merge joins what is no token; names it.
        UnsupportedModelError: an unknown pre-tokenizer.
    """
    ids = _ids_by_token(file, vocabulary)
    if vocabulary.kind == "gpt2":
        parts = _byte_level(file, vocabulary, ids, pre_tokenizer(_pre_name(file)))
    else:
        parts = _sentencepiece(file, vocabulary, ids)
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                "id": index,
                "content": token,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": vocabulary.types[index] != USER_DEFINED,
            }
            for token, index in ids.items()
            if token and vocabulary.types[index] in (UNKNOWN, CONTROL, USER_DEFINED)
        ],
        **parts,
        "post_processor": _post_processor(vocabulary) or parts["post_processor"],
    }


def gguf_tokenizer_config(vocabulary: Vocabulary, max_length: int) -> dict[str, Any]:
    """The ``tokenizer_config.json`` that lets ``transformers`` open the folder."""

    def token(index: int | None) -> str | None:
        return None if index is None else vocabulary.tokens[index]

    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": token(vocabulary.bos_id),
        "eos_token": token(vocabulary.eos_ids[0] if vocabulary.eos_ids else None),
        "unk_token": token(vocabulary.unk_id),
        "pad_token": token(vocabulary.pad_id),
        "add_bos_token": vocabulary.add_bos,
        "add_eos_token": vocabulary.add_eos,
        "clean_up_tokenization_spaces": False,
        "model_max_length": max_length,
    }


class _SpecialIds:
    def __init__(self, file: GGUFFile, count: int) -> None:
        self.file = file
        self.count = count

    def get(self, name: str, default: int | None = None) -> int | None:
        """A special token's id; None where the file has none (a default that is no token included)."""
        key = f"tokenizer.ggml.{name}_token_id"
        if key not in self.file.metadata:
            return default if default is not None and default < self.count else None
        index = self.file.get(key, int)
        if index == 0xFFFFFFFF:  # llama.cpp's "none"
            return None
        if not 0 <= index < self.count:
            raise ModelFormatError(f"{self.file.path}: {key} is {index}, but there are {self.count} tokens")
        return index


def _pre_name(file: GGUFFile) -> str:
    return file.get("tokenizer.ggml.pre", str, "default") or "default"


def _ids_by_token(file: GGUFFile, vocabulary: Vocabulary) -> dict[str, int]:
    """Token → id. Of unused tokens with one name the first stays: none of them can be produced anyway."""
    ids: dict[str, int] = {}
    for index, token in enumerate(vocabulary.tokens):
        first = ids.setdefault(token, index)
        if first != index and UNUSED not in (vocabulary.types[first], vocabulary.types[index]):
            raise ModelFormatError(f"{file.path}: the token {token!r} appears twice, as {first} and as {index}")
        if first != index and vocabulary.types[first] == UNUSED:
            ids[token] = index
    return ids


def _byte_level(file: GGUFFile, vocabulary: Vocabulary, ids: dict[str, int], way: PreTokenizer) -> dict[str, Any]:
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    return {
        "normalizer": {"type": "NFC"} if way.nfc else None,
        "pre_tokenizer": way.to_json(),
        "post_processor": byte_level,
        "decoder": byte_level,
        "model": _bpe(ids, list(_listed_merges(file, vocabulary, ids)), ignore_merges=way.ignore_merges),
    }


def _listed_merges(file: GGUFFile, vocabulary: Vocabulary, ids: dict[str, int]) -> Iterable[tuple[str, str]]:
    for merge in file.strings("tokenizer.ggml.merges"):
        cut = merge.find(" ", 1)
        left, right = merge[:cut], merge[cut + 1 :]
        union = ids.get(left + right)
        if cut < 0 or left not in ids or right not in ids or union is None:
            raise ModelFormatError(
                f"{file.path}: the merge {merge!r} in tokenizer.ggml.merges does not join two tokens"
            )
        if vocabulary.types[union] != CONTROL:  # text must never become a control token
            yield left, right


def _sentencepiece(file: GGUFFile, vocabulary: Vocabulary, ids: dict[str, int]) -> dict[str, Any]:
    prefix = file.get("tokenizer.ggml.add_space_prefix", bool, True)
    to_marks = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE_MARK}
    decoders: list[dict[str, Any]] = [
        {"type": "Replace", "pattern": {"String": SPACE_MARK}, "content": " "},
        {"type": "ByteFallback"},
        {"type": "Fuse"},
    ]
    if prefix:
        decoders.append({"type": "Strip", "content": " ", "start": 1, "stop": 0})
    prepend = [{"type": "Prepend", "prepend": SPACE_MARK}] if prefix else []
    unknown = None if vocabulary.unk_id is None else vocabulary.tokens[vocabulary.unk_id]
    merges = _scored_merges(file, vocabulary, ids)
    return {
        "normalizer": {"type": "Sequence", "normalizers": [*prepend, to_marks]},
        "pre_tokenizer": None,
        "post_processor": None,
        "decoder": {"type": "Sequence", "decoders": decoders},
        "model": _bpe(ids, merges, unknown=unknown, byte_fallback=True),
    }


def _scored_merges(file: GGUFFile, vocabulary: Vocabulary, ids: dict[str, int]) -> list[tuple[str, str]]:
    """Every way to join two ordinary tokens to a third, best score first.

    SentencePiece looks the union of each pair of neighbours up; listing the pairs beforehand gives the same order,
    since the score belongs to the union alone. Control and byte tokens take no part: text must never become them.
    """
    scores = file.numbers("tokenizer.ggml.scores")
    if len(scores) != len(vocabulary.tokens):
        raise ModelFormatError(f"{file.path}: {len(vocabulary.tokens)} tokens, but {len(scores)} scores")
    ordinary = {token: index for token, index in ids.items() if vocabulary.types[index] in (NORMAL, USER_DEFINED)}
    found = [
        (-scores[index], index, token[:cut], token[cut:])
        for token, index in ordinary.items()
        for cut in range(1, len(token))
        if token[:cut] in ordinary and token[cut:] in ordinary
    ]
    return [(left, right) for _, _, left, right in sorted(found, key=lambda entry: entry[:2])]


def _bpe(
    ids: dict[str, int],
    merges: list[tuple[str, str]],
    *,
    unknown: str | None = None,
    byte_fallback: bool = False,
    ignore_merges: bool = False,
) -> dict[str, Any]:
    return {
        "type": "BPE",
        "dropout": None,
        "unk_token": unknown,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": byte_fallback,
        "byte_fallback": byte_fallback,
        "ignore_merges": ignore_merges,
        "vocab": ids,
        "merges": merges,
    }


def _post_processor(vocabulary: Vocabulary) -> dict[str, Any] | None:
    """Puts BOS before and EOS after a text where the vocabulary asks for it."""
    before = vocabulary.bos_id if vocabulary.add_bos else None
    after = vocabulary.eos_ids[0] if vocabulary.add_eos and vocabulary.eos_ids else None
    if before is None and after is None:
        return None

    def special(index: int | None) -> list[dict[str, Any]]:
        return [] if index is None else [{"SpecialToken": {"id": vocabulary.tokens[index], "type_id": 0}}]

    def text(name: str) -> list[dict[str, Any]]:
        return [*special(before), {"Sequence": {"id": name, "type_id": 0}}, *special(after)]

    named = {vocabulary.tokens[index]: index for index in (before, after) if index is not None}
    return {
        "type": "TemplateProcessing",
        "single": text("A"),
        "pair": [*text("A"), *text("B")],
        "special_tokens": {token: {"id": token, "ids": [index], "tokens": [token]} for token, index in named.items()},
    }
