"""What a model on disk is, read from its headers and settings without loading a weight."""

from collections import Counter
from pathlib import Path
from typing import Any

from chatwright.model.catalog import CATALOG, CatalogEntry
from chatwright.model.config import ModelConfig
from chatwright.model.families import config_from_hf
from chatwright.model.gguf_config import gguf_config
from chatwright.model.gguf_file import open_gguf
from chatwright.model.hf_keys import read_json_object
from chatwright.model.presets import count_parameters
from chatwright.model.resolve import resolve_model


def describe(name: str | Path | None = None) -> dict[str, Any]:
    """Facts about a model, for people and programs to read.

    Args:
        name: as for :func:`chatwright.resolve_model`.

    Returns:
        Property → string, number, boolean, list, or None where it is not known. All values can be written as JSON.

    Raises:
        ModelNotFoundError, ModelFormatError, UnsupportedModelError: as loading the model would.
    """
    path = resolve_model(name)
    facts = _describe_gguf(path) if path.is_file() else _describe_folder(path)
    entry = _entry_of(path)
    return {
        "path": str(path),
        **facts,
        "license": entry.license if entry else None,
        "languages": entry.languages.split() if entry else None,
    }


def _describe_gguf(path: Path) -> dict[str, Any]:
    with open_gguf(path) as file:
        stored: Counter[str] = Counter()
        for tensor in file.tensors.values():
            stored[tensor.type_name] += tensor.size_bytes
        return {
            "format": "gguf",
            "architecture": file.architecture,
            "stored_as": [kind for kind, _ in stored.most_common()],
            "size_bytes": path.stat().st_size,
            **_shape(gguf_config(file)),
            "chat_template": "tokenizer.chat_template" in file.metadata,
        }


def _describe_folder(path: Path) -> dict[str, Any]:
    values = read_json_object(path / "config.json")
    config = config_from_hf(values, source=str(path / "config.json"))
    template = path / "chat_template.jinja"
    settings = path / "tokenizer_config.json"
    return {
        "format": "hugging face",
        "architecture": values.get("model_type"),
        "stored_as": [values.get("dtype") or values.get("torch_dtype")],
        "size_bytes": sum(file.stat().st_size for file in path.glob("*.safetensors")),
        **_shape(config),
        "chat_template": template.is_file()
        or (settings.is_file() and bool(read_json_object(settings).get("chat_template"))),
    }


def _shape(config: ModelConfig) -> dict[str, Any]:
    return {
        "parameters": count_parameters(config),
        "num_layers": config.num_layers,
        "hidden_size": config.hidden_size,
        "num_heads": config.num_heads,
        "num_kv_heads": config.kv_heads,
        "vocab_size": config.vocab_size,
        "max_position_embeddings": config.max_position_embeddings,
    }


def _entry_of(path: Path) -> CatalogEntry | None:
    for entry in CATALOG:
        if entry.embedded and path.name == entry.embedded.filename:
            return entry
        if path.as_posix().endswith((f"/{entry.hub_id}", f"/{entry.modelscope_id}")):
            return entry
    return None
