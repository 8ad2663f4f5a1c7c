"""Examples as flat arrays: what travels between processes and lies on disk."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from chatwright.data.example import Example


@dataclass(frozen=True, slots=True)
class Columns:
    """Some examples.

    Attributes:
        ids: token ids of all documents, end to end, int32 [tokens].
        learned: whether each is learned, bool [tokens]; None where all of them are.
        lengths: tokens of each document, int64 [documents].
        values: a number for each example, float32 [examples].
        num_examples: of how many examples.
    """

    ids: NDArray[np.int32]
    learned: NDArray[np.bool_] | None
    lengths: NDArray[np.int64]
    values: dict[str, NDArray[np.float32]]
    num_examples: int

    @classmethod
    def of(cls, examples: Sequence[Example]) -> Self:
        """Lay examples end to end. All have as many documents and the same values as the first."""
        documents = [document for example in examples for document in example.documents]
        names = examples[0].values.keys() if examples else ()
        masks = [document.mask for document in documents]
        learned = None
        if any(mask is not None for mask in masks):
            full = [np.ones(len(d), dtype=np.bool_) if d.mask is None else d.mask for d in documents]
            learned = np.concatenate(full)
        return cls(
            ids=np.concatenate([document.ids for document in documents] or [np.empty(0, np.int32)]),
            learned=learned,
            lengths=np.array([len(document) for document in documents], dtype=np.int64),
            values={name: np.array([e.values[name] for e in examples], dtype=np.float32) for name in names},
            num_examples=len(examples),
        )
