"""Self-attention: projections, QK-norm and rotation here; the attention itself behind the :class:`Attend` hook.

Shape legend: B batch, T time (queries), S time (keys), C hidden width, H query heads, D head width.
Keys and values are also written BHTD, with the key/value heads of grouped-query attention as H.
"""

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chatwright.model.config import ModelConfig
from chatwright.model.norms import RMSNorm
from chatwright.model.positions import apply_rotary


class Attend(Protocol):
    """How queries meet keys and values: the seam where a key/value cache, packing or a special kernel comes in.

    The model calls it once per layer, in order, with what one forward pass produced; queries and keys are already
    normed and rotated for the ``positions`` given to the forward pass. A cache writes ``k`` and ``v`` at those
    positions, reads all it holds, and attends; packing masks between documents. Whoever passes an ``Attend`` owns
    causality, padding and the window: the model adds no mask of its own.
    """

    def __call__(
        self, layer: int, q_BHTD: Tensor, k_BHTD: Tensor, v_BHTD: Tensor, *, scale: float, window: int | None
    ) -> Tensor:
        """Attention output of one layer.

        Args:
            layer: index of the layer, from 0.
            q_BHTD: queries [B, num_heads, T, head_dim].
            k_BHTD, v_BHTD: keys and values [B, num_kv_heads, T, head_dim]; query head ``h`` reads key/value head
                ``h // (num_heads // num_kv_heads)``. All three may be non-contiguous views.
            scale: multiplier of q·k before the softmax.
            window: a query at position p sees keys at positions > p - window only; None: no such limit.
        Returns:
            [B, num_heads, T, head_dim], in the dtype of ``q_BHTD``.
        """
        ...


class DenseAttend:
    """The default: every sequence of the batch attends within itself, causally or in both directions.

    Args:
        causal: whether a token sees only itself and what precedes it.
        attention_mask_BT: nonzero for real tokens, 0 for padding on either side; None when there is no padding.
            A padded position still sees itself, so that its (meaningless) output is finite.
        record: keep each layer's attention probabilities [B, H, T, T] in ``self.probabilities``. This takes the
            plain softmax instead of the fused kernel.
    """

    def __init__(self, *, causal: bool, attention_mask_BT: Tensor | None = None, record: bool = False) -> None:
        self.causal = causal
        self.padding_BT = None if attention_mask_BT is None else attention_mask_BT.bool()
        self.record = record
        self.probabilities: list[Tensor] = []
        self._masks: dict[int | None, Tensor | None] = {}

    def __call__(
        self, layer: int, q_BHTD: Tensor, k_BHTD: Tensor, v_BHTD: Tensor, *, scale: float, window: int | None
    ) -> Tensor:
        """See :class:`Attend`."""
        if self.record:
            return self._attend_and_record(q_BHTD, k_BHTD, v_BHTD, scale=scale, window=window)
        mask = self._mask(q_BHTD.shape[2], window, q_BHTD.device)
        return F.scaled_dot_product_attention(
            q_BHTD,
            k_BHTD,
            v_BHTD,
            attn_mask=mask,
            is_causal=self.causal and mask is None,
            scale=scale,
            enable_gqa=q_BHTD.shape[1] != k_BHTD.shape[1],
        )

    def _mask(self, time: int, window: int | None, device: torch.device) -> Tensor | None:
        """What may be seen, bool [1 or B, 1, T, S]; None where the causal flag alone says it. Made once a pass."""
        if window is not None and window >= time:
            window = None
        if window is None and self.padding_BT is None:
            return None
        if window not in self._masks:
            self._masks[window] = visible(
                time, causal=self.causal, window=window, padding_BT=self.padding_BT, device=device
            )
        return self._masks[window]

    def _attend_and_record(
        self, q_BHTD: Tensor, k_BHTD: Tensor, v_BHTD: Tensor, *, scale: float, window: int | None
    ) -> Tensor:
        time = q_BHTD.shape[2]
        mask = visible(time, causal=self.causal, window=window, padding_BT=self.padding_BT, device=q_BHTD.device)
        groups = q_BHTD.shape[1] // k_BHTD.shape[1]
        k_BHTD = k_BHTD.repeat_interleave(groups, dim=1)
        v_BHTD = v_BHTD.repeat_interleave(groups, dim=1)
        scores = (q_BHTD @ k_BHTD.transpose(-1, -2)) * scale
        probabilities = scores.masked_fill(~mask, float("-inf")).softmax(dim=-1, dtype=torch.float32).to(q_BHTD.dtype)
        self.probabilities.append(probabilities)
        return probabilities @ v_BHTD


def visible(time: int, *, causal: bool, window: int | None, padding_BT: Tensor | None, device: torch.device) -> Tensor:
    """Which key each query may see.

    Args:
        time: length T of the sequences.
        causal: hide keys after the query.
        window: hide keys ``window`` or more positions away from the query; None hides none.
        padding_BT: True for real tokens; None when all are real.
        device: where the mask is made.
    Returns:
        Bool tensor [1 or B, 1, T, T]; every row has at least its diagonal.
    """
    index = torch.arange(time, device=device)
    distance = index[:, None] - index[None, :]
    mask = distance >= 0 if causal else torch.ones_like(distance, dtype=torch.bool)
    if window is not None:
        mask = mask & (distance.abs() < window)
    mask = mask[None, None]
    if padding_BT is not None:
        # A row without any visible key would be NaN in some kernels, and NaN times a zero weight is NaN again.
        mask = (mask & padding_BT[:, None, None, :]) | (distance == 0)[None, None]
    return mask


class Attention(nn.Module):
    """Multi-head or grouped-query self-attention of one layer."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.layer = layer
        self.scale = config.scale
        self.window = config.window(layer)
        self.head_dim = config.head_size
        width, kv_width = config.num_heads * config.head_size, config.kv_heads * config.head_size
        self.q_proj = nn.Linear(config.hidden_size, width, bias=config.qkv_bias)
        self.k_proj = nn.Linear(config.hidden_size, kv_width, bias=config.qkv_bias)
        self.v_proj = nn.Linear(config.hidden_size, kv_width, bias=config.qkv_bias)
        self.o_proj = nn.Linear(width, config.hidden_size, bias=config.output_bias)
        self.q_norm: nn.Module | None = None
        self.k_norm: nn.Module | None = None
        if config.qk_norm:
            self.q_norm = RMSNorm(config.head_size, eps=config.norm_eps, offset=config.norm_offset)
            self.k_norm = RMSNorm(config.head_size, eps=config.norm_eps, offset=config.norm_offset)

    def forward(self, x_BTC: Tensor, rotation: tuple[Tensor, Tensor] | None, attend: Attend) -> Tensor:
        """Attend within ``x``.

        Args:
            x_BTC: (normed) residual stream.
            rotation: cosines and sines for this layer's positions, or None without rotary positions.
            attend: how queries meet keys and values.
        Returns:
            [B, T, C].
        """
        batch, time, _ = x_BTC.shape
        q_BTHD = self.q_proj(x_BTC).view(batch, time, -1, self.head_dim)
        k_BTHD = self.k_proj(x_BTC).view(batch, time, -1, self.head_dim)
        v_BTHD = self.v_proj(x_BTC).view(batch, time, -1, self.head_dim)
        if self.q_norm is not None and self.k_norm is not None:
            q_BTHD, k_BTHD = self.q_norm(q_BTHD), self.k_norm(k_BTHD)
        q_BHTD, k_BHTD, v_BHTD = q_BTHD.transpose(1, 2), k_BTHD.transpose(1, 2), v_BTHD.transpose(1, 2)
        if rotation is not None:
            q_BHTD, k_BHTD = apply_rotary(q_BHTD, *rotation), apply_rotary(k_BHTD, *rotation)
        y_BHTD = attend(self.layer, q_BHTD, k_BHTD, v_BHTD, scale=self.scale, window=self.window)
        y_BTC: Tensor = self.o_proj(y_BHTD.transpose(1, 2).reshape(batch, time, -1))
        return y_BTC
