"""What is run: sizes, the text the prompts are cut from, and the files each contender reads."""

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

TEXT = Path(__file__).parent / "text" / "time_machine.txt"
QUESTION = "Why is the sky blue?"


@dataclass(frozen=True, slots=True)
class Workload:
    """Sizes, in tokens.

    Attributes:
        prompt_tokens: the long prompt.
        new_tokens: generated after it.
        streams: how many prompts are answered together.
        stream_prompt_tokens, stream_new_tokens: of each of them.
    """

    prompt_tokens: int = 505
    new_tokens: int = 128
    streams: int = 8
    stream_prompt_tokens: int = 64
    stream_new_tokens: int = 64


@dataclass(frozen=True, slots=True)
class Prepared:
    """A workload made concrete for one model.

    Attributes:
        source: the model, as Chatwright opens it.
        folder: the same in bfloat16 as a Hugging Face folder.
        gguf: the file that other quantisations are made from: the source itself if it is one.
        gguf_bf16: the model as a GGUF file in bfloat16.
        prompt, streams, question: token ids.
        matmul_weights: weights that are multiplied for every token of a prompt (the output head is not among them).
        attention_width: heads × head size, summed over the layers.
        cache_bytes: keys and values of one position, bytes at 16 bits.
    """

    source: str
    folder: str
    gguf: str
    gguf_bf16: str
    prompt: list[int]
    streams: list[list[int]]
    question: list[int]
    matmul_weights: int
    attention_width: int
    cache_bytes: int


def prepare(workload: Workload, model: str | None) -> Prepared:
    """Find a model, convert it for the contenders (kept in the cache), and cut the prompts from the text.

    Raises:
        ChatwrightError: the model cannot be found, read or converted.
    """
    from chatwright import export_model, resolve_model
    from chatwright.chat import ChatTemplate, Message
    from chatwright.model.conversion import converted
    from chatwright.model.families import config_from_hf
    from chatwright.model.hf_keys import read_json_object
    from chatwright.model.presets import count_parameters
    from chatwright.paths import cache_dir
    from chatwright.tokenizer import Tokenizer

    source = resolve_model(model)
    folder = source if source.is_dir() else converted(source, "bfloat16")
    home = cache_dir() / "benchmarks" / f"{source.stem}-{_fingerprint(source)}"
    home.mkdir(parents=True, exist_ok=True)
    gguf_bf16 = home / "bf16.gguf"
    if not gguf_bf16.exists():
        export_model(source, gguf_bf16, format="gguf", dtype="bf16")
    tokenizer = Tokenizer.from_folder(folder)
    ids = tokenizer.encode(TEXT.read_text("utf-8"))
    size, start = workload.stream_prompt_tokens, workload.prompt_tokens
    config = config_from_hf(read_json_object(folder / "config.json"), source=str(folder))
    embeddings = config.vocab_size * config.hidden_size * (1 if config.tie_embeddings else 2)
    return Prepared(
        source=str(source),
        folder=str(folder),
        gguf=str(source if source.is_file() else gguf_bf16),
        gguf_bf16=str(gguf_bf16),
        prompt=ids[:start],
        streams=[ids[start + i * size : start + (i + 1) * size] for i in range(workload.streams)],
        question=ChatTemplate(tokenizer).render([Message("user", QUESTION)], add_generation_prompt=True).ids,
        matmul_weights=count_parameters(config) - embeddings,
        attention_width=config.num_layers * config.num_heads * config.head_size,
        cache_bytes=config.num_layers * config.kv_heads * config.head_size * 2 * 2,
    )


def prefill_flops(prepared: Mapping[str, Any]) -> float:
    """Floating-point operations per token of the long prompt, on average."""
    # Two per weight; scores and weighted sum take 4 per unit of width for each of T/2 earlier positions on average.
    return float(2 * prepared["matmul_weights"] + 2 * prepared["attention_width"] * len(prepared["prompt"]))


def decode_bytes(prepared: Mapping[str, Any], workload: Workload, weight_bytes: int) -> dict[str, float]:
    """Bytes that have to be read per token: all weights once per step, and every stream's keys and values."""
    one = workload.prompt_tokens + workload.new_tokens / 2
    each = workload.stream_prompt_tokens + workload.stream_new_tokens / 2
    return {
        "decode": weight_bytes + one * prepared["cache_bytes"],
        "eight_streams": weight_bytes / workload.streams + each * prepared["cache_bytes"],
    }


def _fingerprint(source: Path) -> str:
    """Tells models of the same name apart."""
    from chatwright.model.digest import file_sha256

    weights = [source] if source.is_file() else sorted(source.glob("*.safetensors"))
    return "-".join(file_sha256(path)[:12] for path in weights)


def _main() -> None:
    """A process of its own, so that the one that starts the contenders stays small: they would inherit its peak."""
    from chatwright import ChatwrightError

    job = json.load(sys.stdin)
    try:
        print(json.dumps(asdict(prepare(Workload(**job["workload"]), job["model"]))))
    except ChatwrightError as error:
        print(json.dumps({"error": str(error)}))


if __name__ == "__main__":
    _main()
