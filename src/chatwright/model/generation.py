"""A model's own generation settings: which tokens end an answer and how its makers advise to sample.

They are kept in ``generation_config.json`` beside the weights, in the form that ``transformers`` reads and writes.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chatwright.errors import ModelFormatError
from chatwright.model.hf_keys import Keys, read_json_object

FILE_NAME = "generation_config.json"


@dataclass(frozen=True, slots=True)
class GenerationDefaults:
    """What the makers of a model recommend; None where they say nothing.

    Attributes:
        bos_token_id: token that starts a text.
        eos_token_ids: tokens that end an answer.
        pad_token_id: token that fills batches.
        temperature, top_p, top_k, repetition_penalty: sampling settings.
    """

    bos_token_id: int | None = None
    eos_token_ids: tuple[int, ...] = ()
    pad_token_id: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    repetition_penalty: float | None = None


def read_generation_defaults(folder: str | Path) -> GenerationDefaults:
    """Read ``generation_config.json``, and for the token ids that it does not give, ``config.json``.

    Args:
        folder: a model folder; either file may be missing.
    Raises:
        ModelFormatError: a file is not JSON, or a value is of the wrong type; names file and key.
    """
    own = _keys(Path(folder) / FILE_NAME)
    model = _keys(Path(folder) / "config.json")
    sampled = own.flag("do_sample", True)  # greedy models still carry transformers' neutral sampling values
    return GenerationDefaults(
        bos_token_id=_first(_token_ids(own, "bos_token_id") or _token_ids(model, "bos_token_id")),
        eos_token_ids=_token_ids(own, "eos_token_id") or _token_ids(model, "eos_token_id"),
        pad_token_id=_first(_token_ids(own, "pad_token_id") or _token_ids(model, "pad_token_id")),
        temperature=own.optional_number("temperature") if sampled else 0.0,
        top_p=own.optional_number("top_p") if sampled else None,
        top_k=_top_k(own) if sampled else None,
        repetition_penalty=own.optional_number("repetition_penalty"),
    )


def write_generation_defaults(defaults: GenerationDefaults, folder: str | Path) -> None:
    """Write ``generation_config.json`` into an existing folder."""
    text = json.dumps(generation_values(defaults), indent=2)
    (Path(folder) / FILE_NAME).write_text(text + "\n", encoding="utf-8")


def generation_values(defaults: GenerationDefaults) -> dict[str, Any]:
    """The JSON object of ``generation_config.json``."""
    values: dict[str, Any] = token_id_values(defaults)
    if defaults.temperature is not None:
        values["do_sample"] = defaults.temperature > 0
    if defaults.temperature:  # transformers refuses a temperature of 0: do_sample = false says it
        values["temperature"] = defaults.temperature
    for name in ("top_p", "top_k", "repetition_penalty"):
        if (value := getattr(defaults, name)) is not None:
            values[name] = value
    return values


def token_id_values(defaults: GenerationDefaults) -> dict[str, Any]:
    """The keys for special tokens that ``config.json`` and ``generation_config.json`` share, null where unknown.

    They are written even when unknown: for some architectures ``transformers`` would otherwise assume ids of its own.
    """
    eos = defaults.eos_token_ids
    return {
        "bos_token_id": defaults.bos_token_id,
        "eos_token_id": None if not eos else eos[0] if len(eos) == 1 else list(eos),
        "pad_token_id": defaults.pad_token_id,
    }


def _keys(path: Path) -> Keys:
    return Keys(read_json_object(path) if path.exists() else {}, str(path))


def _top_k(keys: Keys) -> int | None:
    """``top_k``, where 0 (switched off) is a legal value."""
    return 0 if keys.values.get("top_k") == 0 else keys.optional_integer("top_k")


def _token_ids(keys: Keys, key: str) -> tuple[int, ...]:
    value = keys.values.get(key)
    ids = value if isinstance(value, list) else [] if value is None else [value]
    for token_id in ids:
        if not isinstance(token_id, int) or isinstance(token_id, bool) or token_id < 0:
            raise ModelFormatError(f"{keys.source}: {key} is {value!r}; it must be a token id or a list of them")
    return tuple(ids)


def _first(ids: tuple[int, ...]) -> int | None:
    return ids[0] if ids else None
