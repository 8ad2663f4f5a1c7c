"""Rotary settings in Hugging Face configurations, in the older and in the newer spelling.

Older files have ``rope_theta`` and ``rope_scaling``; ``transformers`` 5 writes one ``rope_parameters``, which may hold
one object per kind of layer. Both are read, and both are written so that older and newer programs agree.
"""

import math
from typing import Any

from chatwright.errors import UnsupportedModelError
from chatwright.model.config import RopeConfig, RopeScaling
from chatwright.model.hf_keys import Keys

_SCALINGS: dict[str, RopeScaling] = {"default": "none", "linear": "linear", "llama3": "llama3", "yarn": "yarn"}


def read_rope(keys: Keys, *, default_theta: float = 10_000.0) -> RopeConfig:
    """Rotary settings of the full-attention layers.

    Raises:
        UnsupportedModelError: a scaling, or an option of one, that we do not compute.
        ModelFormatError: a value of the wrong type or size.
    """
    keys.refuse("partial_rotary_factor", 1, 1.0)
    settings = keys.table("rope_scaling") or keys.table("rope_parameters") or Keys({}, keys.source)
    settings = settings.table("full_attention") or settings
    return _read(settings, theta=keys.number("rope_theta", default_theta), keys=keys)


def read_local_rope(keys: Keys, *, default_theta: float = 10_000.0) -> RopeConfig:
    """Rotary settings of the sliding layers of models that have a second one (Gemma 3)."""
    parameters = keys.table("rope_parameters") or Keys({}, keys.source)
    settings = parameters.table("sliding_attention") or Keys({}, keys.source)
    return _read(settings, theta=keys.number("rope_local_base_freq", default_theta), keys=keys)


def _read(settings: Keys, *, theta: float, keys: Keys) -> RopeConfig:
    settings.refuse("partial_rotary_factor", 1, 1.0)
    theta = settings.number("rope_theta", theta)
    kind = settings.text("rope_type", settings.text("type", "default"))
    scaling = _SCALINGS.get(kind)
    if scaling is None:
        raise UnsupportedModelError(
            f"{settings.source}: rope_type is {kind!r}, which Chatwright does not run; "
            "only default, linear, llama3 and yarn"
        )
    if scaling == "none":
        return RopeConfig(theta=theta)
    factor = settings.number("factor")
    if scaling == "linear":
        return RopeConfig(theta=theta, scaling=scaling, factor=factor)
    original = settings.integer("original_max_position_embeddings", keys.integer("max_position_embeddings"))
    if scaling == "llama3":
        return RopeConfig(
            theta=theta,
            scaling=scaling,
            factor=factor,
            original_max_position_embeddings=original,
            low_freq_factor=settings.number("low_freq_factor"),
            high_freq_factor=settings.number("high_freq_factor"),
        )
    settings.refuse("truncate", True)
    return RopeConfig(
        theta=theta,
        scaling=scaling,
        factor=factor,
        original_max_position_embeddings=original,
        beta_fast=settings.number("beta_fast", 32.0),
        beta_slow=settings.number("beta_slow", 1.0),
        attention_factor=_yarn_attention_factor(settings, factor),
    )


def _yarn_attention_factor(settings: Keys, factor: float) -> float | None:
    """The stated factor, or the one that ``mscale`` and ``mscale_all_dim`` (DeepSeek's spelling) amount to."""
    if settings.has("attention_factor"):
        return settings.number("attention_factor")
    mscale, all_dim = settings.optional_number("mscale"), settings.optional_number("mscale_all_dim")
    if not mscale or not all_dim:
        return None
    log = math.log(factor)
    return (0.1 * mscale * log + 1.0) / (0.1 * all_dim * log + 1.0)


def rope_parameters(rope: RopeConfig) -> dict[str, Any]:
    """One ``rope_parameters`` object, as ``transformers`` 5 writes it."""
    parameters: dict[str, Any] = {
        "rope_type": "default" if rope.scaling == "none" else rope.scaling,
        "rope_theta": rope.theta,
    }
    if rope.scaling != "none":
        parameters["factor"] = rope.factor
    if rope.scaling in ("llama3", "yarn"):
        parameters["original_max_position_embeddings"] = rope.original_max_position_embeddings
    if rope.scaling == "llama3":
        parameters |= {"low_freq_factor": rope.low_freq_factor, "high_freq_factor": rope.high_freq_factor}
    if rope.scaling == "yarn":
        parameters |= {"beta_fast": rope.beta_fast, "beta_slow": rope.beta_slow}
        if rope.attention_factor is not None:
            parameters["attention_factor"] = rope.attention_factor
    return parameters


def write_rope(rope: RopeConfig) -> dict[str, Any]:
    """The keys of a model with one rotary setting, in both spellings."""
    parameters = rope_parameters(rope)
    scaling = {key: value for key, value in parameters.items() if key != "rope_theta"}
    return {
        "rope_theta": rope.theta,
        "rope_scaling": None if rope.scaling == "none" else scaling,
        "rope_parameters": parameters,
    }
