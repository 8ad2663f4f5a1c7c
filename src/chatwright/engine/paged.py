"""Attention over paged keys and values, as the hook that the GPT module calls in every layer.

Shape legend: B batch, T time (queries), S time (keys), H query heads, K key/value heads, G = H / K, D head width,
N tokens of all sequences laid end to end. The memory is one tensor [layers, 2, blocks, block_size, K, D].
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from chatwright.engine.runner import Chunk


class PagedAttend:
    """Attention of the chunks of one step, each within its own sequence.

    The model runs all chunks as one text of N tokens, so that matrix products are shared and nothing is padded; here
    they part again.

    Args:
        memory: keys and values.
        chunks: the work of the step, in the order of the tokens.
    """

    def __init__(self, memory: Tensor, chunks: Sequence[Chunk]) -> None:
        self._memory = memory
        self._block_size = memory.shape[3]
        self._chunks = chunks
        self._tables = [torch.tensor(chunk.blocks, device=memory.device) for chunk in chunks]
        self._slots_N = torch.tensor(
            [slot for chunk in chunks for slot in chunk_slots(chunk, self._block_size)], device=memory.device
        )
        self._masks: dict[tuple[int, int | None], Tensor] = {}

    def __call__(
        self, layer: int, q_BHTD: Tensor, k_BHTD: Tensor, v_BHTD: Tensor, *, scale: float, window: int | None
    ) -> Tensor:
        """See :class:`chatwright.model.attention.Attend`; B is 1."""
        write(self._memory[layer], self._slots_N, k_BHTD, v_BHTD)
        outputs = []
        first = 0
        for index, chunk in enumerate(self._chunks):
            q_1HTD = q_BHTD[:, :, first : first + len(chunk.tokens)]
            outputs.append(self._attend(layer, index, q_1HTD, scale, window))
            first += len(chunk.tokens)
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=2)

    def _attend(self, layer: int, index: int, q_1HTD: Tensor, scale: float, window: int | None) -> Tensor:
        chunk = self._chunks[index]
        end = chunk.start + len(chunk.tokens)
        lowest = 0 if window is None else max(0, chunk.start - window + 1)  # the first key that any query sees
        k_1KSD, v_1KSD = self._read(layer, self._tables[index], lowest, end)
        if len(chunk.tokens) == 1:
            return attend_one(q_1HTD, k_1KSD, v_1KSD, None, scale)
        # The causal flag means "query i sees keys up to i", right only where queries and keys begin together.
        causal = chunk.start == 0 and (window is None or end <= window)
        return F.scaled_dot_product_attention(
            q_1HTD,
            k_1KSD,
            v_1KSD,
            attn_mask=None if causal else self._mask(index, lowest, window),
            is_causal=causal,
            scale=scale,
            enable_gqa=q_1HTD.shape[1] != k_1KSD.shape[1],
        )

    def _read(self, layer: int, table: Tensor, lowest: int, end: int) -> tuple[Tensor, Tensor]:
        """Keys and values of positions ``lowest`` to ``end``, each [1, K, S, D]."""
        first_block, last_block = lowest // self._block_size, -(-end // self._block_size)
        skip = first_block * self._block_size
        blocks_2LSKD = self._memory[layer][:, table[first_block:last_block]]
        kv_2SKD = blocks_2LSKD.flatten(1, 2)[:, lowest - skip : end - skip]
        k_KSD, v_KSD = kv_2SKD.transpose(1, 2)
        return k_KSD[None], v_KSD[None]

    def _mask(self, index: int, lowest: int, window: int | None) -> Tensor:
        """Which key each query of a chunk may see, bool [T, S]; the same in every layer with this window."""
        if (index, window) not in self._masks:
            chunk = self._chunks[index]
            end = chunk.start + len(chunk.tokens)
            query = torch.arange(chunk.start, end, device=self._memory.device)[:, None]
            distance = query - torch.arange(lowest, end, device=self._memory.device)[None, :]
            seen = distance >= 0
            self._masks[index, window] = seen if window is None else seen & (distance < window)
        return self._masks[index, window]


class BatchedDecode:
    """Attention of one new token for each of B sequences, in tensors of fixed shape (a CUDA graph can replay it).

    Args:
        memory: keys and values.
        slots_B: int64, where each new token is written: block * block_size + offset.
        tables_BL: int64 block tables, padded with any valid block.
        positions_B: int64, position of each new token.
    """

    def __init__(self, memory: Tensor, slots_B: Tensor, tables_BL: Tensor, positions_B: Tensor) -> None:
        self._memory = memory
        self._slots_B = slots_B
        self._tables_BL = tables_BL
        keys_S = torch.arange(tables_BL.shape[1] * memory.shape[3], device=memory.device)
        self._distance_BS = positions_B[:, None] - keys_S[None, :]
        self._masks: dict[int | None, Tensor] = {}

    def __call__(
        self, layer: int, q_BHTD: Tensor, k_BHTD: Tensor, v_BHTD: Tensor, *, scale: float, window: int | None
    ) -> Tensor:
        """See :class:`chatwright.model.attention.Attend`; the B sequences come as one text of B tokens."""
        write(self._memory[layer], self._slots_B, k_BHTD, v_BHTD)
        k_BKSD, v_BKSD = self._memory[layer][:, self._tables_BL].flatten(2, 3).transpose(2, 3)
        if window not in self._masks:
            seen_BS = self._distance_BS >= 0
            self._masks[window] = seen_BS if window is None else seen_BS & (self._distance_BS < window)
        mask_B11S = self._masks[window][:, None, None, :]
        y_BH1D = attend_one(q_BHTD.permute(2, 1, 0, 3), k_BKSD, v_BKSD, mask_B11S, scale)
        return y_BH1D.permute(2, 1, 0, 3)


def attend_one(q_BH1D: Tensor, k_BKSD: Tensor, v_BKSD: Tensor, mask: Tensor | None, scale: float) -> Tensor:
    """One query per head. The G heads that share keys stand in as time, so that keys are not repeated for them."""
    batch, heads, _, width = q_BH1D.shape
    kv_heads = k_BKSD.shape[1]
    q_BKGD = q_BH1D.reshape(batch, kv_heads, heads // kv_heads, width)
    y_BKGD = F.scaled_dot_product_attention(q_BKGD, k_BKSD, v_BKSD, attn_mask=mask, scale=scale)
    return y_BKGD.reshape(batch, heads, 1, width)


def write(layer_memory: Tensor, slots_N: Tensor, k_1KND: Tensor, v_1KND: Tensor) -> None:
    """Put new keys and values into one layer's memory [2, blocks, block_size, K, D]."""
    kv_heads, width = layer_memory.shape[3:]
    for cache, new in zip(layer_memory, (k_1KND, v_1KND), strict=True):
        cache.view(-1, kv_heads, width).index_copy_(0, slots_N, new[0].transpose(0, 1).to(cache.dtype))


def chunk_slots(chunk: Chunk, block_size: int) -> list[int]:
    """Where the tokens of a chunk are written: block * block_size + offset."""
    positions = range(chunk.start, chunk.start + len(chunk.tokens))
    return [chunk.blocks[position // block_size] * block_size + position % block_size for position in positions]
