"""An open GGUF file → the files of a Hugging Face folder: configuration, weights, tokenizer, template, defaults."""

import json
import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from chatwright.model.config import ModelConfig
from chatwright.model.families import config_to_hf, family_of
from chatwright.model.generation import GenerationDefaults, token_id_values, write_generation_defaults
from chatwright.model.gguf_config import gguf_config
from chatwright.model.gguf_file import GGUFFile
from chatwright.model.gguf_tensors import GGUFWeights
from chatwright.model.gguf_tokenizer import (
    Vocabulary,
    gguf_tokenizer_config,
    gguf_tokenizer_json,
    gguf_vocabulary,
    has_vocabulary,
)
from chatwright.model.safetensors_io import SINGLE_FILE, write_safetensors
from chatwright.model.skeleton import skeleton
from chatwright.model.weight_names import WeightRule, weight_rules


def write_folder(file: GGUFFile, folder: Path, dtype: torch.dtype) -> None:
    """Write everything that ``file`` holds as a model folder.

    What can be wrong with the file shows before the first byte of the weights is written. A file of weights alone, as
    programs other than llama.cpp write them, gives a folder without tokenizer.

    Args:
        file: an open GGUF.
        folder: an existing, empty folder.
        dtype: of the stored weights.
    Raises:
        ModelFormatError, UnsupportedModelError: as the readers of the file's parts.
        OSError: the disk is full or the folder cannot be written (StorageError is one).
    """
    config = gguf_config(file)
    vocabulary = gguf_vocabulary(file) if has_vocabulary(file) else None
    tokenizer = gguf_tokenizer_json(file, vocabulary) if vocabulary else None
    defaults = gguf_generation_defaults(file, vocabulary)
    _write_weights(folder / SINGLE_FILE, file, config, dtype)
    dtype_name = str(dtype).removeprefix("torch.")
    values = config_to_hf(config, own_format=True) | token_id_values(defaults)
    _write_json(folder / "config.json", values | {"dtype": dtype_name, "torch_dtype": dtype_name})
    write_generation_defaults(defaults, folder)
    if vocabulary is None:
        return
    # Without indentation: it is 100,000 lines otherwise, and read at every start.
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False), encoding="utf-8")
    _write_json(folder / "tokenizer_config.json", gguf_tokenizer_config(vocabulary, config.max_position_embeddings))
    if vocabulary.chat_template:
        (folder / "chat_template.jinja").write_text(vocabulary.chat_template, encoding="utf-8")


def folder_bytes(file: GGUFFile, dtype: torch.dtype) -> int:
    """What :func:`write_folder` will take on the disk, rounded up generously."""
    weights = sum(math.prod(info.shape) for info in file.tensors.values()) * dtype.itemsize
    return weights + 64 * 1024 * 1024  # the largest tokenizer.json known takes 35 MB


def gguf_generation_defaults(file: GGUFFile, vocabulary: Vocabulary | None) -> GenerationDefaults:
    """Special tokens, where there is a vocabulary, and the sampling settings that ``general.sampling`` recommends."""

    def number(key: str) -> float | None:
        return file.get(key, float) if key in file.metadata else None

    top_k = number("general.sampling.top_k")
    return GenerationDefaults(
        bos_token_id=vocabulary.bos_id if vocabulary else None,
        eos_token_ids=vocabulary.eos_ids if vocabulary else (),
        pad_token_id=vocabulary.pad_id if vocabulary else None,
        temperature=number("general.sampling.temp"),
        top_p=number("general.sampling.top_p"),
        top_k=None if top_k is None else int(top_k),
        repetition_penalty=number("general.sampling.penalty_repeat"),
    )


def _write_weights(path: Path, file: GGUFFile, config: ModelConfig, dtype: torch.dtype) -> None:
    like = skeleton(config).state_dict()
    weights = GGUFWeights(file, config, {name: tuple(tensor.shape) for name, tensor in like.items()})
    family = family_of(config)
    experts = config.moe.num_experts if config.moe else 0
    rules = weight_rules(family.names if family else None, like, num_experts=experts)
    specs = {
        name: (dtype, tuple(tensor.shape))
        for rule in rules
        for name, tensor in zip(rule.theirs, rule.to_theirs([like[ours] for ours in rule.ours]), strict=True)
    }
    write_safetensors(path, specs, _tensors(weights, rules))


def _tensors(weights: GGUFWeights, rules: list[WeightRule]) -> Iterator[Tensor]:
    """The folder's tensors; the next rule's are dequantised while the last ones are written."""

    def read(rule: WeightRule) -> list[Tensor]:
        return rule.to_theirs([torch.from_numpy(weights.read(name)) for name in rule.ours])

    with ThreadPoolExecutor(max_workers=1) as reader:
        ahead = reader.submit(read, rules[0])
        for following in [*rules[1:], None]:
            tensors = ahead.result()
            if following is not None:
                ahead = reader.submit(read, following)
            yield from tensors


def _write_json(path: Path, values: dict[str, Any]) -> None:
    path.write_text(json.dumps(values, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
