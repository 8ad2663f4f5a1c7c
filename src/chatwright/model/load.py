"""Loading a model: from a Hugging Face folder, a GGUF file or a name, to a :class:`GPT` in eval mode."""

import logging
from collections import Counter
from pathlib import Path

import torch
from torch import Tensor

from chatwright.errors import ModelFormatError, UnsupportedModelError
from chatwright.model.config import ModelConfig
from chatwright.model.families import FAMILIES, OWN_FORMAT, config_from_hf
from chatwright.model.gpt import GPT
from chatwright.model.hf_keys import read_json_object
from chatwright.model.resolve import resolve_model
from chatwright.model.safetensors_io import SafetensorsFolder
from chatwright.model.score_head import NAME as SCORE_HEAD
from chatwright.model.skeleton import skeleton
from chatwright.model.weight_names import NameTable, WeightRule, weight_rules

_LOG = logging.getLogger(__name__)
_DTYPES = {
    "float32": torch.float32,
    "fp32": torch.float32,
    "float16": torch.float16,
    "fp16": torch.float16,
    "bfloat16": torch.bfloat16,
    "bf16": torch.bfloat16,
}


def load_model(
    source: str | Path | None = None,
    *,
    dtype: str | torch.dtype = "auto",
    device: str | torch.device = "cpu",
) -> GPT:
    """Load a model for inference.

    The weights of a folder are mapped into memory, not read: loading a gigabyte takes milliseconds, and what is not
    used costs nothing. Another ``dtype`` than the stored one makes a copy, tensor by tensor.

    Args:
        source: a model folder, a ``.gguf`` file, a catalogue or hub name that is on this machine; None: the default.
        dtype: "auto" keeps the stored one; else "float32", "bfloat16", "float16" or a ``torch.dtype``.
        device: where the weights go.
    Returns:
        The model in eval mode, its weights not asking for gradients (``model.requires_grad_(True)`` to train).
    Raises:
        ModelNotFoundError: nothing answers to ``source``.
        ModelFormatError: a file is damaged or does not fit its ``config.json``; names file and tensor.
        UnsupportedModelError: an architecture or feature that we do not run.
    """
    wanted = parse_dtype(dtype)
    path = resolve_model(source)
    if path.is_file():
        from chatwright.model.conversion import converted  # it imports this module's own neighbours

        path = converted(path, "bfloat16" if wanted is torch.bfloat16 else "float32")
    return load_folder(path, dtype=wanted, device=device)


def load_folder(folder: str | Path, *, dtype: torch.dtype | None = None, device: str | torch.device = "cpu") -> GPT:
    """Load a Hugging Face folder; see :func:`load_model`.

    Args:
        folder: holds ``config.json`` and safetensors weights.
        dtype: of the weights; None keeps the stored one.
        device: where the weights go.
    """
    folder = Path(folder)
    values = read_json_object(folder / "config.json")
    config = config_from_hf(values, source=str(folder / "config.json"))
    stored = SafetensorsFolder(folder)
    table = None if values["model_type"] == OWN_FORMAT else FAMILIES[values["model_type"]].names
    _check_size(folder, config, stored, table)
    config = _with_stored_head(config, stored, table)
    model = skeleton(config)
    own = model.state_dict()
    rules = weight_rules(table, own, num_experts=config.moe.num_experts if config.moe else 0)
    rules = _without_base(rules, stored, table)
    _check_names(folder, rules, stored, table)
    state = _read_state(rules, own, stored, dtype or _stored_dtype(values, stored), torch.device(device))
    model.load_state_dict(state, strict=True, assign=True)
    return model.requires_grad_(False).eval()


def parse_dtype(dtype: str | torch.dtype) -> torch.dtype | None:
    """A ``torch.dtype`` for the names that people use; None for "auto"."""
    if isinstance(dtype, torch.dtype):
        if dtype not in _DTYPES.values():
            raise UnsupportedModelError(
                f"dtype {dtype} is not one that models run in; use {', '.join(_DTYPES)} or auto"
            )
        return dtype
    if dtype == "auto":
        return None
    if dtype not in _DTYPES:
        raise UnsupportedModelError(f"dtype {dtype!r} is unknown; use auto, {', '.join(_DTYPES)}")
    return _DTYPES[dtype]


def _check_size(folder: Path, config: ModelConfig, stored: SafetensorsFolder, table: NameTable | None) -> None:
    """Refuse a config with far more layers or experts than there are tensors, before anything is built from it."""
    wanted = config.num_layers
    if config.moe is not None and table is not None:
        wanted += config.moe.num_experts * sum(config.is_moe(layer) for layer in range(config.num_layers))
    if wanted > len(stored.tensors):
        raise ModelFormatError(
            f"{folder / 'config.json'} describes {config.num_layers} layers, which take {wanted} tensors or more, but "
            f"the weights are only {len(stored.tensors)}; the files do not belong together"
        )


def _with_stored_head(config: ModelConfig, stored: SafetensorsFolder, table: NameTable | None) -> ModelConfig:
    """Go by the output head that is stored, where the config calls it tied or a classifier has none."""
    head = "head.weight" if table is None else "lm_head.weight"
    if SCORE_HEAD in stored.tensors and head not in stored.tensors:
        return config.replace(tie_embeddings=True)  # a classifier has no other head; the body is what is wanted
    if not config.tie_embeddings:
        return config
    embed = "embed.weight" if table is None else table.top["embed"] + ".weight"
    names = [name for name in stored.tensors if name == embed or name.endswith("." + embed)]
    if head not in stored.tensors or not names:
        return config
    same = stored.tensors[head].shape == stored.tensors[names[0]].shape
    if same and torch.equal(stored.tensor(head), stored.tensor(names[0])):
        return config
    _LOG.warning(
        "config.json says that the output head is tied to the embedding, but %s is stored with other values: "
        "it is used as it is stored",
        head,
    )
    return config.replace(tie_embeddings=False)


def _without_base(rules: list[WeightRule], stored: SafetensorsFolder, table: NameTable | None) -> list[WeightRule]:
    """The rules for files that were saved from the bare model, whose names lack the common prefix (GPT-2's do)."""
    if table is None or any(name.startswith(table.base + ".") for name in stored.tensors):
        return rules
    prefix = table.base + "."
    return [
        WeightRule(rule.ours, tuple(name.removeprefix(prefix) for name in rule.theirs), rule.to_ours, rule.to_theirs)
        for rule in rules
    ]


def _check_names(folder: Path, rules: list[WeightRule], stored: SafetensorsFolder, table: NameTable | None) -> None:
    """Every weight must be there, and nothing else but what is known to hold no weights."""
    wanted = {name for rule in rules for name in rule.theirs}
    missing = sorted(wanted - stored.tensors.keys())
    if missing:
        raise ModelFormatError(
            f"{folder} lacks the tensor {missing[0]!r}{_and_others(missing)} that its config.json calls for; "
            "the files are incomplete or do not belong together"
        )
    # A tied head is a copy of the embedding (see _with_stored_head); a classifier's is read by score_head.
    heads = {"lm_head.weight", "head.weight", SCORE_HEAD}
    extra = [name for name in stored.tensors if name not in wanted | heads and not (table and table.ignores(name))]
    if extra:
        raise ModelFormatError(
            f"{stored.tensors[extra[0]].path} holds the tensor {extra[0]!r}{_and_others(extra)} that its config.json "
            "has no place for; leaving it out would give wrong results"
        )


def _and_others(names: list[str]) -> str:
    return f" (and {len(names) - 1} others)" if len(names) > 1 else ""


def _stored_dtype(values: dict[str, object], stored: SafetensorsFolder) -> torch.dtype:
    """The dtype to run in: the stored one; of several, the one that config.json names, else the most common."""
    sizes: Counter[torch.dtype] = Counter()
    for tensor in stored.tensors.values():
        sizes[tensor.dtype] += tensor.size_bytes
    named = _DTYPES.get(str(values.get("dtype") or values.get("torch_dtype")))
    if named is not None and named in sizes:
        return named
    return max((dtype for dtype in sizes if dtype in _DTYPES.values()), key=sizes.__getitem__, default=torch.float32)


def _read_state(
    rules: list[WeightRule],
    own: dict[str, Tensor],
    stored: SafetensorsFolder,
    dtype: torch.dtype,
    device: torch.device,
) -> dict[str, Tensor]:
    """Our state dict from the stored tensors, each checked against the shape that the config gives it."""
    state: dict[str, Tensor] = {}
    for rule in rules:
        expected = rule.to_theirs([own[name] for name in rule.ours])
        for name, like in zip(rule.theirs, expected, strict=True):
            _check_tensor(stored, name, like)
        tensors = rule.to_ours([stored.tensor(name) for name in rule.theirs])
        for name, tensor in zip(rule.ours, tensors, strict=True):
            state[name] = tensor.to(device, dtype)
    return state


def _check_tensor(stored: SafetensorsFolder, name: str, like: Tensor) -> None:
    tensor = stored.tensors[name]
    if tensor.shape != tuple(like.shape):
        raise ModelFormatError(
            f"{tensor.path}: tensor {name!r} has shape {list(tensor.shape)}, but config.json gives it "
            f"{list(like.shape)}; the files do not belong together"
        )
    if tensor.dtype not in (torch.float64, *_DTYPES.values()):
        raise UnsupportedModelError(
            f"{tensor.path}: tensor {name!r} is stored as {tensor.dtype}, which Chatwright does not read as weights; "
            "use a checkpoint in float32, bfloat16 or float16, or a GGUF file"
        )
