"""A report as a picture: figures with their intervals, and how far confidence can be trusted."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from chatwright.eval.report import EvalReport, TaskResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_INK, _SOFT, _GRID, _ACCENT = "#1f2933", "#9aa5b1", "#e4e7eb", "#2563eb"
_LINE_INCHES, _HEAD_INCHES, _DIAGRAM_INCHES = 0.28, 0.7, 3.0
_COLUMNS = 3
_MOST_LINES = 60

# Figures that share an axis; whatever is not named here is a share of right answers.
_PANELS = {
    "ece": "calibration error (ECE), Brier score: lower is better",
    "brier": "calibration error (ECE), Brier score: lower is better",
    "bleu": "BLEU, chrF: 0 to 100",
    "chrf": "BLEU, chrF: 0 to 100",
    "bits_per_byte": "bits per byte: lower is better",
    "perplexity": "perplexity: lower is better",
}
_SHARES = "0 to 1: higher is better"
_ENDS = {_SHARES: 1.0, _PANELS["bleu"]: 100.0}


def draw(report: EvalReport, path: Path) -> None:
    """Write a PNG: one panel for each scale of figures, and one reliability diagram for each task of choices."""
    from matplotlib.figure import Figure  # not pyplot, which keeps every picture and wants a display

    panels = _panels(report)
    diagrams = [task for task in report.tasks if task.reliability]
    heights = [_LINE_INCHES * len(lines) + _HEAD_INCHES for lines in panels.values()]
    heights += [_DIAGRAM_INCHES] * -(-len(diagrams) // _COLUMNS)
    figure = Figure(figsize=(9, sum(heights) + 0.4), layout="constrained")
    figure.suptitle(f"{report.model['name']} · {report.created[:10]}", x=0.01, ha="left", color=_INK, weight="bold")
    grid = figure.add_gridspec(len(heights), _COLUMNS, height_ratios=heights)
    for row, (title, lines) in enumerate(panels.items()):
        _dots(figure.add_subplot(grid[row, :]), title, lines)
    for place, task in enumerate(diagrams):
        row, column = divmod(place, _COLUMNS)
        _diagram(figure.add_subplot(grid[len(panels) + row, column]), task)
    figure.savefig(path, dpi=120)


_Line = tuple[str, float, float, float]  # label, value, low, high


def _panels(report: EvalReport) -> dict[str, list[_Line]]:
    """Title → figures that share an axis."""
    panels: dict[str, list[_Line]] = {}
    for task, name, n, figure in report.rows():
        lines = panels.setdefault(_PANELS.get(name, _SHARES), [])
        if len(lines) < _MOST_LINES:
            lines.append((f"{task} · {name} ({n})", figure.value, figure.low, figure.high))
    return panels


def _dots(axis: "Axes", title: str, lines: list[_Line]) -> None:
    end = _ENDS.get(title, 1.1 * max(high for *_, high in lines))
    for place, (_, value, low, high) in enumerate(lines):
        axis.plot([low, high], [place, place], color=_SOFT, linewidth=3, solid_capstyle="round", clip_on=False)
        axis.plot([value], [place], "o", color=_ACCENT, markersize=6, clip_on=False)
        # All values in one column at the right, where no interval can cover them.
        axis.annotate(
            f"{value:.3g}",
            (1, place),
            (8, 0),
            ("axes fraction", "data"),
            "offset points",
            color=_INK,
            fontsize=8,
            va="center",
        )
    axis.set_yticks(range(len(lines)), [label for label, *_ in lines], fontsize=8, color=_INK)
    axis.set_ylim(len(lines) - 0.5, -0.5)
    axis.set_xlim(0, end)
    axis.set_title(title, loc="left", fontsize=9, color=_INK)
    _quiet(axis, grid="x")


def _diagram(axis: "Axes", task: TaskResult) -> None:
    filled = [bin_ for bin_ in task.reliability if bin_.count]
    axis.plot([0, 1], [0, 1], color=_SOFT, linewidth=1, linestyle=(0, (4, 3)))
    for bin_ in filled:
        width = bin_.high - bin_.low
        axis.bar(bin_.low, bin_.accuracy, width, align="edge", color=_ACCENT, alpha=0.75, edgecolor="white")
        above = (bin_.low + width / 2, bin_.accuracy)
        axis.annotate(str(bin_.count), above, (0, 2), textcoords="offset points", ha="center", fontsize=6, color=_INK)
    axis.set(xlim=(0, 1), ylim=(0, 1.08), aspect="equal")
    axis.set_xlabel("confidence", fontsize=8, color=_INK)
    axis.set_ylabel("accuracy", fontsize=8, color=_INK)
    axis.set_title(f"{task.name} · ECE {task.figures['ece'].value:.3f}", loc="left", fontsize=9, color=_INK)
    _quiet(axis, grid="both")


def _quiet(axis: "Axes", *, grid: Any) -> None:
    """Nothing that is not data draws attention."""
    axis.grid(axis=grid, color=_GRID, linewidth=0.8)
    axis.set_axisbelow(True)
    axis.tick_params(length=0, labelsize=8)
    for spine in axis.spines.values():
        spine.set_visible(False)
