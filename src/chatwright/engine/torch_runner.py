"""A runner for every model and device that PyTorch has: the GPT module itself, over paged memory."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from chatwright.engine.limits import block_bytes, blocks_within, checked_model_len, remembered_in_main_memory
from chatwright.engine.memory import zero_pages
from chatwright.engine.paged import BatchedDecode, PagedAttend, chunk_slots
from chatwright.engine.runner import Chunk
from chatwright.errors import UnsupportedModelError
from chatwright.model.attention import Attend
from chatwright.model.gpt import GPT

BLOCK_SIZE = 64


class TorchRunner:
    """A :class:`~chatwright.engine.runner.Runner` on the GPT module.

    On a CPU, attention is computed sequence by sequence, so that what else is in the batch changes only the row counts
    of the matrix products (a difference of rounding; none in most kernels). Elsewhere sequences that decode are
    attended in one padded batch, since launching a kernel costs more than the padding. On a CPU that is twice as fast
    too where many short sequences decode (measured: 905 tok/s against 457 for 32 of 80 tokens, 17M weights, bfloat16).

    Args:
        model: in eval mode, on its device.
        num_blocks: blocks of key/value memory; or
        kv_memory_bytes: how much memory to spend on them. Exactly one of the two.
        block_size: positions in a block.
        max_model_len: longest sequence; None takes the model's context length.
        batch_decoding: attend decoding sequences in one padded batch; None: where the device is no CPU.

    Raises:
        UnsupportedModelError: the model is not causal, so it cannot generate.
        InvalidParameterError: the memory holds not even one block.
    """

    def __init__(
        self,
        model: GPT,
        *,
        num_blocks: int | None = None,
        kv_memory_bytes: int | None = None,
        block_size: int = BLOCK_SIZE,
        max_model_len: int | None = None,
        batch_decoding: bool | None = None,
    ) -> None:
        config = model.config
        if not config.causal:
            raise UnsupportedModelError("this model attends in both directions, so it cannot generate text")
        weight = model.embed.weight
        self.vocab_size = config.vocab_size
        self.max_model_len = checked_model_len(config, max_model_len)
        self.block_size = block_size
        self.num_blocks = num_blocks or blocks_within(
            kv_memory_bytes or 0, block_bytes(config, block_size, weight.element_size())
        )
        self.model = model
        self._device = weight.device
        self._batches_decoding = self._device.type != "cpu" if batch_decoding is None else batch_decoding
        # One block more than the scheduler knows of: padding rows of a batch write there.
        shape = (config.num_layers, 2, self.num_blocks + 1, block_size, config.kv_heads, config.head_size)
        self.num_remembered = self.num_blocks
        if self._device.type == "cpu":
            self._memory = zero_pages(shape, weight.dtype)
            self.num_remembered = remembered_in_main_memory(self.num_blocks, block_size, self.max_model_len)
        else:
            self._memory = torch.zeros(shape, dtype=weight.dtype, device=self._device)

    def run(self, chunks: Sequence[Chunk]) -> np.ndarray:
        """See :meth:`chatwright.engine.runner.Runner.run`."""
        with torch.inference_mode():
            decoding = all(len(chunk.tokens) == 1 and chunk.num_logits == 1 for chunk in chunks)
            logits_NV = self._decode(chunks) if decoding and self._batches_decoding else self._run_chunks(chunks)
            return logits_NV.to("cpu", torch.float32).numpy()

    def copy_block(self, source: int, target: int) -> None:
        """See :meth:`chatwright.engine.runner.Runner.copy_block`."""
        self._memory[:, :, target] = self._memory[:, :, source]

    def close(self) -> None:
        """See :meth:`chatwright.engine.runner.Runner.close`."""
        del self._memory, self.model

    def _run_chunks(self, chunks: Sequence[Chunk]) -> Tensor:
        tokens = [token for chunk in chunks for token in chunk.tokens]
        positions = [p for chunk in chunks for p in range(chunk.start, chunk.start + len(chunk.tokens))]
        wanted: list[int] = []
        end = 0
        for chunk in chunks:
            end += len(chunk.tokens)
            wanted.extend(range(end - chunk.num_logits, end))
        # The GPT's head is applied to these rows only: a step of prefill rarely wants more than one in hundreds.
        rows_N = torch.tensor(wanted, dtype=torch.int64, device=self._device)
        return self._forward(self._tensor(tokens), self._tensor(positions), PagedAttend(self._memory, chunks), rows_N)

    def _decode(self, chunks: Sequence[Chunk]) -> Tensor:
        length = max(len(chunk.blocks) for chunk in chunks)
        tables_BL = self._tensor([chunk.blocks + [0] * (length - len(chunk.blocks)) for chunk in chunks])
        slots_B = self._tensor([chunk_slots(chunk, self.block_size)[0] for chunk in chunks])
        positions_B = self._tensor([chunk.start for chunk in chunks])
        attend = BatchedDecode(self._memory, slots_B, tables_BL, positions_B)
        return self._forward(self._tensor([chunk.tokens[0] for chunk in chunks]), positions_B, attend, None)

    def _forward(self, tokens_N: Tensor, positions_N: Tensor, attend: Attend, rows: Tensor | None) -> Tensor:
        output = self.model(tokens_N[None], positions=positions_N[None], attend=attend, num_logits=rows)
        logits_NV: Tensor = output.logits[0]
        return logits_NV

    def _tensor(self, values: list[int] | list[list[int]]) -> Tensor:
        return torch.tensor(values, dtype=torch.int64, device=self._device)
