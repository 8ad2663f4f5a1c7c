"""A report as a picture: figures with their intervals, and how far confidence can be trusted."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from chatwright.eval.report import EvalReport, TaskResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_INK, _SOFT, _ACCENT = "#1f2933", "#9aa5b1", "#2563eb"
_LINE_INCHES = 0.3
_MOST_LINES = 60


def draw(report: EvalReport, path: Path) -> None:
    """Write a PNG: one panel for each scale of figures (shares of 1, bits, …), one for each reliability diagram."""
    from matplotlib.figure import Figure  # not pyplot, which keeps every picture and wants a display

    panels = _panels(report)
    diagrams = [task for task in report.tasks if task.reliability]
    heights = [_LINE_INCHES * len(lines) + 0.9 for _, lines in panels]
    rows = -(-len(diagrams) // 3)
    figure = Figure(figsize=(9, sum(heights) + 3.1 * rows + 0.5), layout="constrained")
    figure.suptitle(f"{report.model['name']} · {report.created[:10]}", x=0.02, ha="left", color=_INK, weight="bold")
    parts = figure.subfigures(len(panels) + rows, 1, height_ratios=[*heights, *[3.1] * rows], squeeze=False)[:, 0]
    for part, (title, lines) in zip(parts, panels, strict=False):
        _dots(part.subplots(), title, lines)
    for row in range(rows):
        axes = parts[len(panels) + row].subplots(1, 3)
        for column, axis in enumerate(axes):
            if row * 3 + column < len(diagrams):
                _diagram(axis, diagrams[row * 3 + column])
            else:
                axis.set_axis_off()
    figure.savefig(path, dpi=120)


_Line = tuple[str, float, float, float]  # label, value, low, high


def _panels(report: EvalReport) -> list[tuple[str, list[_Line]]]:
    """Figures that share an axis, under its title."""
    panels: dict[str, list[_Line]] = {}
    for task, name, n, figure in report.rows():
        title = "share, 0 to 1" if _is_share(name) else name
        panels.setdefault(title, []).append((f"{task} · {name} ({n})", figure.value, figure.low, figure.high))
    return [(title, lines[:_MOST_LINES]) for title, lines in panels.items()]


def _is_share(name: str) -> bool:
    return name not in ("perplexity", "bits_per_byte", "bleu", "chrf")


def _dots(axis: "Axes", title: str, lines: list[_Line]) -> None:
    for place, (_, value, low, high) in enumerate(lines):
        axis.plot([low, high], [place, place], color=_SOFT, linewidth=3, solid_capstyle="round")
        axis.plot([value], [place], "o", color=_ACCENT, markersize=6)
        axis.annotate(
            f"{value:.3g}", (high, place), (6, 0), textcoords="offset points", va="center", color=_INK, fontsize=8
        )
    axis.set_yticks(range(len(lines)), [label for label, *_ in lines], fontsize=8, color=_INK)
    axis.set_ylim(len(lines) - 0.5, -0.5)
    if title.startswith("share"):
        axis.set_xlim(0, 1.08)
    else:
        axis.margins(x=0.15)
    axis.set_title(f"{title} · with 95 % interval", loc="left", fontsize=9, color=_INK)
    _quiet(axis, grid="x")


def _diagram(axis: "Axes", task: TaskResult) -> None:
    filled = [bin_ for bin_ in task.reliability if bin_.count]
    axis.plot([0, 1], [0, 1], color=_SOFT, linewidth=1, linestyle=(0, (4, 3)))
    widths = [bin_.high - bin_.low for bin_ in filled]
    axis.bar(
        [bin_.low for bin_ in filled],
        [bin_.accuracy for bin_ in filled],
        widths,
        align="edge",
        color=_ACCENT,
        alpha=0.75,
        edgecolor="white",
    )
    for bin_ in filled:
        middle = (bin_.low + bin_.high) / 2
        axis.annotate(
            str(bin_.count), (middle, bin_.accuracy), (0, 2), textcoords="offset points", ha="center", fontsize=6
        )
    axis.set(xlim=(0, 1), ylim=(0, 1.08), aspect="equal")
    axis.set_xlabel("confidence", fontsize=8)
    axis.set_ylabel("accuracy", fontsize=8)
    error: Any = task.figures.get("ece")
    known = "" if error is None else f" · ECE {error.value:.3f}"
    axis.set_title(f"{task.name}{known}", loc="left", fontsize=9, color=_INK)
    _quiet(axis, grid="both")


def _quiet(axis: "Axes", *, grid: Any) -> None:
    """Nothing that is not data draws attention."""
    axis.grid(axis=grid, color="#e4e7eb", linewidth=0.8)
    axis.set_axisbelow(True)
    axis.tick_params(length=0, labelsize=8)
    for spine in axis.spines.values():
        spine.set_visible(False)
