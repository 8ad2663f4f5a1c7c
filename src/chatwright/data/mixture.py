"""Several sources drawn from in turn."""

from collections.abc import Callable, Iterator, Sequence
from typing import Literal, TypeVar

from chatwright.data.row_texts import texts_of
from chatwright.data.rows import Row

Opened = TypeVar("Opened")


def mixed(
    sources: Sequence[Callable[[], Iterator[Row]]],
    weights: Sequence[float] | None,
    *,
    weigh_by: Literal["rows", "bytes"] = "rows",
    stopping: Literal["first_exhausted", "all_exhausted"] = "first_exhausted",
) -> Iterator[Row]:
    """Rows of all sources, evenly interleaved; no chance is involved.

    Without weights every row of every source comes once. With weights, at every moment the sources' shares of what was
    drawn are as near to the weights as whole rows allow.

    Args:
        sources: each opens its rows from the start.
        weights: share of each source; None: everything once, turn by turn.
        weigh_by: what shares measure: rows, or the length of their texts.
        stopping: with weights: end as soon as one source has ended, or begin it anew until all have ended once.
    """
    rows = [open_source() for open_source in sources]
    drawn = [0.0] * len(sources)
    shares = weights or [1.0] * len(sources)
    left = set(range(len(sources)))  # never ended so far
    active = sorted(left)
    while active:
        index = min(active, key=lambda source: (drawn[source] / shares[source], source))
        row = next(rows[index], None)
        if row is None:
            left.discard(index)
            if weights is None:
                active.remove(index)
                continue
            if stopping == "first_exhausted" or not left:
                return
            rows[index] = sources[index]()
            row = next(rows[index], None)
            if row is None:  # empty from the start: there is nothing to repeat
                active.remove(index)
                continue
        drawn[index] += 1 if weigh_by == "rows" else sum(len(text.encode()) for text in texts_of(row)) or 1
        yield row
