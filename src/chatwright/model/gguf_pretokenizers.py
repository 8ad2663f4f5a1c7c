"""How text is cut before byte-level BPE, by the names that GGUF files give the ways (``tokenizer.ggml.pre``).

A GGUF does not hold the regular expressions, only a name; llama.cpp has a list of what each name means. Ours holds
those that models of our architectures use. The expressions are the ones in the models' own ``tokenizer.json`` files.
"""

from dataclasses import dataclass
from typing import Any

from chatwright.errors import UnsupportedModelError

DIGIT = r"\p{N}"
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_TAIL = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3 = rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1,3}}|{_TAIL}"
QWEN2 = rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}|{_TAIL}"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_CASED_TAIL = r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_BEFORE_WORD = r"[^\r\n\p{L}\p{N}]?"
TEKKEN = rf"{_BEFORE_WORD}{_UPPER}*{_LOWER}+|{_BEFORE_WORD}{_UPPER}+{_LOWER}*|\p{{N}}|{_CASED_TAIL}"
GPT4O = (
    rf"{_BEFORE_WORD}{_UPPER}*{_LOWER}+{_CONTRACTIONS}?|{_BEFORE_WORD}{_UPPER}+{_LOWER}*{_CONTRACTIONS}?"
    rf"|\p{{N}}{{1,3}}|{_CASED_TAIL}"
)


@dataclass(frozen=True, slots=True)
class PreTokenizer:
    """One way to cut text.

    Attributes:
        splits: regular expressions applied one after the other; matches and what lies between them become pieces.
        ignore_merges: a piece that is a token as it stands is taken whole, whatever the merges say.
        nfc: text is brought to Unicode's composed form first.
        add_bos: a text begins with the BOS token where the file does not say.
    """

    splits: tuple[str, ...]
    ignore_merges: bool = False
    nfc: bool = False
    add_bos: bool = False

    def to_json(self) -> dict[str, Any]:
        """As the ``pre_tokenizer`` of a ``tokenizer.json``."""
        cuts = [
            {"type": "Split", "pattern": {"Regex": split}, "behavior": "Isolated", "invert": False}
            for split in self.splits
        ]
        byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
        return {"type": "Sequence", "pretokenizers": [*cuts, byte_level]}


_GPT2 = PreTokenizer((GPT2,))
_DIGITS = PreTokenizer((DIGIT, GPT2))
_LLAMA3 = PreTokenizer((LLAMA3,), ignore_merges=True, add_bos=True)
_QWEN2 = PreTokenizer((QWEN2,), nfc=True)
_GPT4O = PreTokenizer((GPT4O,))
# The first name of each way is the one that we write.
PRE_TOKENIZERS: dict[str, PreTokenizer] = {
    "gpt-2": _GPT2,
    **dict.fromkeys(("phi-2", "mpt", "olmo", "jais", "trillion", "roberta-bpe", "modern-bert", "mellum"), _GPT2),
    "smollm": _DIGITS,
    **dict.fromkeys(("starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"), _DIGITS),
    "qwen2": _QWEN2,
    **dict.fromkeys(("deepseek-r1-qwen", "kormo", "megrez"), _QWEN2),
    **dict.fromkeys(("stablelm2", "hunyuan", "grok-2", "solar-open"), PreTokenizer((QWEN2,))),
    "llama-bpe": _LLAMA3,
    **dict.fromkeys(("llama3", "llama-v3", "falcon3", "pixtral", "midm-2.0", "lfm2"), _LLAMA3),
    "dbrx": PreTokenizer((LLAMA3,)),
    **dict.fromkeys(("smaug-bpe", "chatglm-bpe", "glm4"), PreTokenizer((LLAMA3,))),
    "tekken": PreTokenizer((TEKKEN,), ignore_merges=True, add_bos=True),
    "gpt-4o": _GPT4O,
    **dict.fromkeys(("llama4", "kanana2", "talkie"), _GPT4O),
    # What llama.cpp does with files from before the key existed.
    "default": PreTokenizer((r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]")),
}


def pre_tokenizer(name: str) -> PreTokenizer:
    """The way called ``name``; UnsupportedModelError where it is none of ours."""
    if name not in PRE_TOKENIZERS:
        raise UnsupportedModelError(
            f"the tokenizer cuts text in the way {name!r} (tokenizer.ggml.pre), which Chatwright does not know; "
            "use the model's Hugging Face folder, which holds its tokenizer.json"
        )
    return PRE_TOKENIZERS[name]


def find_pre_tokenizer(splits: tuple[str, ...], *, ignore_merges: bool, nfc: bool) -> str | None:
    """The GGUF name of a way to cut text; None where it has none.

    NFC has no influence on llama.cpp, which never normalises, so a name that differs only there will do.
    """
    same = {
        name: way for name, way in PRE_TOKENIZERS.items() if (way.splits, way.ignore_merges) == (splits, ignore_merges)
    }
    return next((name for name, way in same.items() if way.nfc == nfc), next(iter(same), None))
