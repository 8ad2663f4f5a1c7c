"""The unit of training: one or more sequences of token ids that belong together."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Document:
    """One sequence of tokens.

    Attributes:
        ids: token ids, int32 [L].
        mask: bool [L]; True where the token itself is to be learned, that is, predicted from what precedes it. The
            first is never predicted. None: all of them.
        following: of a piece of a longer text, the token that comes after it and is learned there; None at the end.
    """

    ids: NDArray[np.int32]
    mask: NDArray[np.bool_] | None = None
    following: int | None = None

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class Example:
    """What is drawn, shuffled and packed as a whole.

    Attributes:
        documents: one for language modelling, dialogues and classes; two (chosen, rejected) for preferences.
        values: one number each, for the objective: ``label`` (class index, or 1.0 and 0.0 for thumbs), ``margin``.
    """

    documents: tuple[Document, ...]
    values: Mapping[str, float] = field(default_factory=dict)

    def __len__(self) -> int:
        return sum(len(document) for document in self.documents)
