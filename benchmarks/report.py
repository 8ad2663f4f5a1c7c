"""Figures of all contenders: medians and bests, our ratio to the best of the others, a table."""

import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from rich.table import Table

OURS = "chatwright"
WIDTH_IN_FILES = 140  # characters of the tables, where no terminal says how many it has
Values = Mapping[str, Mapping[str, list[float]]]  # contender → figure → one value per repeat
Summary = dict[str, dict[str, dict[str, float]]]  # contender → figure → "median", "best"


@dataclass(frozen=True, slots=True)
class Figure:
    """Something measured.

    Attributes:
        title, unit: for people.
        better: which values are better.
        digits: after the decimal point, in tables.
    """

    title: str
    unit: str
    better: Literal["higher", "lower"] = "higher"
    digits: int = 0


FIGURES = {
    "prefill": Figure("prompt", "tok/s"),
    "decode": Figure("one stream", "tok/s"),
    "eight_streams": Figure("8 streams", "tok/s"),
    "eight_streams_total": Figure("8 with prompts", "tok/s"),
    "start_s": Figure("first token", "s", "lower", 2),
    "rss_mb": Figure("memory", "MB", "lower"),
    "rss_busy_mb": Figure("memory, busy", "MB", "lower"),
}


def summarize(values: Values) -> Summary:
    """Median and best of every figure."""
    return {
        name: {
            key: {"median": median(found), "best": (max if FIGURES[key].better == "higher" else min)(found)}
            for key, found in figures.items()
            if found
        }
        for name, figures in values.items()
    }


def ratios(summary: Summary, kind: Literal["median", "best"] = "median") -> dict[str, float | None]:
    """Ours over the best of the others, figure by figure; None where one of the two is missing."""
    result: dict[str, float | None] = {}
    for key, figure in FIGURES.items():
        peers = [figures[key][kind] for name, figures in summary.items() if name != OURS and key in figures]
        ours = summary.get(OURS, {}).get(key)
        best = (max if figure.better == "higher" else min)(peers) if peers else None
        result[key] = round(ours[kind] / best, 3) if ours and best else None
    return result


def rows(summary: Summary, reasons: Mapping[str, str]) -> Iterable[list[str]]:
    """The table's cells: a line of titles, a line per contender, and our ratios."""
    yield ["", *(f"{figure.title}, {figure.unit}" for figure in FIGURES.values())]
    for name, figures in summary.items():
        cells = [_cell(figures.get(key), FIGURES[key]) for key in FIGURES]
        yield [name, *cells]
    for name, reason in reasons.items():
        yield [name, reason, *[""] * (len(FIGURES) - 1)]
    yield ["ours / best other", *("–" if r is None else f"{r:.2f} ×" for r in ratios(summary).values())]


def table(title: str, cells: Iterable[list[str]]) -> "Table":
    """Cells as a table for the terminal."""
    from rich.table import Table

    head, *body = cells
    result = Table(title=title, title_justify="left")
    for i, name in enumerate(head):
        result.add_column(name, justify="right" if i else "left")
    for row in body:
        result.add_row(*row)
    return result


def markdown(cells: Iterable[list[str]]) -> str:
    """Cells as a Markdown table."""
    head, *body = cells
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def limit_rows(result: Mapping[str, Any]) -> Iterable[list[str]]:
    """Cells: what the machine can do, and how much of it we use."""
    limits, shares = result["limits"], result["shares"]
    yield ["limit", "measured", "our share"]
    if limits:
        yield ["read, 96 MiB", f"{limits['read_small_gb_s']:.1f} GB/s", _shares(shares, "of_read_small")]
        yield ["read, 2 GiB", f"{limits['read_large_gb_s']:.1f} GB/s", _shares(shares, "of_read_large")]
        yield ["bf16 products", f"{limits['matmul_bf16_gflop_s']:.0f} GFLOP/s", _shares(shares, "of_matmul_bf16")]
        yield ["f32 products", f"{limits['matmul_f32_gflop_s']:.0f} GFLOP/s", ""]


def show(tables: Mapping[str, Iterable[list[str]]]) -> None:
    """Print tables, title → cells, to stderr."""
    from rich.console import Console

    console = Console(stderr=True, width=None if sys.stderr.isatty() else WIDTH_IN_FILES)
    for title, cells in tables.items():
        console.print(table(title, cells))


def perplexity_rows(result: Mapping[str, Any]) -> Iterable[list[str]]:
    """Cells: perplexity of each way to compute, and its ratio to float32's."""
    yield ["", "perplexity", "to float32"]
    for name, value in result["perplexity"].items():
        yield [name, f"{value:.3f}", f"{result['ratios'][name] - 1:+.2%}"]


def agreement_rows(result: Mapping[str, Any]) -> Iterable[list[str]]:
    """Cells: how far greedy answers follow float32's."""
    yield ["", "before the first difference", "identical answers"]
    for name, found in result["agreement"].items():
        yield [name, f"{found['prefix']:.1%}", f"{found['identical']:.0%}"]


def finish(result: dict[str, Any], out: Path | None) -> None:
    """Write the result to a file if one is named, and as the last line of stdout."""
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    print(json.dumps(result))


def _shares(shares: Mapping[str, Mapping[str, float]], limit: str) -> str:
    parts = [f"{FIGURES[key].title} {found[limit]:.0%}" for key, found in shares.items() if limit in found]
    return ", ".join(parts)


def _cell(found: Mapping[str, float] | None, figure: Figure) -> str:
    if found is None:
        return "–"
    return f"{found['median']:,.{figure.digits}f} ({found['best']:,.{figure.digits}f})"
