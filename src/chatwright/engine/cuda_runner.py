"""The runner for NVIDIA cards: decoding replayed as CUDA graphs.

A decode step of a small model is hundreds of kernels of a few microseconds each; launching them one by one from Python
takes longer than running them. A CUDA graph launches all at once, but only for tensors of fixed shape and address. So a
step is padded to a batch size and a context length from short ladders, and one graph is recorded per pair that occurs.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from chatwright.engine.paged import BatchedDecode, chunk_slots
from chatwright.engine.runner import Chunk
from chatwright.engine.torch_runner import BLOCK_SIZE, TorchRunner
from chatwright.model.gpt import GPT

log = logging.getLogger(__name__)

MAX_GRAPH_BATCH = 64  # beyond it, the card is busy long enough for Python to keep up


@dataclass(slots=True)
class _Graph:
    """A recorded decode step and the tensors it reads and writes."""

    graph: torch.cuda.CUDAGraph
    inputs: Tensor  # int64 [B, 3 + L] on the card: token, position, slot, block table
    logits_BV: Tensor


class CudaRunner(TorchRunner):
    """A :class:`TorchRunner` that replays CUDA graphs where every sequence decodes one token.

    Results differ from those of another batch size by rounding only: kernels may choose other tile sizes for it. A
    model that cannot be recorded (experts that are chosen by the data) runs without graphs, which is logged once.

    Args:
        model: in eval mode, on a CUDA device.
        num_blocks, kv_memory_bytes, block_size, max_model_len: see :class:`TorchRunner`.
    """

    def __init__(
        self,
        model: GPT,
        *,
        num_blocks: int | None = None,
        kv_memory_bytes: int | None = None,
        block_size: int = BLOCK_SIZE,
        max_model_len: int | None = None,
    ) -> None:
        super().__init__(
            model,
            num_blocks=num_blocks,
            kv_memory_bytes=kv_memory_bytes,
            block_size=block_size,
            max_model_len=max_model_len,
        )
        self._graphs: dict[tuple[int, int], _Graph] = {}
        self._recordable = True

    def close(self) -> None:
        """See :meth:`chatwright.engine.runner.Runner.close`."""
        self._graphs.clear()
        super().close()
        torch.cuda.empty_cache()

    def _decode(self, chunks: Sequence[Chunk]) -> Tensor:
        if not self._recordable or len(chunks) > MAX_GRAPH_BATCH:
            return super()._decode(chunks)
        batch = round_up(len(chunks))
        length = round_up(max(len(chunk.blocks) for chunk in chunks))
        graph = self._graph(batch, length)
        if graph is None:
            return super()._decode(chunks)
        graph.inputs.copy_(torch.tensor(self._rows(chunks, batch, length), dtype=torch.int64), non_blocking=False)
        graph.graph.replay()
        return graph.logits_BV[: len(chunks)]

    def _rows(self, chunks: Sequence[Chunk], batch: int, length: int) -> list[list[int]]:
        """Token, position, slot and block table of every sequence; rows of padding write into the spare block."""
        rows = []
        for chunk in chunks:
            slot = chunk_slots(chunk, self.block_size)[0]
            rows.append([chunk.tokens[0], chunk.start, slot, *chunk.blocks, *[0] * (length - len(chunk.blocks))])
        spare = [0, 0, self.num_blocks * self.block_size, *[self.num_blocks] * length]
        return rows + [spare] * (batch - len(chunks))

    def _graph(self, batch: int, length: int) -> _Graph | None:
        """The graph for a shape, recorded when it is first needed; None if this model cannot be recorded."""
        graph = self._graphs.get((batch, length))
        if graph is None:
            try:
                graph = self._graphs[batch, length] = self._record(batch, length)
            except RuntimeError as error:
                self._recordable = False
                log.warning("decoding runs without CUDA graphs, since this model cannot be recorded: %s", error)
        return graph

    def _record(self, batch: int, length: int) -> _Graph:
        inputs = torch.tensor(self._rows([], batch, length), dtype=torch.int64, device=self._device)
        side = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(side):  # libraries allocate their workspaces on the first run, which no graph may hold
            for _ in range(2):
                self._step(inputs)
        torch.cuda.current_stream(self._device).wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        pool = next(iter(self._graphs.values())).graph.pool() if self._graphs else None
        with torch.cuda.graph(graph, pool=pool):
            logits_BV = self._step(inputs)
        return _Graph(graph, inputs, logits_BV)

    def _step(self, inputs: Tensor) -> Tensor:
        """One decode step in terms of ``inputs`` alone: no value leaves the card, so it can be recorded."""
        tokens_B, positions_B, slots_B = inputs[:, 0], inputs[:, 1], inputs[:, 2]
        attend = BatchedDecode(self._memory, slots_B, inputs[:, 3:], positions_B)
        return self._forward(tokens_B, positions_B, attend, None)


def round_up(number: int) -> int:
    """The next power of two: padding at most doubles the work, and few graphs are recorded."""
    return 1 << (number - 1).bit_length()
