"""Makes the tokenizers of this folder: one of each way in which published chat models spell text.

Run ``python tests/data/chat/make.py`` after a change here, and commit what it writes. The templates beside them are
ours, written after the habits of the families whose names they bear.
"""

import json
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, models, normalizers, trainers

from chatwright.tokenizer import train_bpe

TEXT = (
    """
The sky is blue because air scatters short waves of light more than long ones. You are kind and brief.
system user assistant tool model: hello world, what is the weather like in Paris and in Beijing today? I'm fine, thanks!
天空为什么是蓝色的?因为空气散射短波光多于长波光。你好,世界!今天北京的天气怎么样?谢谢你的帮助,再见。
{"type": "function", "function": {"name": "get_weather", "arguments": {"city": "Paris"}}} numbers 0 1 2 3 4 5 2026
""".strip().splitlines()
    * 8
)
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]


def main() -> None:
    chatml = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    byte_level("chatml", chatml, [], {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"})
    llama3 = ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
    byte_level("llama3", llama3, [], {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>"})
    tags = ["<think>", "</think>", "<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>"]
    byte_level("qwen3", chatml, tags, {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"})
    ends = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    gemma = {"bos_token": "<bos>", "eos_token": "<eos>", "unk_token": "<unk>"}
    sentencepiece("gemma", ["<unk>", "<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>"], gemma, prefix=None)
    sentencepiece("mistral", ["<unk>", "<s>", "</s>", "[INST]", "[/INST]"], ends, prefix="first")
    roles = ["<|system|>", "<|user|>", "<|assistant|>", "<|end|>"]
    sentencepiece("phi", ["<unk>", "<s>", "</s>", *roles], ends, prefix="prepend")


def byte_level(name: str, special: list[str], added: list[str], named: dict[str, str]) -> None:
    """GPT-2's spelling: Llama 3 and Qwen."""
    backend = train_bpe(TEXT, 480, special_tokens=special, eos_token=None, pad_token=None).backend
    backend.add_tokens([AddedToken(text, normalized=False) for text in added])
    write(name, json.loads(backend.to_str()), named)


def sentencepiece(name: str, special: list[str], named: dict[str, str], *, prefix: str | None) -> None:
    """SentencePiece's spelling, with a byte for what no piece covers: Llama 2, Mistral, Gemma, Phi."""
    trainer = trainers.BpeTrainer(vocab_size=640, special_tokens=[*special, *BYTES], show_progress=False)
    backend = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    backend.normalizer = normalizers.Replace(" ", "\u2581")
    words = [" " + word for line in TEXT for word in line.split()]
    backend.train_from_iterator(words, trainer)
    tokenizer = json.loads(backend.to_str())
    tokenizer["added_tokens"] = tokenizer["added_tokens"][: len(special)]
    replace = {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "}
    steps: list[dict[str, Any]] = [replace, {"type": "ByteFallback"}, {"type": "Fuse"}]
    if prefix == "prepend":  # every text after a control token gets a space
        prepend = {"type": "Prepend", "prepend": "\u2581"}
        tokenizer["normalizer"] = {"type": "Sequence", "normalizers": [prepend, tokenizer["normalizer"]]}
        for token in tokenizer["added_tokens"]:
            token["rstrip"] = token["content"].startswith("<|")
    if prefix == "first":  # only the very first text does
        tokenizer["normalizer"] = None
        metaspace = {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "first", "split": False}
        tokenizer["pre_tokenizer"] = metaspace
    if prefix:
        steps.append({"type": "Strip", "content": " ", "start": 1, "stop": 0})
    else:  # Gemma matches runs of white space whole, though they are not special
        size = len(tokenizer["model"]["vocab"])
        flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": False}
        for index, text in enumerate(["\n\n", "\n\n\n", "<table>"]):
            tokenizer["added_tokens"].append({"id": size + index, "content": text, **flags})
    tokenizer["decoder"] = {"type": "Sequence", "decoders": steps}
    write(name, tokenizer, named)


def write(name: str, tokenizer: dict[str, Any], named: dict[str, str]) -> None:
    folder = Path(__file__).parent / name
    text = Tokenizer.from_str(json.dumps(tokenizer)).to_str()
    (folder / "tokenizer.json").write_text(text + "\n", encoding="utf-8")
    config = {"tokenizer_class": "PreTrainedTokenizerFast", **named, "clean_up_tokenization_spaces": False}
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
