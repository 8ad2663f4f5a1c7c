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
from chatwright.engine.cpu.state import HEAD, MAX_SPLITS, Batch, Cache, Room, Scratch, Shape, Weights
from chatwright.engine.cpu.step import head_step, step
from chatwright.engine.cpu.team import Team
from chatwright.engine.cpu.weights import shape_of, supports
from chatwright.engine.limits import block_bytes, blocks_within, checked_model_len, remembered_in_main_memory
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
        self.num_remembered = remembered_in_main_memory(num_blocks, PAGE, self.max_model_len)
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
        self._angles = _Angles(model)
        self._make_room(COLUMNS_AT_ONCE)
        table = model.embed.weight.detach()
        self._embedding: np.ndarray | None = None
        if config.position in ("rotary", "none"):
            self._embedding = _bits(table) if table.dtype == torch.bfloat16 else table.numpy()
        # Rounded as the GPT does (Gemma was trained that way): prompts and answers must scale alike.
        self._embedding_scale = np.float32(torch.tensor(config.embedding_scale, dtype=table.dtype).item())

    def run(self, chunks: Sequence[Chunk]) -> np.ndarray:
        """See :meth:`chatwright.engine.runner.Runner.run`."""
        wanted = sum(chunk.num_logits for chunk in chunks)
        if wanted + COLUMNS_AT_ONCE > len(self._logits):
            self._make_room(2 * wanted + COLUMNS_AT_ONCE)
        columns: list[_Column] = []
        row = 0
        for chunk in chunks:
            if len(chunk.tokens) > SHORT:
                self._prefill(chunk, row)
            else:
                first = len(chunk.tokens) - chunk.num_logits
                for i, token in enumerate(chunk.tokens):
                    columns.append((token, chunk.start + i, chunk.blocks, row + i - first if i >= first else -1))
            row += chunk.num_logits
        for start in range(0, len(columns), COLUMNS_AT_ONCE):
            self._decode(columns[start : start + COLUMNS_AT_ONCE], wanted)
        logits: np.ndarray = self._logits[:wanted, : self.vocab_size]
        return logits

    def copy_block(self, source: int, target: int) -> None:
        """See :meth:`chatwright.engine.runner.Runner.copy_block`."""
        for memory in self._cache:
            memory[:, target] = memory[:, source]

    def close(self) -> None:
        """End the threads."""
        self._team.close()

    def _make_room(self, rows: int) -> None:
        """Room for the logits of that many rows, and with it the arguments of the kernel."""
        config, n = self.config, COLUMNS_AT_ONCE
        tables, half = self._angles.shape
        self._room = Room(
            Batch(
                x=np.zeros((n, config.hidden_size), np.float32),
                positions=np.zeros(n, np.int64),
                blocks=np.zeros((n, -(-self.max_model_len // PAGE)), np.int32),
                cos=np.zeros((tables, n, half), np.float32),
                sin=np.zeros((tables, n, half), np.float32),
                wanted=np.zeros(n, np.int64),
                logits=np.empty((rows, self._head_rows), np.float32),
            ),
            sizes=np.zeros(3, np.int64),
        )
        self._logits = self._room.batch.logits
        self._step_args = (self._shape, self._weights, self._cache, self._room, self._scratch)

    def _decode(self, columns: "list[_Column]", end: int) -> None:
        """Run tokens, each at its own position of its own sequence, as columns of the kernel.

        Args:
            columns: up to COLUMNS_AT_ONCE.
            end: the row behind those of all logits of this run.
        """
        tokens, positions, tables, rows = zip(*columns, strict=True)
        count, batch = len(columns), self._room.batch
        batch.x[:count] = self._embed(tokens, positions)
        batch.positions[:count] = positions
        for i, table in enumerate(tables):
            batch.blocks[i, : len(table)] = table
        batch.cos[:, :count], batch.sin[:, :count] = self._angles.at(positions)
        wanted = [i for i, row in enumerate(rows) if row >= 0]
        targets = [rows[i] for i in wanted]
        # The wanted rows follow each other unless a prompt stands between them; then they are copied into place.
        together = not wanted or targets[-1] - targets[0] == len(wanted) - 1
        first = targets[0] if wanted and together else end
        batch.wanted[: len(wanted)] = wanted
        self._room.sizes[:] = count, len(wanted), first
        self._team.run(step, self._step_args)
        if not together:
            self._logits[targets] = self._logits[first : first + len(wanted)]

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
            self._team.run(head_step, (self._shape, self._weights, part, logits, self._scratch))


_Column = tuple[int, int, list[int], int]  # token, position, block table, row of the logits or -1


class _Angles:
    """Cosines and sines of the rotary tables in float32, grown as far as positions have come.

    Attributes:
        shape: tables and angles of each; without rotary positions one table of none.
    """

    def __init__(self, model: GPT) -> None:
        config = model.config
        ropes = [config.rope] if config.rope_local is None else [config.rope, config.rope_local]
        self._rotaries = [Rotary(rope, config.head_size) for rope in ropes] if config.position == "rotary" else []
        self._cos = self._sin = np.zeros((1, 0, 0), np.float32)
        self._reach(511)
        self.shape = self._cos.shape[0], self._cos.shape[2]

    def at(self, positions: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Cosines and sines [tables, N, F]."""
        if not self._rotaries:
            empty = np.zeros((1, len(positions), 0), np.float32)
            return empty, empty
        self._reach(max(positions))
        # Indexing gives two tables another order in memory, for which the kernel would be compiled again.
        index = np.array(positions)
        return np.take(self._cos, index, axis=1), np.take(self._sin, index, axis=1)

    def _reach(self, position: int) -> None:
        if self._rotaries and position >= self._cos.shape[1]:
            reach = torch.arange(2 * position + 2)[None]
            tables = [rotary(reach, torch.float32) for rotary in self._rotaries]
            self._cos = np.stack([cos[0, 0, :, : sin.shape[-1]].numpy() for cos, sin in tables])
            self._sin = np.stack([sin[0, 0].numpy() for _, sin in tables])


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
