"""A model that is none: deterministic logits from the tokens themselves, for tests of whatever uses an engine."""

from collections.abc import Callable, Sequence

import numpy as np

from chatwright.engine.runner import Chunk


class FakeRunner:
    """A :class:`~chatwright.engine.runner.Runner` without weights.

    Token ids are its keys and values: they are written into paged memory, and the logits of a position are a hash of
    every token up to it *as read back through the block table*. A block that is lost, shared by mistake, or not copied
    before it is written therefore changes the text, as it would with a real model.

    Args:
        vocab_size: length of a logits row.
        num_blocks, block_size: size of the paged memory.
        max_model_len: longest sequence.
        seed: another seed is another model.
        before_run: called before each run, on the engine's thread: a test can hold the model up there, or break it.

    Attributes:
        tokens_run: how many tokens were run so far: what a prefix cache saves shows here.
        batch_sizes: number of chunks of every run, in order.
    """

    def __init__(
        self,
        vocab_size: int = 256,
        *,
        num_blocks: int = 64,
        block_size: int = 16,
        max_model_len: int = 512,
        seed: int = 0,
        before_run: Callable[[], object] | None = None,
    ) -> None:
        self.vocab_size = vocab_size
        self.max_model_len = max_model_len
        self.block_size = block_size
        self.num_blocks = self.num_remembered = num_blocks
        self.model = None
        self.tokens_run = 0
        self.batch_sizes: list[int] = []
        self.closed = False
        self._before_run = before_run
        generator = np.random.default_rng(seed)
        self._memory = np.full((num_blocks, block_size), -1, dtype=np.int64)
        self._rows = generator.normal(size=(64, vocab_size)).astype(np.float32) * 3
        self._multipliers = generator.integers(1, 2**62, size=max_model_len, dtype=np.int64) | 1

    def run(self, chunks: Sequence[Chunk]) -> np.ndarray:
        """See :meth:`chatwright.engine.runner.Runner.run`."""
        assert not self.closed
        if self._before_run is not None:
            self._before_run()
        self.batch_sizes.append(len(chunks))
        rows: list[np.ndarray] = []
        for chunk in chunks:
            end = chunk.start + len(chunk.tokens)
            assert 0 < end <= min(self.max_model_len, len(chunk.blocks) * self.block_size)
            self.tokens_run += len(chunk.tokens)
            for position, token in enumerate(chunk.tokens, chunk.start):
                self._memory[chunk.blocks[position // self.block_size], position % self.block_size] = token
            read = self._memory[chunk.blocks].reshape(-1)
            rows.extend(self.logits(read[:length]) for length in range(end - chunk.num_logits + 1, end + 1))
        return np.stack(rows) if rows else np.empty((0, self.vocab_size), dtype=np.float32)

    def logits(self, tokens: Sequence[int] | np.ndarray) -> np.ndarray:
        """The logits after ``tokens``: what any engine must arrive at. Shape [vocab_size], float32, a fresh array."""
        ids = np.asarray(tokens, dtype=np.int64)
        mixed = int((((ids + 7) * self._multipliers[: len(ids)]) >> 7).sum()) & 0xFFFF_FFFF
        return np.roll(self._rows[mixed % 64], mixed >> 6)

    def copy_block(self, source: int, target: int) -> None:
        """See :meth:`chatwright.engine.runner.Runner.copy_block`."""
        self._memory[target] = self._memory[source]

    def close(self) -> None:
        """See :meth:`chatwright.engine.runner.Runner.close`."""
        self.closed = True
