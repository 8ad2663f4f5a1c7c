"""Where a token's position enters the model: rotary frequencies with their scalings, and sinusoidal vectors.

Shape legend: B batch, H heads, T time, D head width, C hidden width, F = D / 2 frequencies.
"""

import math

import torch
from torch import Tensor

from chatwright.model.config import RopeConfig


class Rotary:
    """Cosines and sines of one rotary setting, made on demand for the positions of a forward pass.

    The F frequencies are the only state. They are kept per device and not as a buffer of the model: a model built on
    the meta device or cast to bfloat16 must not lose or round them.

    Source:
        Su et al. 2021, arXiv 2104.09864, eq. 34, in the half-split form of the Llama checkpoints: feature ``i`` turns
        together with feature ``i + D / 2``.
    """

    def __init__(self, rope: RopeConfig, head_dim: int) -> None:
        self.rope = rope
        self.head_dim = head_dim
        self._frequencies: dict[torch.device, Tensor] = {}

    def __call__(self, positions_BT: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Cosines [B, 1, T, D] (the F of them twice) and sines [B, 1, T, F] in ``dtype``, as :func:`apply_rotary`
        wants them; angles are computed in float32."""
        device = positions_BT.device
        if device not in self._frequencies:
            self._frequencies[device] = rope_frequencies(self.rope, self.head_dim).to(device)
        angles = positions_BT[:, None, :, None].float() * self._frequencies[device]
        cos, sin, scale = angles.cos(), angles.sin(), attention_factor(self.rope)
        if scale != 1.0:
            cos, sin = cos * scale, sin * scale
        return torch.cat((cos, cos), dim=-1).to(dtype), sin.to(dtype)


def apply_rotary(x_BHTD: Tensor, cos_B1TD: Tensor, sin_B1TF: Tensor) -> Tensor:
    """Rotate every head of ``x`` by its position's angles.

    The sines are added in place: on a CPU a third faster than putting two rotated halves together.
    """
    first, second = x_BHTD.chunk(2, dim=-1)
    y_BHTD = x_BHTD * cos_B1TD
    width = first.shape[-1]
    y_BHTD[..., :width].addcmul_(second, sin_B1TF, value=-1)
    y_BHTD[..., width:].addcmul_(first, sin_B1TF)
    return y_BHTD


def rope_frequencies(rope: RopeConfig, head_dim: int) -> Tensor:
    """Angle per position of each pair of features, scaled as ``rope`` says.

    Returns:
        Float32 tensor [head_dim / 2] on the CPU, in radians per token, falling from 1.
    """
    exponents = torch.arange(0, head_dim, 2, dtype=torch.float32, device="cpu") / head_dim
    frequencies = 1.0 / (rope.theta**exponents)
    if rope.scaling == "linear":
        return frequencies / rope.factor
    if rope.scaling == "llama3":
        return _llama3(frequencies, rope)
    if rope.scaling == "yarn":
        return _yarn(frequencies, rope, head_dim)
    return frequencies


def attention_factor(rope: RopeConfig) -> float:
    """Multiplier of cosines and sines: 1 except for yarn.

    Source:
        Peng et al. 2023, arXiv 2309.00071, eq. 22, applied to queries and keys alike.
    """
    if rope.scaling != "yarn":
        return 1.0
    if rope.attention_factor is not None:
        return rope.attention_factor
    return 0.1 * math.log(rope.factor) + 1.0


def _llama3(frequencies: Tensor, rope: RopeConfig) -> Tensor:
    """Stretch long wavelengths by ``factor``, keep short ones, blend between (Llama 3.1's published scheme)."""
    assert rope.original_max_position_embeddings is not None
    turns = rope.original_max_position_embeddings * frequencies / (2 * math.pi)  # rotations in the trained context
    kept = (turns - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor)
    kept = kept.clamp(0.0, 1.0)
    return kept * frequencies + (1.0 - kept) * frequencies / rope.factor


def _yarn(frequencies: Tensor, rope: RopeConfig, head_dim: int) -> Tensor:
    """Stretch the features that turn fewer than ``beta_slow`` times in the trained context, keep those above
    ``beta_fast``, blend linearly over the feature index between (arXiv 2309.00071, section 3.2)."""
    assert rope.original_max_position_embeddings is not None

    def feature_with_turns(turns: float) -> float:
        assert rope.original_max_position_embeddings is not None
        wavelength = rope.original_max_position_embeddings / turns
        return head_dim * math.log(wavelength / (2 * math.pi)) / (2 * math.log(rope.theta))

    # Bounds are rounded outwards and clipped as in every released checkpoint's own code.
    low = max(math.floor(feature_with_turns(rope.beta_fast)), 0)
    high = min(math.ceil(feature_with_turns(rope.beta_slow)), head_dim - 1)
    index = torch.arange(head_dim // 2, dtype=torch.float32, device="cpu")
    stretched = ((index - low) / max(high - low, 0.001)).clamp(0.0, 1.0)
    return stretched * frequencies / rope.factor + (1.0 - stretched) * frequencies


def sinusoidal_positions(positions_BT: Tensor, hidden_size: int, dtype: torch.dtype) -> Tensor:
    """Fixed position vectors [B, T, C] in ``dtype``: sines at even features, cosines at odd ones.

    Source:
        Vaswani et al. 2017, arXiv 1706.03762, section 3.5.
    """
    exponents = torch.arange(0, hidden_size, 2, dtype=torch.float32, device=positions_BT.device) / hidden_size
    angles = positions_BT[:, :, None].float() / (10_000.0**exponents)
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(-2)[..., :hidden_size].to(dtype)
