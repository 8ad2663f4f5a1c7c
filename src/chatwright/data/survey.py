"""What a set of data holds, in figures."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from chatwright.chat import ChatTemplate
from chatwright.data.any_encoder import AnyEncoder, kind_of
from chatwright.data.language import language_of
from chatwright.data.report import DataReport
from chatwright.data.row_texts import texts_of
from chatwright.data.rows import Row
from chatwright.data.tokenize import encode_rows


@dataclass(slots=True)
class Survey:
    """Counts over all rows.

    Attributes:
        report: what happened on the way in; its ``read`` counts lines, ``kept`` rows.
        kinds, languages: of the rows.
        num_chars: characters of all texts.
        num_duplicates: rows whose texts are those of an earlier row.
        num_tokens, num_learned: over the rows that can be used.
        lengths: tokens of each usable document.
        tally: what the encoder had to do to rows, or why it left them out.
    """

    report: DataReport = field(default_factory=DataReport)
    kinds: Counter[str] = field(default_factory=Counter)
    languages: Counter[str] = field(default_factory=Counter)
    num_chars: int = 0
    num_duplicates: int = 0
    num_tokens: int = 0
    num_learned: int = 0
    lengths: list[int] = field(default_factory=list)
    tally: Counter[str] = field(default_factory=Counter)

    def percentiles(self) -> dict[str, int]:
        """Tokens in a document: "50", "90", "99" and "100" percent have at most so many."""
        if not self.lengths:
            return {}
        return {str(part): int(np.percentile(self.lengths, part, method="higher")) for part in (50, 90, 99, 100)}

    def to_json(self) -> dict[str, Any]:
        """All figures as plain values."""
        return {
            **self.report.to_json(),
            "kinds": dict(self.kinds.most_common()),
            "languages": dict(self.languages.most_common()),
            "characters": self.num_chars,
            "equal_rows": self.num_duplicates,
            "tokens": self.num_tokens,
            "learned_tokens": self.num_learned,
            "tokens_per_document": self.percentiles(),
            "changed_or_unusable": dict(self.tally.most_common()),
        }


def survey(
    rows: Iterable[Row],
    report: DataReport,
    template: ChatTemplate,
    *,
    max_length: int,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Survey:
    """Go through all rows once.

    Args:
        rows: of any kinds.
        report: that reading them fills.
        template: of the model whose tokens are counted.
        max_length: most tokens of a document.
        workers, progress: as for :func:`chatwright.data.tokenize.build_store`.
    """
    found = Survey(report)
    done = 0
    for encoded in encode_rows(_watched(rows, found), AnyEncoder(template, max_length), workers=workers):
        columns = encoded.columns
        found.num_tokens += len(columns.ids)
        learned = columns.learned
        found.num_learned += len(columns.ids) if learned is None else int(np.count_nonzero(learned))
        found.lengths += columns.lengths.tolist()
        found.tally += encoded.tally
        if encoded.num_refused:
            found.tally[encoded.refusal] += encoded.num_refused
        done += encoded.num_rows
        if progress is not None:
            progress(done, found.num_tokens)
    return found


def _watched(rows: Iterable[Row], found: Survey) -> Iterator[Row]:
    seen: set[bytes] = set()
    for row in rows:
        texts = list(texts_of(row))
        found.kinds[kind_of(row)] += 1
        found.languages[language_of("\n".join(texts))] += 1
        found.num_chars += sum(map(len, texts))
        digest = hashlib.blake2b("\0".join(texts).encode("utf-8", "surrogatepass"), digest_size=12).digest()
        found.num_duplicates += digest in seen
        seen.add(digest)
        yield row
