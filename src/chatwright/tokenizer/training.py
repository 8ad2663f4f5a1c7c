"""Byte-level BPE from scratch, for Chinese and English together."""

from collections.abc import Iterable, Iterator, Sequence

import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from chatwright.errors import InvalidParameterError
from chatwright.tokenizer.decoding import byte_alphabet
from chatwright.tokenizer.settings import TokenizerSettings
from chatwright.tokenizer.tokenizer import Tokenizer

CHATML_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")

# What may become one token: contractions; a run of letters (of any script, Han included) with the space before it; ONE
# digit, so that numbers are always spelt alike; punctuation with the newlines after it; white space. It is the split
# that Qwen2 defined, kept to the letter: llama.cpp and vLLM know it by name, so our tokenizers travel in GGUF files.
SPLIT_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def train_bpe(
    texts: Iterable[str],
    vocab_size: int,
    *,
    special_tokens: Sequence[str] = CHATML_TOKENS,
    eos_token: str | None = "<|im_end|>",
    pad_token: str | None = "<|endoftext|>",
    chat_template: str | None = None,
    min_frequency: int = 2,
    max_token_length: int = 32,
    show_progress: bool = False,
) -> Tokenizer:
    """Learn a byte-level BPE vocabulary.

    The texts are read once and only the counts of their words are kept. The same texts give the same vocabulary.
    Nothing is normalised, so every text survives encoding and decoding unchanged.

    Args:
        texts: the corpus; any iterable of strings.
        vocab_size: tokens in all: special ones, 256 bytes, merges. Fewer come out when the corpus has fewer pairs.
        special_tokens: get the first ids, in this order.
        eos_token, pad_token: which of them end an answer and fill a batch; None where there is none.
        chat_template: Jinja source to store with the tokenizer.
        min_frequency: how often a pair must occur to be merged.
        max_token_length: longest token, in bytes; long runs of one sign would waste tokens otherwise.
        show_progress: draw a progress bar on stderr.

    Raises:
        InvalidParameterError: the vocabulary cannot hold the special tokens and the bytes, or a named token is not
            among the special ones.
    """
    smallest = len(set(special_tokens)) + 256
    if vocab_size < smallest:
        raise InvalidParameterError("vocab_size", f"vocab_size is {vocab_size}; it must be at least {smallest}")
    named = {"eos_token": eos_token, "pad_token": pad_token}
    for name, token in named.items():
        if token is not None and token not in special_tokens:
            raise InvalidParameterError(name, f"{name} {token!r} is not among special_tokens {list(special_tokens)}")
    backend = tokenizers.Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(tokenizers.Regex(SPLIT_PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        special_tokens=list(special_tokens),
        initial_alphabet=byte_alphabet(),
        max_token_length=max_token_length,
        show_progress=show_progress,
    )
    backend.train_from_iterator(_batches(texts), trainer=trainer)
    settings = TokenizerSettings(
        special_tokens={name: token for name, token in named.items() if token is not None},
        chat_templates={} if chat_template is None else {"default": chat_template},
        add_bos=False,
    )
    return Tokenizer(backend, settings)


def _batches(texts: Iterable[str], size: int = 256) -> Iterator[list[str]]:
    """Lists of texts: the trainer counts the words of a list on all cores."""
    batch: list[str] = []
    for text in texts:
        batch.append(text)
        if len(batch) == size:
            yield batch
            batch = []
    yield batch
