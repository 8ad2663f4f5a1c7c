"""What a model will see of a row, and which tokens of it are learned."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from chatwright.chat import ChatTemplate
from chatwright.data.any_encoder import AnyEncoder, kind_of
from chatwright.data.example import Document, Example
from chatwright.data.rows import Labelled, Preference, Rated, Row
from chatwright.errors import InputError, TemplateError
from chatwright.tokenizer import Tokenizer

_CONTINUING = frozenset(bytes([byte]) for byte in range(0x80, 0xC0))


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a document.

    Attributes:
        text: for reading; control tokens are spelt out.
        learned: whether its tokens are predicted in training.
        is_control: whether it is a control token, which no text can be.
    """

    text: str
    learned: bool
    is_control: bool


@dataclass(frozen=True, slots=True)
class DocumentView:
    """A document for reading.

    Attributes:
        name: "chosen" or "rejected", or empty where there is only one.
        num_tokens, num_learned: how many there are.
        spans: in order.
    """

    name: str
    num_tokens: int
    num_learned: int
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """A row as a model sees it.

    Attributes:
        kind: what people call it: text, chat …
        documents: its parts; none where it cannot be used.
        values: ``label``, ``margin``.
        notes: what happened to it, or why it cannot be used.
    """

    kind: str
    documents: tuple[DocumentView, ...]
    values: dict[str, float | str | bool]
    notes: tuple[str, ...]


class Previewer:
    """Makes samples of rows.

    Args:
        template: of the model.
        max_length: most tokens of a document.
    """

    def __init__(self, template: ChatTemplate, max_length: int) -> None:
        self._encoder = AnyEncoder(template, max_length)

    def sample(self, row: Row) -> Sample:
        """A row as the model sees it."""
        self._encoder.tally.clear()
        try:
            example = self._encoder(row)
        except (InputError, TemplateError) as error:
            return Sample(kind_of(row), (), {}, (str(error),))
        notes = tuple(reason for reason, count in self._encoder.tally.items() if count)
        if example is None:
            return Sample(kind_of(row), (), {}, notes)
        return Sample(kind_of(row), tuple(self._views(example)), _values(row), notes)

    def _views(self, example: Example) -> Iterator[DocumentView]:
        names = ("chosen", "rejected") if len(example.documents) == 2 else ("",)
        for name, document in zip(names, example.documents, strict=True):
            learned = learned_tokens(document)
            spans = tuple(spans_of(document.ids, learned, self._encoder.tokenizer))
            yield DocumentView(name, len(document), int(np.count_nonzero(learned)), spans)


def _values(row: Row) -> dict[str, float | str | bool]:
    match row:
        case Labelled(_, label) | Rated(_, _, label):
            return {"label": label}
        case Preference(margin=float(margin)):
            return {"margin": margin}
    return {}


def learned_tokens(document: Document) -> NDArray[np.bool_]:
    """Which tokens are predicted in training, bool [L]: those of the mask but the first, which nothing precedes."""
    learned = np.ones(len(document), dtype=np.bool_) if document.mask is None else document.mask.copy()
    learned[:1] = False
    return learned


def spans_of(ids: NDArray[np.int32], learned: NDArray[np.bool_], tokenizer: Tokenizer) -> Iterator[Span]:
    """Stretches of equal kind. A character whose bytes lie on both sides of a border belongs to what follows."""
    control = np.isin(ids, list(tokenizer.special_ids))
    # A control token stands alone; otherwise a stretch ends where learning begins or ends.
    borders = np.flatnonzero((np.diff(learned.astype(int)) != 0) | control[1:] | control[:-1]) + 1
    edges = [0, *(_character_start(ids, border, tokenizer) for border in borders.tolist()), len(ids)]
    for start, end in pairwise(edges):
        if start == end:
            continue
        text = tokenizer.decode(ids[start:end].tolist(), skip_special=False)
        yield Span(text, bool(learned[end - 1]), bool(control[start]))


def _character_start(ids: NDArray[np.int32], border: int, tokenizer: Tokenizer) -> int:
    """The border, or where the character begins that it would cut: bytes 10xxxxxx of UTF-8 begin none."""
    start = border
    while start > 0 and tokenizer.token_bytes(int(ids[start]))[:1] in _CONTINUING:
        start -= 1
    return start
