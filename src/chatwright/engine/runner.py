"""What the engine asks of whatever computes logits: the one protocol that every runner fulfils."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from chatwright.model.gpt import GPT


@dataclass(slots=True)
class Chunk:
    """The work of one sequence in one step.

    Attributes:
        tokens: ids to run, at positions ``start``, ``start + 1``, …
        start: how many tokens of the sequence are in the cache already.
        blocks: the sequence's block table: ``blocks[p // block_size]`` holds position ``p``; long enough for
            ``start + len(tokens)`` positions.
        num_logits: for how many trailing tokens of this chunk logits are wanted: 0 (more prefill follows), 1 (sample
            next), or up to ``len(tokens)`` (log-probabilities of the prompt, or verification of a draft).
    """

    tokens: list[int]
    start: int
    blocks: list[int]
    num_logits: int


class Runner(Protocol):
    """Owns weights and the paged key/value memory; turns token ids into logits. Used from one thread only.

    Attributes:
        vocab_size: length of a logits row.
        max_model_len: longest sequence in tokens that may be run.
        block_size: positions in one block of key/value memory.
        num_blocks: blocks that exist, numbered from 0.
        num_remembered: blocks that keep their contents for later requests when nobody holds them any more.
    """

    vocab_size: int
    max_model_len: int
    block_size: int
    num_blocks: int
    num_remembered: int

    @property
    def model(self) -> GPT | None:
        """The weights as a module, for whoever wants more than the next token (scoring); None where there is none."""
        ...

    def run(self, chunks: Sequence[Chunk]) -> np.ndarray:
        """Run every chunk, write its keys and values, and return the wanted logits.

        Returns:
            float32 array [sum of ``num_logits``, vocab_size], rows in the order of chunks and positions. The array is
            only valid until the next call, and the caller may overwrite it.
        """
        ...

    def copy_block(self, source: int, target: int) -> None:
        """Copy the keys and values of one block onto another, in every layer (copy on write of a forked sequence)."""
        ...

    def close(self) -> None:
        """Free threads and memory; the runner cannot be used afterwards."""
        ...
