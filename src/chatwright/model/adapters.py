"""Adapters as folders in the form of the peft library: ``adapter_config.json`` and ``adapter_model.safetensors``.

Tensors carry the names of the model's Hugging Face architecture. GPT-1 and GPT-2 hold q, k and v in one matrix there:
three adapters of rank R beside them are, exactly, one of rank 3R whose B has three blocks.

Shape legend: I inputs, O outputs, R rank.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from chatwright.errors import ConfigError, ModelFormatError, ModelNotFoundError, StorageError, UnsupportedModelError
from chatwright.model.families import family_of
from chatwright.model.gpt import GPT
from chatwright.model.hf_keys import read_json_object
from chatwright.model.lora import LoRALinear, adaptable_modules, adapted_modules, has_adapters, replace_module
from chatwright.model.safetensors_io import SafetensorsFolder, write_safetensors
from chatwright.model.weight_names import weight_rules

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
_PREFIX = "base_model.model."
_TENSOR = re.compile(r"(.+)\.(lora_A\.weight|lora_B\.weight|lora_magnitude_vector)(?:\.weight)?")
# Keys that say nothing about what the adapter computes, or that we follow. Any other one that is set is refused, since
# leaving it out would give other answers without a word.
_UNDERSTOOD = {
    *("peft_type", "task_type", "auto_mapping", "peft_version", "base_model_name_or_path", "revision"),
    *("inference_mode", "r", "rank_pattern", "lora_alpha", "alpha_pattern", "lora_dropout", "bias", "use_dora"),
    *("use_rslora", "init_lora_weights", "fan_in_fan_out", "target_modules", "exclude_modules", "layers_pattern"),
    *("layers_to_transform", "megatron_config", "megatron_core", "loftq_config", "eva_config", "corda_config"),
    *("lora_ga_config", "qalora_group_size", "ensure_weight_tying", "runtime_config"),
}
_CHANGES_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga")  # initialisations that alter the weights below


def save_adapter(model: GPT, folder: str | Path, *, base: str | None = None) -> None:
    """Write the adapters of a model, in the dtype that they have.

    Args:
        model: has adapters.
        folder: made if it does not exist.
        base: name or path of the model that they belong to, for the reader.
    Raises:
        ConfigError: there are no adapters, or only some of what the architecture stores as one matrix has one.
        StorageError: the folder cannot be written.
    """
    folder = Path(folder)
    adapted = adapted_modules(model)
    if not adapted:
        raise ConfigError("the model has no adapters to save; add some, or save the whole model")
    fused = {theirs: _joined(theirs, ours, adapted) for theirs, ours in _groups(model).items()}
    parts = {theirs: part for theirs, part in fused.items() if part is not None}
    tensors = {f"{_PREFIX}{path}.{name}": value for path, part in parts.items() for name, value in part.items()}
    values = _config(model, parts, next(iter(adapted.values())), base)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        specs = {name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in tensors.items()}
        write_safetensors(folder / WEIGHTS_FILE, specs, tensors.values())
        (folder / CONFIG_FILE).write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        raise StorageError(f"{folder} cannot be written: {error.strerror or error}; choose another place") from None


def load_adapter(model: GPT, folder: str | Path, *, trainable: bool = False) -> None:
    """Put the adapters of a folder beside a model's projections; the model itself is frozen.

    Args:
        model: changed in place; of the architecture and shape that the adapters were trained on.
        folder: as :func:`save_adapter` or peft writes it.
        trainable: whether the adapters ask for gradients.
    Raises:
        ModelNotFoundError: there is no adapter in the folder.
        ModelFormatError: its files are damaged, or it belongs to another model.
        UnsupportedModelError: it is of a kind that we do not run.
        ConfigError: the model has adapters already.
    """
    folder = Path(folder)
    if has_adapters(model):
        raise ConfigError("the model has adapters already; merge them before loading others")
    values = read_adapter_config(folder)
    stored = _stored_tensors(folder)
    groups = _groups(model)
    available = adaptable_modules(model)
    replacements: dict[str, LoRALinear] = {}
    for theirs, tensors in stored.items():
        if theirs not in groups:
            raise ModelFormatError(
                f"{folder} adapts {theirs!r}, which this model does not have; give the model it is for"
            )
        scaling = _scaling(values, theirs, tensors["lora_A.weight"].shape[0])
        sizes = [available[path].out_features for path in groups[theirs]]
        for path, (a_RI, b_OR, magnitude) in zip(groups[theirs], _split(tensors, sizes), strict=True):
            base = available[path]
            if a_RI.shape[1] != base.in_features or b_OR.shape != (base.out_features, a_RI.shape[0]):
                raise ModelFormatError(
                    f"{folder}: the adapter of {theirs!r} is {list(b_OR.shape)} times {list(a_RI.shape)}, but the "
                    f"model's matrix is {[base.out_features, base.in_features]}; give the model it is for"
                )
            dropout = float(values.get("lora_dropout") or 0)
            replacements[path] = LoRALinear(base, a_RI, b_OR, magnitude, scaling=scaling, dropout=dropout)
    model.requires_grad_(False)
    for path, module in replacements.items():
        device = module.weight.device
        for name in ("lora_A", "lora_B", "magnitude"):
            if (parameter := getattr(module, name)) is not None:
                parameter.data = parameter.data.to(device, copy=True)  # not a view of the file
                parameter.requires_grad_(trainable)
        replace_module(model, path, module)


def read_adapter_config(folder: str | Path) -> dict[str, Any]:
    """The parsed ``adapter_config.json``, checked to describe what we run.

    Raises:
        ModelNotFoundError: there is none.
        UnsupportedModelError: it describes something else than LoRA and DoRA; names the key.
    """
    path = Path(folder) / CONFIG_FILE
    if not path.is_file():
        raise ModelNotFoundError(f"{folder} holds no {CONFIG_FILE}; give the folder of an adapter")
    values = read_json_object(path)
    kind = str(values.get("peft_type"))
    if kind.upper() != "LORA":
        raise UnsupportedModelError(f"{path}: the adapter is of the kind {kind}; Chatwright runs LORA (with DoRA)")
    for key, value in values.items():
        if key not in _UNDERSTOOD and value:
            raise UnsupportedModelError(
                f"{path}: {key} is {value!r}, which Chatwright does not run; merge it with peft"
            )
    if values.get("bias", "none") != "none":
        raise UnsupportedModelError(f"{path}: the adapter also trains biases, which Chatwright does not read")
    if str(values.get("init_lora_weights", "")).startswith(_CHANGES_BASE):
        raise UnsupportedModelError(
            f"{path}: init_lora_weights is {values['init_lora_weights']!r}, which changes the weights below it; "
            "save it with peft's path_initial_model_for_weight_conversion"
        )
    return values


def _groups(model: GPT) -> dict[str, tuple[str, ...]]:
    """Module of the architecture → our modules that it is made of."""
    family = family_of(model.config)
    names = [f"{path}.weight" for path in adaptable_modules(model)]
    rules = weight_rules(family.names if family else None, names)
    return {
        rule.theirs[0].removesuffix(".weight"): tuple(name.removesuffix(".weight") for name in rule.ours)
        for rule in rules
    }


def _joined(theirs: str, ours: Sequence[str], adapted: Mapping[str, LoRALinear]) -> dict[str, Tensor] | None:
    """The tensors of one module of the architecture; None where it has no adapter."""
    modules = [adapted[path] for path in ours if path in adapted]
    if not modules:
        return None
    if len(modules) < len(ours):
        parts = ", ".join(path.rpartition(".")[2] for path in ours)
        raise ConfigError(f"this architecture stores {parts} as one matrix, {theirs}; adapt all of them or none")
    tensors = {
        "lora_A.weight": torch.cat([module.lora_A.detach() for module in modules]),
        "lora_B.weight": torch.block_diag(*(module.lora_B.detach() for module in modules)),  # type: ignore[no-untyped-call]
    }
    magnitudes = [module.magnitude.detach() for module in modules if module.magnitude is not None]
    if magnitudes:
        tensors["lora_magnitude_vector"] = torch.cat(magnitudes)
    return tensors


def _split(tensors: Mapping[str, Tensor], sizes: Sequence[int]) -> list[tuple[Tensor, Tensor, Tensor | None]]:
    """The inverse for outputs of ``sizes``; the parts share A, so each has a copy of it."""
    a_RI, b_OR = tensors["lora_A.weight"], tensors["lora_B.weight"]
    magnitude = tensors.get("lora_magnitude_vector")
    if len(sizes) == 1 or len(b_OR) != sum(sizes):  # a wrong size is reported by the caller, with its name
        return [(a_RI, b_OR, magnitude)] * len(sizes)
    magnitudes = [None] * len(sizes) if magnitude is None else torch.split(magnitude, list(sizes))
    return [(a_RI, b, m) for b, m in zip(torch.split(b_OR, list(sizes)), magnitudes, strict=True)]


def _config(model: GPT, parts: Mapping[str, Mapping[str, Tensor]], one: LoRALinear, base: str | None) -> dict[str, Any]:
    """``adapter_config.json``. The scaling is written as alpha / r, whatever it was derived from."""
    ranks = {path: part["lora_A.weight"].shape[0] for path, part in parts.items()}
    scalings = _scalings(model)
    common = Counter(ranks.values()).most_common(1)[0][0]
    alphas = {path: scalings[path] * rank for path, rank in ranks.items()}
    alpha = Counter(alphas.values()).most_common(1)[0][0]
    family = family_of(model.config)
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "inference_mode": True,
        "r": common,
        "lora_alpha": alpha,
        "lora_dropout": one.dropout,
        "target_modules": sorted(_target_names(model, ranks)),
        "rank_pattern": {path: rank for path, rank in ranks.items() if rank != common},
        "alpha_pattern": {path: value for path, value in alphas.items() if value != alpha},
        "fan_in_fan_out": family is not None and family.names.conv1d,
        "bias": "none",
        "use_dora": one.magnitude is not None,
        "use_rslora": False,
        "init_lora_weights": True,
        "modules_to_save": None,
    }


def _scalings(model: GPT) -> dict[str, float]:
    adapted = adapted_modules(model)
    return {theirs: adapted[ours[0]].scaling for theirs, ours in _groups(model).items() if ours[0] in adapted}


def _target_names(model: GPT, adapted: Mapping[str, int]) -> set[str]:
    """Last parts of names where they say it all ("q_proj"), as other tools expect; else whole names."""
    short = {path.rpartition(".")[2] for path in adapted}
    meant = {path for path in _groups(model) if path.rpartition(".")[2] in short}
    return short if meant == adapted.keys() else set(adapted)


def _stored_tensors(folder: Path) -> dict[str, dict[str, Tensor]]:
    """Module of the architecture → its tensors, by the last parts of their names."""
    if not (folder / WEIGHTS_FILE).is_file():
        raise ModelNotFoundError(f"{folder} holds no {WEIGHTS_FILE}; pickled adapters (*.bin) are never opened")
    stored = SafetensorsFolder(folder, WEIGHTS_FILE)
    found: dict[str, dict[str, Tensor]] = {}
    for name in stored.tensors:
        match = _TENSOR.fullmatch(name.removeprefix(_PREFIX))
        if match is None:
            raise UnsupportedModelError(f"{folder / WEIGHTS_FILE}: {name!r} is no part of a LoRA of projections")
        found.setdefault(match[1], {})[match[2]] = stored.tensor(name)
    for path, tensors in found.items():
        if not {"lora_A.weight", "lora_B.weight"} <= tensors.keys():
            raise ModelFormatError(f"{folder / WEIGHTS_FILE}: {path!r} lacks lora_A or lora_B; fetch it again")
    return found


def _scaling(values: Mapping[str, Any], path: str, rank: int) -> float:
    """alpha / r, or alpha / sqrt(r), where alpha may have a pattern of its own for this module."""
    alpha = float(values.get("lora_alpha") or 8)
    for pattern, own in (values.get("alpha_pattern") or {}).items():
        if re.fullmatch(rf"(.*\.)?({pattern})", path):
            alpha = float(own)
            break
    return alpha / (rank**0.5 if values.get("use_rslora") else rank)
