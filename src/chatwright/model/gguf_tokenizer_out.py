"""The tokenizer of a model folder → GGUF metadata, so that llama.cpp gives the same token ids."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from chatwright.errors import ModelFormatError, UnsupportedModelError
from chatwright.model.generation import read_generation_defaults
from chatwright.model.gguf_header import Value
from chatwright.model.gguf_pretokenizers import DIGIT, GPT2, find_pre_tokenizer
from chatwright.model.gguf_tokenizer import BYTE, CONTROL, NORMAL, SPACE_MARK, UNKNOWN, UNUSED, USER_DEFINED
from chatwright.model.hf_keys import read_json_object


def tokenizer_metadata(folder: Path, vocab_size: int) -> dict[str, Value]:
    """All ``tokenizer.*`` keys for the tokenizer in ``folder``.

    Args:
        folder: holds ``tokenizer.json``, and ``tokenizer_config.json``, ``chat_template.jinja`` and
            ``generation_config.json`` where there are any.
        vocab_size: rows of the embedding table; rows beyond the tokenizer get tokens that are marked unused.
    Raises:
        UnsupportedModelError: llama.cpp has no tokenizer that cuts and joins in this way.
        ModelFormatError: files are damaged or do not fit the model.
    """
    tokenizer = read_json_object(folder / "tokenizer.json")
    try:
        model = tokenizer["model"]
        if model.get("type") != "BPE":
            raise UnsupportedModelError(
                f"{folder}: the tokenizer is of the kind {model.get('type')!r}; only BPE can be written to a GGUF"
            )
        kind = "llama" if model.get("byte_fallback") else "gpt2"
        tokens, types = _tokens(folder, tokenizer, vocab_size)
        values: dict[str, Value] = {"tokenizer.ggml.model": kind}
        values |= _sentencepiece(tokenizer, tokens) if kind == "llama" else _byte_level(folder, tokenizer)
    except (KeyError, TypeError, AttributeError, ValueError, IndexError) as error:
        if isinstance(error, ModelFormatError | UnsupportedModelError):
            raise
        raise ModelFormatError(f"{folder / 'tokenizer.json'} is damaged: {error!r}") from None
    values |= {"tokenizer.ggml.tokens": [*tokens], "tokenizer.ggml.token_type": [*types]}
    return values | _special(folder, tokenizer, tokens)


def _tokens(folder: Path, tokenizer: Mapping[str, Any], vocab_size: int) -> tuple[list[str], list[int]]:
    """Every id's token and type."""
    tokens = [f"[PAD{index}]" for index in range(vocab_size)]
    types = [UNUSED] * vocab_size
    unknown = tokenizer["model"].get("unk_token")
    byte_fallback = tokenizer["model"].get("byte_fallback")
    entries = [(token, index, NORMAL) for token, index in tokenizer["model"]["vocab"].items()]
    entries += [
        (entry["content"], entry["id"], CONTROL if entry["special"] else USER_DEFINED)
        for entry in tokenizer.get("added_tokens", [])
    ]
    for token, index, kind in entries:
        if not 0 <= index < vocab_size:
            raise ModelFormatError(f"{folder}: the token {token!r} has the id {index}, but the model has {vocab_size}")
        if token == unknown and byte_fallback:
            kind = UNKNOWN
        elif byte_fallback and kind == NORMAL and _is_byte(token):
            kind = BYTE
        # llama.cpp looks for these in the text as people write it.
        tokens[index] = token.replace(SPACE_MARK, " ") if kind == USER_DEFINED else token
        types[index] = kind
    return tokens, types


def _is_byte(token: str) -> bool:
    return len(token) == 6 and token.startswith("<0x") and token.endswith(">")


def _byte_level(folder: Path, tokenizer: Mapping[str, Any]) -> dict[str, Value]:
    model, normalizer = tokenizer["model"], tokenizer.get("normalizer")
    splits = tuple(_splits(tokenizer.get("pre_tokenizer")))
    nfc = bool(normalizer) and _kinds(normalizer, "normalizers") == ["NFC"]
    name = find_pre_tokenizer(splits, ignore_merges=bool(model.get("ignore_merges")), nfc=nfc)
    if name is None or (normalizer and not nfc):
        raise UnsupportedModelError(
            f"{folder}: llama.cpp has no name for the way this tokenizer cuts text ({' then '.join(splits)[:120]!r}); "
            "export it with --format hf"
        )
    return {"tokenizer.ggml.pre": name, "tokenizer.ggml.merges": [" ".join(pair) for pair in _merges(model)]}


def _splits(step: Mapping[str, Any] | None) -> Iterable[str]:
    """The regular expressions of a pre-tokenizer; "?" for a step that is none."""
    kind = step["type"] if step else None
    if step is None:
        return
    if kind == "Sequence":
        for part in step["pretokenizers"]:
            yield from _splits(part)
    elif kind == "ByteLevel" and not step.get("add_prefix_space"):
        if step.get("use_regex", True):
            yield GPT2
    elif kind == "Digits" and step.get("individual_digits"):
        yield DIGIT
    elif kind == "Split" and (step["behavior"], step["invert"]) in (("Isolated", False), ("Removed", True)):
        yield step["pattern"].get("Regex", "?")
    else:
        yield "?"


def _sentencepiece(tokenizer: Mapping[str, Any], tokens: list[str]) -> dict[str, Value]:
    """Scores in the order of the merges: the pair that is joined first scores best."""
    model = tokenizer["model"]
    rank: dict[str, int] = {}
    for index, (left, right) in enumerate(_merges(model)):
        rank.setdefault(left + right, index)
    last = len(rank)
    scores = [float(-rank.get(token, last)) for token in tokens]
    prefix = "Prepend" in _kinds(tokenizer.get("normalizer"), "normalizers")
    for step in _steps(tokenizer.get("pre_tokenizer"), "pretokenizers"):
        prefix |= step["type"] == "Metaspace" and step.get("prepend_scheme", "always") != "never"
    return {
        "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.scores": [*scores],
        "tokenizer.ggml.add_space_prefix": prefix,
    }


def _merges(model: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """Both forms that a ``tokenizer.json`` may have: pairs, or (older) strings with a space between."""
    for merge in model["merges"]:
        left, right = merge.split(" ") if isinstance(merge, str) else merge
        yield left, right


def _special(folder: Path, tokenizer: Mapping[str, Any], tokens: list[str]) -> dict[str, Value]:
    """Ids of special tokens, whether a text gets BOS and EOS, and the chat template."""
    config_path = folder / "tokenizer_config.json"
    config = read_json_object(config_path) if config_path.is_file() else {}
    defaults = read_generation_defaults(folder)

    def named(key: str) -> int | None:
        entry = config.get(key)
        token = entry.get("content") if isinstance(entry, dict) else entry
        return tokens.index(token) if token in tokens else None

    ends = list(defaults.eos_token_ids) or [index for index in [named("eos_token")] if index is not None]
    bos, pad = named("bos_token"), named("pad_token")
    before, after = _added_to_text(tokenizer.get("post_processor"))
    ids = {
        "bos": tokens.index(before) if before else defaults.bos_token_id if bos is None else bos,
        "eos": ends[0] if ends else None,
        "eot": ends[1] if len(ends) > 1 else None,
        "unknown": named("unk_token"),
        "padding": defaults.pad_token_id if pad is None else pad,
    }
    values: dict[str, Value] = {
        f"tokenizer.ggml.{name}_token_id": index for name, index in ids.items() if index is not None
    }
    values |= {
        "tokenizer.ggml.add_bos_token": before is not None,
        "tokenizer.ggml.add_eos_token": after is not None,
    }
    template_path = folder / "chat_template.jinja"
    template = template_path.read_text("utf-8") if template_path.is_file() else config.get("chat_template")
    if isinstance(template, str) and template:
        values["tokenizer.chat_template"] = template
    return values


def _added_to_text(post_processor: Mapping[str, Any] | None) -> tuple[str | None, str | None]:
    """The special tokens that a post-processor puts before and after a text."""
    for step in _steps(post_processor, "processors"):
        if step["type"] == "TemplateProcessing":
            first, last = step["single"][0], step["single"][-1]
            return first.get("SpecialToken", {}).get("id"), last.get("SpecialToken", {}).get("id")
    return None, None


def _steps(step: Mapping[str, Any] | None, list_key: str) -> list[Mapping[str, Any]]:
    """A pipeline's steps, be it one step or a sequence."""
    if not step:
        return []
    return list(step[list_key]) if step["type"] == "Sequence" else [step]


def _kinds(step: Mapping[str, Any] | None, list_key: str) -> list[str]:
    return [part["type"] for part in _steps(step, list_key)]
