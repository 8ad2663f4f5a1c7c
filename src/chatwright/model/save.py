"""Saving a model as a Hugging Face folder that ``transformers``, vLLM and llama.cpp's converter open."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from chatwright.errors import StorageError, UnsupportedModelError
from chatwright.model.families import config_to_hf, family_of
from chatwright.model.generation import FILE_NAME as GENERATION_FILE
from chatwright.model.generation import (
    GenerationDefaults,
    generation_values,
    read_generation_defaults,
    token_id_values,
)
from chatwright.model.gpt import GPT
from chatwright.model.load import parse_dtype
from chatwright.model.lora import has_adapters
from chatwright.model.safetensors_io import INDEX_FILE, SINGLE_FILE, write_safetensors
from chatwright.model.weight_names import WeightRule, weight_rules

_MODEL_FILE = re.compile(r"model(-\d{5}-of-\d{5})?\.safetensors(\.index\.json)?")
_Spec = tuple[torch.dtype, tuple[int, ...]]


def save_model(
    model: GPT,
    folder: str | Path,
    *,
    dtype: str | torch.dtype | None = None,
    max_shard_bytes: int = 5_000_000_000,
    generation: GenerationDefaults | None = None,
    own_format: bool = False,
) -> None:
    """Write ``config.json``, ``generation_config.json`` and the weights.

    Other files in the folder (a tokenizer) stay. All files are written under temporary names and renamed at the end,
    ``config.json`` last: a full disk leaves an older model in the folder as it was, and a crash between two renames
    leaves a folder without ``config.json``, which does not load, rather than a mixture, which would.

    Args:
        model: what to save.
        folder: made if it does not exist.
        dtype: of the stored weights; None keeps the model's.
        max_shard_bytes: weights beyond this are spread over several files with an index.
        generation: special tokens and sampling advice; None keeps what the folder says, if it says anything.
        own_format: where no architecture of ``transformers`` can express the model, write a folder that only
            Chatwright opens.
    Raises:
        UnsupportedModelError: no architecture can express the model, and ``own_format`` is False; or it has adapters.
        StorageError: the folder cannot be written.
    """
    folder = Path(folder)
    if has_adapters(model):
        raise UnsupportedModelError(
            "the model has adapters; merge them first (merge_adapters), or save them alone (save_adapter)"
        )
    values = config_to_hf(model.config, own_format=own_format)
    stored_dtype = (None if dtype is None else parse_dtype(dtype)) or model.embed.weight.dtype
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{folder} cannot be made: {error.strerror or error}; choose another place") from None
    generation = generation or read_generation_defaults(folder)
    dtype_name = str(stored_dtype).removeprefix("torch.")
    values |= token_id_values(generation) | {"dtype": dtype_name, "torch_dtype": dtype_name}
    family = family_of(model.config)
    experts = model.config.moe.num_experts if model.config.moe else 0
    rules = weight_rules(family.names if family else None, model.state_dict(), num_experts=experts)
    with _Replacement(folder) as new:
        _write_weights(new, model.state_dict(), rules, stored_dtype, max_shard_bytes)
        new.write_json(GENERATION_FILE, generation_values(generation))
        new.write_json("config.json", values)


def _write_weights(
    new: "_Replacement", state: dict[str, Tensor], rules: list[WeightRule], dtype: torch.dtype, max_shard_bytes: int
) -> None:
    shards = _plan_shards(state, rules, dtype, max_shard_bytes)
    if len(shards) == 1:
        write_safetensors(new.path(SINGLE_FILE), _specs(state, rules, dtype), _tensors(state, rules))
        return
    weight_map: dict[str, str] = {}
    total = 0
    for number, shard in enumerate(shards, start=1):
        name = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        specs = _specs(state, shard, dtype)
        write_safetensors(new.path(name), specs, _tensors(state, shard))
        weight_map |= dict.fromkeys(specs, name)
        total += _size(state, shard, dtype)
    new.write_json(INDEX_FILE, {"metadata": {"total_size": total}, "weight_map": weight_map})


def _plan_shards(
    state: dict[str, Tensor], rules: list[WeightRule], dtype: torch.dtype, max_shard_bytes: int
) -> list[list[WeightRule]]:
    """Consecutive rules in groups of at most ``max_shard_bytes`` (one rule alone may be larger)."""
    shards: list[list[WeightRule]] = [[]]
    size = 0
    for rule in rules:
        rule_size = _size(state, [rule], dtype)
        if shards[-1] and size + rule_size > max_shard_bytes:
            shards.append([])
            size = 0
        shards[-1].append(rule)
        size += rule_size
    return shards


def _size(state: dict[str, Tensor], rules: list[WeightRule], dtype: torch.dtype) -> int:
    return sum(state[name].numel() * dtype.itemsize for rule in rules for name in rule.ours)


def _specs(state: dict[str, Tensor], rules: list[WeightRule], dtype: torch.dtype) -> dict[str, _Spec]:
    specs: dict[str, _Spec] = {}
    for rule in rules:
        likes = rule.to_theirs([state[name].to("meta") for name in rule.ours])
        specs |= {name: (dtype, tuple(like.shape)) for name, like in zip(rule.theirs, likes, strict=True)}
    return specs


def _tensors(state: dict[str, Tensor], rules: list[WeightRule]) -> Iterator[Tensor]:
    for rule in rules:
        yield from rule.to_theirs([state[name] for name in rule.ours])


class _Replacement:
    """Files written under temporary names; on success they replace the folder's model, else they vanish."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names: list[str] = []

    def __enter__(self) -> "_Replacement":
        return self

    def path(self, name: str) -> Path:
        """Where to write what will be called ``name``."""
        self.names.append(name)
        return self._temporary(name)

    def write_json(self, name: str, values: dict[str, object]) -> None:
        """Write a JSON file."""
        path = self.path(name)
        try:
            with path.open("w", encoding="utf-8") as file:
                file.write(json.dumps(values, indent=2) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise StorageError(f"{path} cannot be written: {error.strerror or error}; free some space") from None

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            for name in self.names:
                self._temporary(name).unlink(missing_ok=True)
            return
        old = [path.name for path in self.folder.iterdir() if _MODEL_FILE.fullmatch(path.name)]
        (self.folder / "config.json").unlink(missing_ok=True)
        for name in set(old) - set(self.names):
            (self.folder / name).unlink()
        assert self.names[-1] == "config.json"
        for name in self.names:
            os.replace(self._temporary(name), self.folder / name)

    def _temporary(self, name: str) -> Path:
        return self.folder / f".{name}.{os.getpid()}.new"
