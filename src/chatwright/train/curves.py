"""A run as a picture: a column for each stage, with its loss, learning rate and speed over the steps."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Record = Mapping[str, Any]

_COLOURS = ("#3b6fd4", "#d9822b", "#2f9e73", "#b14a8f", "#7a62c9", "#8a7a2f")
_INK, _SOFT, _GRID, _PAPER = "#2b2f36", "#6b7280", "#e7eaf0", "#ffffff"
_MAX_POINTS = 1500  # more are no more to see
_FONTS = ("Noto Sans CJK SC", "Source Han Sans SC", "Microsoft YaHei", "PingFang SC", "SimHei", "WenQuanYi Zen Hei")


@dataclass(slots=True)
class Curve:
    """What a picture needs of one stage.

    Attributes:
        name: of the stage.
        steps, loss, learning_rate, tokens_per_s: of each recorded step.
        eval_steps, eval_loss: of each evaluation.
    """

    name: str
    steps: list[int] = field(default_factory=list)
    loss: list[float] = field(default_factory=list)
    learning_rate: list[float] = field(default_factory=list)
    tokens_per_s: list[float] = field(default_factory=list)
    eval_steps: list[int] = field(default_factory=list)
    eval_loss: list[float] = field(default_factory=list)


def curves_of(records: Iterable[Record]) -> list[Curve]:
    """The curves in the records of a run, a stage each, in order. Steps that were skipped have no place in them."""
    curves: dict[str, Curve] = {}
    for record in records:
        curve = curves.setdefault(record["stage"], Curve(record["stage"]))
        if "eval_loss" in record:
            curve.eval_steps.append(record["step"])
            curve.eval_loss.append(_number(record["eval_loss"]))
        elif "loss" in record and not record.get("skipped"):
            curve.steps.append(record["step"])
            curve.loss.append(_number(record["loss"]))
            curve.learning_rate.append(_number(record.get("learning_rate")))
            curve.tokens_per_s.append(_number(record.get("tokens_per_s")))
    return [curve for curve in curves.values() if curve.steps or curve.eval_steps]


def draw_curves(records: Iterable[Record], path: Path, *, title: str) -> None:
    """Write the picture as PNG. Without anything to draw there is none.

    Args:
        records: of ``metrics.jsonl``.
        path: of the picture; replaced if it exists.
        title: above it.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    curves = curves_of(records)
    if not curves:
        return
    figure = Figure(figsize=(max(9.0, 3.6 * len(curves) + 0.6), 6.6), dpi=160, facecolor=_PAPER)
    FigureCanvasAgg(figure)
    left, right = 0.62 / figure.get_figwidth(), 1 - 0.25 / figure.get_figwidth()
    grid = figure.add_gridspec(
        3, len(curves), height_ratios=(3, 1, 1), hspace=0.3, wspace=0.22, left=left, right=right, top=0.83, bottom=0.07
    )
    figure.text(left, 0.935, title, fontsize=16, fontweight="bold", color=_INK, **_font(title))
    for column, curve in enumerate(curves):
        colour = _COLOURS[column % len(_COLOURS)]
        loss, rate, speed = (figure.add_subplot(grid[row, column]) for row in range(3))
        _draw_loss(loss, curve, colour)
        _draw_rate(rate, curve, colour, named=column == 0)
        _draw_speed(speed, curve, colour, named=column == 0)
    _legend(figure, right)
    partial = path.with_name(f".{path.name}.new")
    figure.savefig(partial, format="png")
    partial.replace(path)


def smoothed(values: Sequence[float], window: int) -> list[float]:
    """The mean over ``window`` neighbours of each value, fewer at the ends; a value that is NaN is left out."""
    import numpy as np

    array = np.asarray(values, dtype=np.float64)
    known = np.isfinite(array)
    sums = np.concatenate([[0.0], np.cumsum(np.where(known, array, 0.0))])
    counts = np.concatenate([[0], np.cumsum(known)])
    at = np.arange(len(array))
    half = np.minimum(np.minimum(at, len(array) - 1 - at), window // 2)  # symmetric, so that a slope is not shifted
    total, count = sums[at + half + 1] - sums[at - half], counts[at + half + 1] - counts[at - half]
    return [float(value) for value in np.where(count > 0, total / np.maximum(count, 1), np.nan)]


def _draw_loss(axes: "Axes", curve: Curve, colour: str) -> None:
    _frame(axes)
    axes.set_title(curve.name, loc="left", fontsize=12, fontweight="bold", color=colour, pad=10, **_font(curve.name))
    window = max(len(curve.loss) // 40, 1)
    means = smoothed(curve.loss, window)
    if window > 1:
        axes.plot(*_thinned(curve.steps, curve.loss), color=colour, alpha=0.2, linewidth=0.8)
    axes.plot(*_thinned(curve.steps, means), color=colour, linewidth=2.0, solid_capstyle="round")
    axes.plot(
        curve.eval_steps, curve.eval_loss, color=_INK, linewidth=0.9, linestyle=(0, (4, 2)), marker="o", markersize=4,
        markerfacecolor=_PAPER, markeredgewidth=1.2,
    )  # fmt: skip
    _zoom(axes, [value for value in (*means, *curve.eval_loss) if value == value])
    if curve.eval_loss:
        axes.annotate(
            f"{curve.eval_loss[-1]:.3f}", (curve.eval_steps[-1], curve.eval_loss[-1]), (0, 9), ha="right",
            textcoords="offset points", fontsize=9.5, fontweight="bold", color=_INK,
        )  # fmt: skip


def _draw_rate(axes: "Axes", curve: Curve, colour: str, *, named: bool) -> None:
    from matplotlib.ticker import MaxNLocator

    _frame(axes)
    _name(axes, "learning rate" if named else "")
    axes.plot(*_thinned(curve.steps, curve.learning_rate), color=colour, linewidth=1.5)
    top = max((value for value in curve.learning_rate if value == value), default=0.0)
    axes.set_ylim(0, top * 1.15 or 1.0)
    axes.yaxis.set_major_formatter(lambda value, _: _scientific(value))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=3))


def _draw_speed(axes: "Axes", curve: Curve, colour: str, *, named: bool) -> None:
    from matplotlib.ticker import EngFormatter, MaxNLocator

    _frame(axes)
    _name(axes, "tokens per second" if named else "")
    speed = smoothed(curve.tokens_per_s, max(len(curve.steps) // 60, 1))
    axes.plot(*_thinned(curve.steps, speed), color=colour, linewidth=1.5)
    axes.set_ylim(0, max((value for value in speed if value == value), default=1.0) * 1.2 or 1.0)
    axes.yaxis.set_major_formatter(EngFormatter(sep=""))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=3))


def _frame(axes: "Axes") -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_facecolor(_PAPER)
    axes.grid(True, axis="y", color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(_GRID)
    axes.tick_params(length=0, labelsize=8.5, labelcolor=_SOFT)
    axes.margins(x=0.02)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))


def _name(axes: "Axes", title: str) -> None:
    axes.set_title(title, loc="left", fontsize=9.5, color=_SOFT, pad=5)


def _zoom(axes: "Axes", values: Sequence[float]) -> None:
    """Room around the smooth curve: a spike may leave the picture rather than flatten the rest."""
    if values:
        low, high = min(values), max(values)
        room = 0.08 * (high - low) or 0.1 * abs(high) or 0.1
        axes.set_ylim(low - room, high + room)


def _legend(figure: "Figure", right: float) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=_SOFT, linewidth=2.0, label="training loss"),
        Line2D([], [], color=_INK, linewidth=0.9, linestyle=(0, (4, 2)), marker="o", markersize=4,
               markerfacecolor=_PAPER, markeredgewidth=1.2, label="validation loss"),
    ]  # fmt: skip
    figure.legend(
        handles=handles, loc="upper right", bbox_to_anchor=(right, 0.975), ncols=2, frameon=False, fontsize=9.5,
        labelcolor=_INK, columnspacing=1.6, handlelength=2.2, borderaxespad=0,
    )  # fmt: skip


def _thinned(x: Sequence[int], y: Sequence[float]) -> tuple[Sequence[int], Sequence[float]]:
    stride = max(len(x) // _MAX_POINTS, 1)
    return x[::stride], y[::stride]


def _scientific(value: float) -> str:
    """0.0002 → ``2e-4``."""
    if value == 0:
        return "0"
    digits, _, exponent = f"{value:.1e}".partition("e")
    return f"{digits.removesuffix('.0')}e{int(exponent)}"


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) else float("nan")


def _font(text: str) -> dict[str, Any]:
    """A font that has the text's characters, where the machine has one."""
    if text.isascii():
        return {}
    from matplotlib import font_manager

    present = {entry.name for entry in font_manager.fontManager.ttflist}
    return {"fontfamily": next((name for name in _FONTS if name in present), "sans-serif")}
