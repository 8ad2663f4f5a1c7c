"""The CPU runner: prompts through PyTorch in bfloat16, single tokens through the compiled int8 kernel.

Both halves share one paged memory of keys and values. A piece of a prompt that is short enough runs in the kernel
too, its tokens as columns beside those of other sequences; which way a piece goes depends on its own length alone, so
that a request's numbers do not depend on its neighbours.

Shape legend: N columns, T tokens of a chunk, S positions in the cache, H query heads, D head width, F = D / 2.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from chatwright.engine.cpu.attention_tiles import PAGE
from chatwright.engine.cpu.emit import LANES
from chatwright.engine.cpu.prefill import make_prefill
from chatwright.engine.cpu.state import HEAD, MAX_SPLITS, Batch, Cache, Scratch, Shape, Weights
from chatwright.engine.cpu.step import head_step, step
from chatwright.engine.cpu.team import Team
from chatwright.engine.cpu.weights import shape_of, supports
from chatwright.engine.limits import block_bytes, blocks_within, checked_model_len
from chatwright.engine.memory import zero_pages
from chatwright.engine.runner import Chunk
from chatwright.model.gpt import GPT
from chatwright.model.positions import Rotary

__all__ = ["CpuRunner", "supports"]

COLUMNS_AT_ONCE = 64
SHORT = 16  # tokens: up to here a chunk is cheaper in the kernel than in PyTorch


class CpuRunner:
    """Runs a model on the CPU; see :class:`chatwright.engine.runner.Runner`.

    Args:
        model: the GPT for prompts and embeddings, in eval mode; bfloat16 where the hardware multiplies it, else
            float32.
        weights: the same model, quantised (``weights``).
        kv_memory_bytes: size of the key/value memory; at least one sequence of full length should fit.
        max_model_len: longest sequence, in tokens.
        threads: threads of the kernel.
    """

    def __init__(
        self,
        model: GPT,
        weights: Weights,
        *,
        kv_memory_bytes: int,
        max_model_len: int | None = None,
        threads: int,
    ) -> None:
        config = model.config
        self.config = config
        self.vocab_size = config.vocab_size
        padded = -(-config.head_size // LANES) * LANES
        num_blocks = blocks_within(kv_memory_bytes, block_bytes(config, PAGE, 2, head_multiple=LANES))
        self.block_size, self.num_blocks = PAGE, num_blocks
        self.max_model_len = checked_model_len(config, max_model_len)
        self.model, self._weights, self._shape = model, weights, shape_of(config)
        self._team = Team(threads)
        paged = (config.num_layers, num_blocks, config.kv_heads)
        self._cache = Cache(
            keys=_bits(zero_pages((*paged, padded, PAGE), torch.bfloat16)),
            values=_bits(zero_pages((*paged, PAGE, padded), torch.bfloat16)),
        )
        self._run_prompt = make_prefill(model, weights, self._shape, self._cache)
        self._scratch = _make_scratch(self._weights, self._shape, self._team.sync)
        self._head_rows = int(weights.matrices[config.num_layers, HEAD, 2])
        self._logits = np.empty((1, self._head_rows), np.float32)
        self._angles = _Angles(model)
        table = model.embed.weight.detach()
        self._embedding: np.ndarray | None = None
        if config.position in ("rotary", "none"):
            self._embedding = _bits(table) if table.dtype == torch.bfloat16 else table.numpy()
        # Rounded as the GPT does (Gemma was trained that way): prompts and answers must scale alike.
        self._embedding_scale = np.float32(torch.tensor(config.embedding_scale, dtype=table.dtype).item())

    def run(self, chunks: Sequence[Chunk]) -> np.ndarray:
        """See :meth:`chatwright.engine.runner.Runner.run`."""
        wanted = sum(chunk.num_logits for chunk in chunks)
        if wanted > self._logits.shape[0]:
            self._logits = np.empty((wanted, self._head_rows), np.float32)
        rows = np.cumsum([0, *(chunk.num_logits for chunk in chunks)])
        columns: list[_Column] = []
        for chunk, row in zip(chunks, rows, strict=False):
            if len(chunk.tokens) > SHORT:
                self._prefill(chunk, int(row))
                continue
            first = len(chunk.tokens) - chunk.num_logits
            for i, token in enumerate(chunk.tokens):
                columns.append((token, chunk.start + i, chunk.blocks, int(row) + i - first if i >= first else -1))
        for start in range(0, len(columns), COLUMNS_AT_ONCE):
            self._decode(columns[start : start + COLUMNS_AT_ONCE])
        return self._logits[:wanted, : self.vocab_size]

    def copy_block(self, source: int, target: int) -> None:
        """See :meth:`chatwright.engine.runner.Runner.copy_block`."""
        for memory in self._cache:
            memory[:, target] = memory[:, source]

    def close(self) -> None:
        """End the threads."""
        self._team.close()

    def _decode(self, columns: "list[_Column]") -> None:
        """Run tokens, each at its own position of its own sequence, as columns of the kernel."""
        tokens, positions, tables, rows = zip(*columns, strict=True)
        blocks = np.zeros((len(columns), max(map(len, tables))), np.int32)
        for i, table in enumerate(tables):
            blocks[i, : len(table)] = table
        wanted = [i for i, row in enumerate(rows) if row >= 0]
        targets = [rows[i] for i in wanted]
        # The wanted rows follow each other unless a prompt stands between them; then they are copied into place.
        together = not wanted or targets[-1] - targets[0] == len(wanted) - 1
        if together:
            logits = self._logits[targets[0] : targets[-1] + 1] if wanted else self._logits[:0]
        else:
            logits = np.empty((len(wanted), self._head_rows), np.float32)
        cos, sin = self._angles.at(positions)
        batch = Batch(
            x=self._embed(tokens, positions),
            positions=np.array(positions, np.int64),
            blocks=blocks,
            cos=cos,
            sin=sin,
            wanted=np.array(wanted, np.int64),
            logits=logits,
        )
        self._team.run(step, self._shape, self._weights, self._cache, batch, self._scratch)
        if not together:
            self._logits[targets] = logits

    def _embed(self, tokens: Sequence[int], positions: Sequence[int]) -> np.ndarray:
        """The residual stream at the first layer, float32 [N, C]. NumPy where possible: PyTorch takes 0.4 ms here."""
        if self._embedding is not None:
            rows = self._embedding[list(tokens)]
            if rows.dtype == np.uint16:
                rows = (rows.astype(np.uint32) << 16).view(np.float32)
            return rows * self._embedding_scale if self._embedding_scale != 1 else rows
        with torch.inference_mode():
            x = self.model.embed_tokens(torch.tensor([tokens]), torch.tensor([positions]))
        x_NC: np.ndarray = x[0].float().numpy()
        return x_NC

    def _prefill(self, chunk: Chunk, row: int) -> None:
        """Run a piece of a prompt in PyTorch and put its logits at ``row``."""
        positions = range(chunk.start, chunk.start + len(chunk.tokens))
        hidden = self._run_prompt(chunk, *self._angles.at(positions)).numpy()
        for start in range(0, len(hidden), COLUMNS_AT_ONCE):
            part = np.ascontiguousarray(hidden[start : start + COLUMNS_AT_ONCE])
            logits = self._logits[row + start : row + start + len(part)]
            self._team.run(head_step, self._shape, self._weights, part, logits, self._scratch)


_Column = tuple[int, int, list[int], int]  # token, position, block table, row of the logits or -1


class _Angles:
    """Cosines and sines of the rotary tables in float32, grown as far as positions have come."""

    def __init__(self, model: GPT) -> None:
        config = model.config
        ropes = [config.rope] if config.rope_local is None else [config.rope, config.rope_local]
        self._rotaries = [Rotary(rope, config.head_size) for rope in ropes] if config.position == "rotary" else []
        self._cos = self._sin = np.zeros((len(ropes), 0, config.head_size // 2), np.float32)

    def at(self, positions: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Cosines and sines [tables, N, F]."""
        if not self._rotaries:
            empty = np.zeros((1, len(positions), 0), np.float32)
            return empty, empty
        if max(positions) >= self._cos.shape[1]:
            reach = torch.arange(2 * max(max(positions), 512))[None]
            tables = [rotary(reach, torch.float32) for rotary in self._rotaries]
            self._cos = np.stack([cos[0, 0].numpy() for cos, _ in tables])
            self._sin = np.stack([sin[0, 0].numpy() for _, sin in tables])
        # Indexing gives two tables another order in memory, for which the kernel would be compiled again.
        index = np.array(positions)
        return np.take(self._cos, index, axis=1), np.take(self._sin, index, axis=1)


def _bits(tensor: Tensor) -> np.ndarray:
    """The memory of a bfloat16 tensor as uint16; both views see each other's writes."""
    array: np.ndarray = tensor.view(torch.int16).numpy().view(np.uint16)
    return array


def _make_scratch(weights: Weights, shape: Shape, sync: np.ndarray) -> Scratch:
    matrices = weights.matrices[:-1]
    widest = int(max(matrices[..., 3].max() * 32, matrices[..., 2].max()))
    n = COLUMNS_AT_ONCE
    return Scratch(
        q=np.zeros(n * widest, np.int16),
        scale=np.zeros(n * widest // 32, np.float32),
        total=np.zeros(n * widest // 32, np.float32),
        wide=np.zeros(n * widest, np.float32),
        branch=np.zeros(n * widest, np.float32),
        partial=np.zeros((n, shape.num_heads, MAX_SPLITS, -(-shape.head_dim // 16) * 16 + 2), np.float32),
        sync=sync,
    )
