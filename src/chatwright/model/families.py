"""The families of checkpoints we read and write: Hugging Face ``config.json`` to and from :class:`ModelConfig`.

A family is a row of :data:`FAMILIES`: two functions and a table of weight names. Which family a model is saved as
follows from its config alone: the first whose ``config.json``, read back, gives the same config. So nothing a config
says can be lost on the way, and an option that no family has is noticed.
"""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_origin, get_type_hints

from chatwright.errors import ConfigError, ModelFormatError, UnsupportedModelError
from chatwright.model import hf_gpt, hf_llama
from chatwright.model.config import ModelConfig, MoEConfig, RopeConfig
from chatwright.model.hf_keys import Keys
from chatwright.model.weight_names import GEMMA_NAMES, GPT1_NAMES, GPT2_NAMES, LLAMA_NAMES, NameTable

OWN_FORMAT = "chatwright"


@dataclass(frozen=True, slots=True)
class Family:
    """One kind of checkpoint.

    Attributes:
        model_type: its name in ``config.json``.
        architecture: the class of ``transformers`` that opens it.
        read: from the keys of ``config.json`` to our config.
        write: the inverse; may drop what the family cannot say.
        names: its weights' names.
    """

    model_type: str
    architecture: str
    read: Callable[[Keys], ModelConfig]
    write: Callable[[ModelConfig], dict[str, Any]]
    names: NameTable


FAMILIES: dict[str, Family] = {
    family.model_type: family
    for family in (
        Family("llama", "LlamaForCausalLM", hf_llama.read_llama, hf_llama.write_llama, LLAMA_NAMES),
        Family("qwen3", "Qwen3ForCausalLM", hf_llama.read_qwen3, hf_llama.write_qwen3, LLAMA_NAMES),
        Family("qwen2", "Qwen2ForCausalLM", hf_llama.read_qwen2, hf_llama.write_qwen2, LLAMA_NAMES),
        Family("mistral", "MistralForCausalLM", hf_llama.read_mistral, hf_llama.write_mistral, LLAMA_NAMES),
        Family("qwen3_moe", "Qwen3MoeForCausalLM", hf_llama.read_qwen3_moe, hf_llama.write_qwen3_moe, LLAMA_NAMES),
        Family("gemma3_text", "Gemma3ForCausalLM", hf_llama.read_gemma3, hf_llama.write_gemma3, GEMMA_NAMES),
        Family("gpt2", "GPT2LMHeadModel", hf_gpt.read_gpt2, hf_gpt.write_gpt2, GPT2_NAMES),
        Family("openai-gpt", "OpenAIGPTLMHeadModel", hf_gpt.read_gpt1, hf_gpt.write_gpt1, GPT1_NAMES),
    )
}


def config_from_hf(values: Mapping[str, Any], *, source: str = "config.json") -> ModelConfig:
    """Translate a parsed ``config.json``.

    Args:
        values: the JSON object.
        source: path of the file, for messages.
    Raises:
        UnsupportedModelError: an architecture or feature that we do not run.
        ModelFormatError: a key is missing, of the wrong type, or contradicts another.
    """
    keys = Keys(values, source)
    model_type = keys.text("model_type", "")
    if keys.has("auto_map"):
        raise UnsupportedModelError(
            f"{source}: this model needs Python code of its own (auto_map), which Chatwright never runs; "
            f"use a checkpoint of a built-in architecture: {_supported()}"
        )
    if keys.has("quantization_config"):
        raise UnsupportedModelError(
            f"{source}: the weights are quantised in a way that Chatwright does not read; "
            "use the unquantised checkpoint or a GGUF file"
        )
    try:
        if model_type == OWN_FORMAT:
            return _read_own(keys)
        if model_type not in FAMILIES:
            raise UnsupportedModelError(
                f"{source}: model_type is {model_type!r}, which Chatwright does not run; supported are {_supported()}"
            )
        return FAMILIES[model_type].read(keys)
    except ConfigError as error:
        raise ModelFormatError(f"{source}: {error}") from None


def config_to_hf(config: ModelConfig, *, own_format: bool = False) -> dict[str, Any]:
    """The ``config.json`` of a model, as the first family that can express all of it.

    Args:
        config: the model.
        own_format: where no family can, write our own form, which only Chatwright opens.
    Raises:
        UnsupportedModelError: no family can express it, and ``own_format`` is False; names the options in the way.
    """
    family = family_of(config)
    if family is not None:
        head = {"architectures": [family.architecture], "model_type": family.model_type}
        return head | family.write(config)
    if own_format:
        return {"architectures": ["GPT"], "model_type": OWN_FORMAT} | dataclasses.asdict(config)
    raise UnsupportedModelError(
        f"no architecture of transformers can express this model: {_obstacles(config)}; change these options, or save "
        "with own_format=True for a folder that only Chatwright opens"
    )


def family_of(config: ModelConfig) -> Family | None:
    """The family that a model is saved as; None when none can express it."""
    for family in FAMILIES.values():
        if _read_back(family, config) == _essence(config):
            return family
    return None


def _read_back(family: Family, config: ModelConfig) -> ModelConfig | None:
    try:
        return _essence(family.read(Keys(family.write(config))))
    except (ConfigError, ModelFormatError, UnsupportedModelError):
        return None


def _essence(config: ModelConfig) -> ModelConfig:
    """The config without what has no effect on what the model computes: dropout, and settings nobody reads."""
    sliding = "sliding" in config.layer_types
    return config.replace(
        dropout=0.0,
        rope=config.rope if config.position == "rotary" else RopeConfig(),
        rope_local=config.rope_local if sliding and config.rope_local != config.rope else None,
        sliding_window=config.sliding_window if sliding else None,
        attention_scale=float(f"{config.scale:.12g}"),  # 1 / sqrt(d) and d ** -0.5 are the same wish
    )


def _obstacles(config: ModelConfig) -> str:
    """Which options keep the closest family from expressing the config, as part of a sentence."""
    wanted = dataclasses.asdict(_essence(config))
    closest, shortest = "", None
    for family in FAMILIES.values():
        found = _read_back(family, config)
        if found is None:
            continue
        got = dataclasses.asdict(found)
        differing = [
            f"{name}={got[name]!r} in place of {wanted[name]!r}" for name in wanted if wanted[name] != got[name]
        ]
        if shortest is None or len(differing) < len(shortest):
            closest, shortest = family.model_type, differing
    return f"{closest} comes closest, with {', '.join(shortest or ())}"


def _supported() -> str:
    return ", ".join(FAMILIES)


# --- our own form: the dataclass, field by field ---------------------------------------------------------------------


def _read_own(keys: Keys) -> ModelConfig:
    values = _read_fields(keys, ModelConfig)
    for name, kind in (("rope", RopeConfig), ("rope_local", RopeConfig), ("moe", MoEConfig)):
        table = keys.table(name)
        if table is not None:
            values[name] = _read_fields_of(kind, table)
    config: ModelConfig = _construct(ModelConfig, values, keys)
    return config


def _read_fields_of(kind: Callable[..., Any], keys: Keys) -> Any:
    return _construct(kind, _read_fields(keys, kind), keys)


def _construct(kind: Callable[..., Any], values: dict[str, Any], keys: Keys) -> Any:
    try:
        return kind(**values)
    except TypeError as error:  # a required field is missing
        raise ModelFormatError(f"{keys.source}: not a Chatwright model description: {error}") from None


def _read_fields(keys: Keys, kind: Any) -> dict[str, Any]:
    """The fields of one of our dataclasses, each of the type that it is declared with."""
    values: dict[str, Any] = {}
    for name, hint in get_type_hints(kind).items():
        if not keys.has(name):
            continue
        if hint in (int, int | None):
            values[name] = keys.integer(name)
        elif hint in (float, float | None):
            values[name] = keys.number(name)
        elif hint is bool:
            values[name] = keys.flag(name, False)
        elif get_origin(hint) is tuple:
            values[name] = tuple(keys.items(name) or ())
        elif get_origin(hint) is Literal:
            values[name] = keys.text(name, "")
    return values
