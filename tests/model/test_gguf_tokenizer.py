"""Vocabularies in GGUF files: the same token ids after writing and reading as before."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from chatwright.errors import ModelFormatError, UnsupportedModelError
from chatwright.model.conversion import converted
from chatwright.model.gguf_file import open_gguf
from chatwright.model.gguf_pretokenizers import LLAMA3, PRE_TOKENIZERS, QWEN2, PreTokenizer
from chatwright.model.gguf_tokenizer import gguf_tokenizer_json, gguf_vocabulary
from chatwright.model.gguf_write import write_gguf
from chatwright.model.gpt import GPT
from chatwright.model.load import load_folder
from chatwright.model.save import save_model

CORPUS = [
    "Hello, world! I've got 12345 apples & 3.14159 pies, it's 2024-11-22.",
    "你好，世界！今天天气怎么样？价格是￥1,234.50元。",
    "👩‍👩‍👧‍👦 🇨🇳 😀😀 emoji 👍🏽!",
    "   leading\t\ttabs  and   runs    of     spaces   ",
    "line\n\n\nbreaks\r\n\r\nand \n mixed \n  \n",
    "def f(x):\n    return x**2  # comment\n\n\tif True:\n\t\tpass\n",
    "café naïve Ångström ﬁ ½ ² ③ Ⅷ ٣٤",
    "مرحبا بالعالم שלום 日本語 한국어",
    "DON'T I'LL we've 'tis",
    "<|im_start|>user\n<s></s><0x0A>",
    "\x00\x01\x7f control \ufeffBOM",
    "a" * 100,
    " ",
    "",
]
WORDS = [*CORPUS, "the sky is blue because light scatters " * 4, "天空为什么是蓝色的？因为光的散射。"]


def byte_level(path: Path, way: PreTokenizer) -> None:
    tokenizer = Tokenizer(models.BPE(ignore_merges=way.ignore_merges))
    if way.nfc:
        tokenizer.normalizer = normalizers.NFC()
    cuts = [pre_tokenizers.Split(Regex(split), "isolated") for split in way.splits]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*cuts, pre_tokenizers.ByteLevel(False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=[AddedToken(text, special=True) for text in ("<|endoftext|>", "<|im_start|>", "<|im_end|>")],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(WORDS, trainer)
    tokenizer.add_tokens([AddedToken("<think>", special=False, normalized=False)])
    tokenizer.save(str(path))


def sentencepiece(path: Path, *, prefix: bool) -> None:
    """The shape of Llama 2's tokenizer.json: bytes for what is no token, spaces as marks, BOS before a text."""
    special = ["<unk>", "<s>", "</s>"]
    fallback = [f"<0x{value:02X}>" for value in range(256)]
    trained = Tokenizer(models.BPE())
    trained.normalizer = normalizers.Replace(" ", "▁")
    trained.train_from_iterator(
        ["the▁sky▁is▁blue▁because▁light▁scatters", "▁the▁▁▁▁sky▁blue", "▁天空▁天空▁蓝色"] * 3,
        trainers.BpeTrainer(vocab_size=90, show_progress=False),
    )
    model = json.loads(trained.to_str())["model"]
    tokens = [*special, *fallback, *model["vocab"]]
    merges = [tuple(merge) if isinstance(merge, list) else tuple(merge.split(" ")) for merge in model["merges"]]
    vocab = {token: index for index, token in enumerate(dict.fromkeys(tokens))}
    tokenizer = Tokenizer(models.BPE(vocab, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    before = [normalizers.Prepend("▁")] if prefix else []
    tokenizer.normalizer = normalizers.Sequence([*before, normalizers.Replace(" ", "▁")])
    after = [decoders.Strip(" ", 1, 0)] if prefix else []
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), *after]
    )
    tokenizer.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in special])
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A", "<s> $A <s> $B", [("<s>", 1)])
    tokenizer.save(str(path))


@pytest.fixture
def round_trip(tmp_path: Path, tiny_model_dir: Path):
    """A tokenizer.json through a GGUF and back: the original, what came back, and the file."""

    def round_trip(make) -> tuple[Tokenizer, Tokenizer, Path]:
        folder = tmp_path / "model"
        folder.mkdir()
        make(folder / "tokenizer.json")
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        config = load_folder(tiny_model_dir).config.replace(vocab_size=tokenizer.get_vocab_size() + 5)
        save_model(GPT(config), folder)
        for name in ("generation_config.json", "chat_template.jinja", "tokenizer_config.json"):
            shutil.copy(tiny_model_dir / name, folder)
        write_gguf(folder, tmp_path / "model.gguf", dtype="f32")
        back = converted(tmp_path / "model.gguf")
        return tokenizer, Tokenizer.from_file(str(back / "tokenizer.json")), tmp_path / "model.gguf"

    return round_trip


KINDS = {
    **{
        name: lambda path, name=name: byte_level(path, PRE_TOKENIZERS[name])
        for name in ("gpt-2", "smollm", "qwen2", "llama-bpe", "tekken", "gpt-4o", "default")
    },
    "sentencepiece": lambda path: sentencepiece(path, prefix=True),
    "sentencepiece without prefix": lambda path: sentencepiece(path, prefix=False),
}


@pytest.mark.parametrize("kind", KINDS)
def test_ids_survive(round_trip, kind: str):
    before, after, path = round_trip(KINDS[kind])
    for text in CORPUS:
        for specials in (False, True):
            expected = before.encode(text, add_special_tokens=specials).ids
            assert after.encode(text, add_special_tokens=specials).ids == expected, text
        assert after.decode(expected, skip_special_tokens=False) == before.decode(expected, skip_special_tokens=False)
    after.encode_special_tokens = True
    for text in CORPUS:  # all of it is in composed form, which NFC leaves as it is
        assert after.decode(after.encode(text, add_special_tokens=False).ids, skip_special_tokens=False) == text
    assert after.get_added_tokens_decoder().keys() == before.get_added_tokens_decoder().keys()
    if kind in PRE_TOKENIZERS:
        with open_gguf(path) as file:
            assert file.metadata["tokenizer.ggml.pre"] == kind


@pytest.mark.parametrize("kind", KINDS)
def test_llama_cpp_gives_the_same_ids(round_trip, kind: str):
    pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed (it needs a C++ compiler)")
    before, _, path = round_trip(KINDS[kind])
    before.encode_special_tokens = True
    code = (
        "import json, sys, llama_cpp; model = llama_cpp.Llama(sys.argv[1], vocab_only=True, verbose=False); "
        "texts = json.loads(sys.stdin.read()); "
        "print(json.dumps([model.tokenize(text.encode(), add_bos=False, special=False) for text in texts]))"
    )
    # In a process of its own: llama.cpp ends the process where it meets a file that it does not like.
    texts = [text for text in CORPUS if "\0" not in text]
    run = subprocess.run(
        [sys.executable, "-c", code, str(path)], input=json.dumps(texts), capture_output=True, text=True, check=True
    )
    expected = [before.encode(text, add_special_tokens=False).ids for text in texts]
    assert json.loads(run.stdout.splitlines()[-1]) == expected


def test_text_never_becomes_a_control_token(round_trip):
    """Merges that would build a control token from text are left out, whatever the file lists."""
    _, _, path = round_trip(KINDS["sentencepiece"])
    with open_gguf(path) as file:
        vocabulary = gguf_vocabulary(file)
        merges = gguf_tokenizer_json(file, vocabulary)["model"]["merges"]
    control = {"<s>", "</s>", "<unk>", *(f"<0x{value:02X}>" for value in range(256))}
    assert not control & {left + right for left, right in merges}


def test_special_tokens_and_template(tmp_path: Path, tiny_model_dir: Path):
    write_gguf(tiny_model_dir, tmp_path / "model.gguf", dtype="f32")
    folder = converted(tmp_path / "model.gguf")
    assert (folder / "chat_template.jinja").read_text() == (tiny_model_dir / "chat_template.jinja").read_text()
    defaults = json.loads((folder / "generation_config.json").read_text())
    assert defaults["bos_token_id"] == 1
    assert defaults["eos_token_id"] == [2, 0], "<|im_end|> first, and <|endoftext|> ends an answer too"
    assert defaults["pad_token_id"] == 0
    transformers = pytest.importorskip("transformers")
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    original = transformers.AutoTokenizer.from_pretrained(tiny_model_dir)
    messages = [{"role": "user", "content": "why is the sky blue? 天空"}]
    assert theirs.apply_chat_template(messages, tokenize=False) == original.apply_chat_template(
        messages, tokenize=False
    )
    assert theirs.eos_token == "<|im_end|>"
    assert theirs("why 你好")["input_ids"] == original("why 你好")["input_ids"]


@pytest.mark.parametrize(
    ("edit", "error", "message"),
    [
        (lambda t: t["pre_tokenizer"].update(type="Whitespace"), UnsupportedModelError, "cuts text"),
        (lambda t: t.update(normalizer={"type": "Lowercase"}), UnsupportedModelError, "cuts text"),
        (lambda t: t["model"].update(type="Unigram"), UnsupportedModelError, "'Unigram'"),
        (lambda t: t["model"]["vocab"].update(far=10**9), ModelFormatError, "'far'"),
        (lambda t: t["model"].pop("vocab"), ModelFormatError, "damaged"),
        (lambda t: t["model"].update(merges=[["a"]]), ModelFormatError, "damaged"),
    ],
)
def test_tokenizers_that_cannot_be_written(tmp_path: Path, tiny_model_dir: Path, edit, error, message: str):
    folder = tmp_path / "model"
    shutil.copytree(tiny_model_dir, folder)
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    edit(tokenizer)
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(error, match=message):
        write_gguf(folder, tmp_path / "model.gguf")
    assert not (tmp_path / "model.gguf").exists()


def test_patterns_are_those_of_the_published_tokenizers():
    contractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
    assert LLAMA3.startswith(contractions + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*")
    assert re.sub(r"\{1,3\}", "", LLAMA3) == QWEN2
