"""A micro-batch: documents laid end to end, without padding between them.

Shape legend: N tokens in the batch, D documents, E examples (a preference pair is one example of two documents).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor

from chatwright.data.example import Example

IGNORED = -100  # the label of a position at which nothing is learned; PyTorch's own convention


@dataclass(frozen=True, slots=True)
class Batch:
    """Tokens of one forward pass.

    Attributes:
        input_ids_N: token ids, int64 [N]. What lies beyond the documents is padding, a sequence of its own.
        labels_N: the token to be predicted AT each position (that is, the next one of the document), int64 [N];
            ``IGNORED`` where nothing is learned: at a document's last position, in prompts, in padding. A text that is
            cut into rows goes on in the next one, so the last label of a piece is the first token of what follows.
        positions_N: position within the document, int64 [N].
        lengths: tokens of each document, D of them, in order; their sum is at most N.
        documents_per_example: 1, or 2 for preference pairs (chosen first).
        index_E: number of each example within its data set, int64 [E] on the CPU; -1 for examples made on the fly.
        values: float32 tensors: per example [E] (``label``, ``margin``), or per labelled token [M] in the order of
            ``labels_N`` (``advantage``, ``old_log_prob`` in reinforcement learning).
    """

    input_ids_N: Tensor
    labels_N: Tensor
    positions_N: Tensor
    lengths: tuple[int, ...]
    documents_per_example: int
    index_E: Tensor
    values: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def num_tokens(self) -> int:
        """Tokens of documents, padding not counted."""
        return sum(self.lengths)

    @property
    def num_labels(self) -> int:
        """Positions at which something is learned (M)."""
        return int((self.labels_N != IGNORED).sum())

    @property
    def num_examples(self) -> int:
        """Examples (E)."""
        return len(self.index_E)

    def to(self, device: torch.device | str) -> Self:
        """The batch on another device."""
        moved = {name: value.to(device, non_blocking=True) for name, value in self.values.items()}
        return replace(
            self,
            input_ids_N=self.input_ids_N.to(device, non_blocking=True),
            labels_N=self.labels_N.to(device, non_blocking=True),
            positions_N=self.positions_N.to(device, non_blocking=True),
            values=moved,
        )

    @classmethod
    def of(
        cls, examples: Sequence[Example], *, index: Sequence[int] | None = None, pad_to: int = 0, multiple_of: int = 1
    ) -> Self:
        """Lay examples end to end.

        Args:
            examples: at least one; all of as many documents as the first.
            index: their numbers within the data set; None for examples made on the fly.
            pad_to: smallest N; the rest is filled with token 0.
            multiple_of: N is rounded up to a multiple of it (matrix products like 32 on a CPU).
        """
        documents = [document for example in examples for document in example.documents]
        lengths = tuple(len(document) for document in documents)
        size = max(sum(lengths), pad_to)
        size = -(-size // multiple_of) * multiple_of
        ids = np.zeros(size, dtype=np.int64)
        labels = np.full(size, IGNORED, dtype=np.int64)
        positions = np.zeros(size, dtype=np.int64)
        start = 0
        for document in documents:
            end = start + len(document)
            ids[start:end] = document.ids
            positions[start:end] = np.arange(len(document))
            target = ids[start + 1 : end]
            labels[start : end - 1] = target if document.mask is None else np.where(document.mask[1:], target, IGNORED)
            if document.following is not None:
                labels[end - 1] = document.following
            start = end
        positions[start:] = np.arange(size - start)
        names = examples[0].values.keys()
        values = {name: torch.tensor([example.values[name] for example in examples]) for name in names}
        return cls(
            input_ids_N=torch.from_numpy(ids),
            labels_N=torch.from_numpy(labels),
            positions_N=torch.from_numpy(positions),
            lengths=lengths,
            documents_per_example=len(examples[0].documents),
            index_E=torch.tensor([-1] * len(examples) if index is None else list(index)),
            values=values,
        )
