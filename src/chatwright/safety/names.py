"""Names of people: they have no form, so a model finds them: any token classifier in a Hugging Face folder."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from chatwright.errors import ConfigError

_PERSON = {"PER", "PERSON", "NAME"}
_WINDOW = 512
_OVERLAP = 64  # a name at the edge of a window is whole in the next


class NameFinder(Protocol):
    """Finds names of people in a text."""

    def __call__(self, text: str) -> list[tuple[int, int]]:
        """Start and end of every name, in order, without overlaps."""
        ...


def load_name_finder(folder: Path) -> NameFinder:
    """Open a model of the kind ``…ForTokenClassification`` (named entities, BIO labels).

    Args:
        folder: with ``config.json``, ``model.safetensors`` and ``tokenizer.json``. No code in it is run.

    Raises:
        ConfigError: it is no such folder, has no label for persons, or ``transformers`` is not installed.
    """
    folder = folder.expanduser()
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"names_model: {folder} has no config.json that can be read; name a model's folder"
        ) from error
    architectures = config.get("architectures") or [] if isinstance(config, dict) else []
    if not any(str(name).endswith("ForTokenClassification") for name in architectures):
        raise ConfigError(f"names_model: {folder} is no token classifier; a model that finds named entities is needed")
    try:
        import transformers
    except ImportError as error:
        raise ConfigError("names_model needs the package transformers: pip install 'chatwright[hf]'") from error
    model = transformers.AutoModelForTokenClassification.from_pretrained(folder, use_safetensors=True)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, use_fast=True)
    persons = {index for index, label in model.config.id2label.items() if _is_person(str(label))}
    if not persons:
        labels = ", ".join(map(str, model.config.id2label.values()))
        raise ConfigError(f"names_model: none of the labels of {folder} is for persons ({labels[:200]})")
    return _Classifier(model.eval(), tokenizer, persons)


def _is_person(label: str) -> bool:
    """``B-PER``, ``I-PERSON``, ``name`` …"""
    return label.upper().rpartition("-")[2] in _PERSON


class _Classifier:
    """A token classifier of transformers, over windows of a text."""

    def __init__(self, model: Any, tokenizer: Any, persons: set[int]) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._persons = persons

    def __call__(self, text: str) -> list[tuple[int, int]]:
        if not text.strip():
            return []
        spans = sorted(span for window in self._windows(text) for span in window)
        merged: list[tuple[int, int]] = []
        for start, end in spans:
            if merged and _joined(text, merged[-1][1], start):
                merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
            else:
                merged.append((start, end))
        return merged

    def _windows(self, text: str) -> Iterator[list[tuple[int, int]]]:
        """The places of tokens that belong to names, window by window: memory does not grow with the text."""
        import torch

        encoded = self._tokenizer(
            text,
            max_length=_WINDOW,
            stride=_OVERLAP,
            truncation=True,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
        for ids, offsets in zip(encoded["input_ids"], encoded["offset_mapping"], strict=True):
            with torch.inference_mode():
                labels = self._model(input_ids=torch.tensor([ids])).logits[0].argmax(-1).tolist()
            yield [
                (start, end)
                for label, (start, end) in zip(labels, offsets, strict=True)
                if label in self._persons and end > start
            ]


def _joined(text: str, end: int, start: int) -> bool:
    """Whether two pieces are of one name: they touch, overlap, or have one space or a middle dot between them."""
    return start <= end or (start == end + 1 and text[end] in " ·-")
