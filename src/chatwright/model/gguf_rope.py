"""Rotary scaling in GGUF: metadata keys for linear and yarn, and for llama3 a tensor of factors (rope_freqs.weight).

The tensor holds, for each pair of features, the number its frequency is divided by. It was computed from four numbers
(Llama 3.1's scheme); reading it means finding numbers that give the same tensor.
"""

import math
from typing import Any

import numpy as np

from chatwright.errors import UnsupportedModelError
from chatwright.model.config import RopeConfig

LLAMA3_CONTEXT = 8192  # original_max_position_embeddings, low_freq_factor and high_freq_factor of every Llama 3.x
LLAMA3_LOW, LLAMA3_HIGH = 1.0, 4.0
_TOLERANCE = 1e-4  # relative; files keep the factors in float32, some in float16


def llama3_factors(rope: RopeConfig, head_dim: int) -> np.ndarray:
    """What each frequency is divided by, float32 [head_dim / 2], rising from 1 to ``rope.factor``.

    Source:
        Llama 3.1's published scaling; the same numbers as in ``transformers`` and llama.cpp's converter.
    """
    assert rope.original_max_position_embeddings is not None
    turns = rope.original_max_position_embeddings * _frequencies(rope.theta, head_dim) / (2 * math.pi)
    kept = np.clip((turns - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor), 0.0, 1.0)
    return np.asarray(1.0 / (kept + (1.0 - kept) / rope.factor), dtype=np.float32)


def llama3_scaling(factors: np.ndarray, theta: float, head_dim: int, original_context: int | None) -> RopeConfig:
    """The inverse of :func:`llama3_factors`.

    Args:
        factors: float32 [head_dim / 2].
        theta: base of the frequencies.
        head_dim: width of a head.
        original_context: ``rope.scaling.original_context_length`` where the file has it.
    Raises:
        UnsupportedModelError: no llama3 scaling gives these factors.
    """
    if np.allclose(factors, 1.0, rtol=_TOLERANCE):
        return RopeConfig(theta=theta)
    factor = _tidy(float(factors.max()))
    context = original_context or LLAMA3_CONTEXT
    for low, high in (_band(factors, factor, theta, head_dim, context), (LLAMA3_LOW, LLAMA3_HIGH)):
        if not 0 < low < high:
            continue
        rope = RopeConfig(
            theta=theta,
            scaling="llama3",
            factor=factor,
            original_max_position_embeddings=context,
            low_freq_factor=low,
            high_freq_factor=high,
        )
        if np.allclose(llama3_factors(rope, head_dim), factors, rtol=_TOLERANCE):
            return rope
    raise UnsupportedModelError("the tensor 'rope_freqs.weight' does not follow Llama 3's scaling of positions")


def scaling_from_metadata(values: dict[str, Any], theta: float, context: int) -> RopeConfig:
    """Rotary settings from the keys under ``<architecture>.rope.scaling``.

    Args:
        values: the keys' last parts → values; ``type`` missing means linear, as in llama.cpp.
        theta: base of the frequencies.
        context: the model's context length, yarn's default for the length it was trained at.
    """
    factor = float(values.get("factor") or 1.0)
    kind = values.get("type", "linear")
    if kind == "none" or (kind == "linear" and factor == 1.0):
        return RopeConfig(theta=theta)
    if kind == "linear":
        return RopeConfig(theta=theta, scaling="linear", factor=factor)
    if kind != "yarn":
        raise UnsupportedModelError(f"rope.scaling.type is {kind!r}; supported are none, linear, yarn and Llama 3's")
    attention_factor = values.get("yarn_attn_factor")
    if values.get("attn_factor") is not None:  # llama.cpp multiplies it with the paper's factor
        attention_factor = float(values["attn_factor"]) * (0.1 * math.log(factor) + 1.0)
    return RopeConfig(
        theta=theta,
        scaling="yarn",
        factor=factor,
        original_max_position_embeddings=int(values.get("original_context_length", context)),
        beta_fast=float(values.get("yarn_beta_fast", 32.0)),
        beta_slow=float(values.get("yarn_beta_slow", 1.0)),
        attention_factor=attention_factor,
    )


def scaling_to_metadata(rope: RopeConfig) -> dict[str, Any]:
    """The inverse of :func:`scaling_from_metadata`; for llama3 only the context length, a hint to our own reader."""
    if rope.scaling == "none":
        return {}
    if rope.scaling == "llama3":
        return {"original_context_length": rope.original_max_position_embeddings}
    values: dict[str, Any] = {"type": rope.scaling, "factor": rope.factor}
    if rope.scaling == "yarn":
        values |= {
            "original_context_length": rope.original_max_position_embeddings,
            "yarn_beta_fast": rope.beta_fast,
            "yarn_beta_slow": rope.beta_slow,
        }
        if rope.attention_factor is not None:
            values["attn_factor"] = rope.attention_factor / (0.1 * math.log(rope.factor) + 1.0)
    return values


def _band(factors: np.ndarray, factor: float, theta: float, head_dim: int, context: int) -> tuple[float, float]:
    """low_freq_factor and high_freq_factor, fitted to the frequencies between them; zeros where too few are.

    In the band, ``1 / factors`` is linear in the number of turns: kept = (turns - low) / (high - low).
    """
    between = (factors > 1.0 + _TOLERANCE) & (factors < factor * (1.0 - _TOLERANCE))
    if np.count_nonzero(between) < 2 or factor <= 1.0:
        return 0.0, 0.0
    turns = context * _frequencies(theta, head_dim)[between] / (2 * math.pi)
    kept = (1.0 / factors[between].astype(np.float64) - 1.0 / factor) / (1.0 - 1.0 / factor)
    slope, intercept = np.polyfit(turns, kept, 1)
    if slope <= 0:
        return 0.0, 0.0
    return _tidy(-intercept / slope), _tidy((1.0 - intercept) / slope)


def _frequencies(theta: float, head_dim: int) -> np.ndarray:
    return np.asarray(theta ** -(np.arange(0, head_dim, 2, dtype=np.float64) / head_dim))


def _tidy(value: float) -> float:
    """Drop the noise of a fit: 4.0000012 was 4."""
    return float(f"{value:.5g}")
