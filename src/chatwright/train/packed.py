"""Attention within each document of a packed batch.

Shape legend: B = 1, H query heads, K key/value heads, N tokens of the batch, D head width.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from chatwright.model.attention import visible
from chatwright.train.batch import Batch


class PackedAttend:
    """An :class:`~chatwright.model.attention.Attend` in which documents do not see each other.

    On a CPU one call of PyTorch's attention for each document costs half of one call with a mask (measured: 45 ms
    against 77 with a bool mask, 82 with a float one), and a run of documents of equal length is one call.

    Args:
        lengths: tokens of each document; what follows them in the batch is a document of its own.
        num_tokens: N.
        causal: whether a token sees only what precedes it.
    """

    def __init__(self, lengths: tuple[int, ...], num_tokens: int, *, causal: bool = True) -> None:
        rest = num_tokens - sum(lengths)
        assert rest >= 0
        self.runs = _runs((*lengths, rest) if rest else lengths)
        self.causal = causal

    @classmethod
    def of(cls, batch: Batch, *, causal: bool = True) -> "PackedAttend":
        """For the documents of ``batch``."""
        return cls(batch.lengths, len(batch.input_ids_N), causal=causal)

    def __call__(
        self, layer: int, q_BHTD: Tensor, k_BHTD: Tensor, v_BHTD: Tensor, *, scale: float, window: int | None
    ) -> Tensor:
        """Attention output of one layer; see :class:`~chatwright.model.attention.Attend`."""
        grouped = q_BHTD.shape[1] != k_BHTD.shape[1]
        outputs = []
        start = 0
        for length, count in self.runs:
            end = start + length * count
            q, k, v = (_fold(x[0, :, start:end], count) for x in (q_BHTD, k_BHTD, v_BHTD))
            mask = None
            if window is not None and window < length:
                mask = visible(length, causal=self.causal, window=window, padding_BT=None, device=q.device)
            y = F.scaled_dot_product_attention(
                q, k, v, attn_mask=mask, is_causal=self.causal and mask is None, scale=scale, enable_gqa=grouped
            )
            outputs.append(y.transpose(0, 1).reshape(1, y.shape[1], length * count, -1))
            start = end
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=2)


def _fold(x_HND: Tensor, count: int) -> Tensor:
    """[H, count * L, D] → [count, H, L, D], without a copy."""
    heads, tokens, width = x_HND.shape
    return x_HND.view(heads, count, tokens // count, width).transpose(0, 1)


def _runs(lengths: tuple[int, ...]) -> list[tuple[int, int]]:
    """(length, how many in a row) of neighbours of equal length."""
    runs: list[tuple[int, int]] = []
    for length in lengths:
        if runs and runs[-1][0] == length:
            runs[-1] = (length, runs[-1][1] + 1)
        else:
            runs.append((length, 1))
    return runs
