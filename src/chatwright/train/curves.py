"""A run as a picture: loss, learning rate and speed over the steps, stage by stage."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Record = Mapping[str, Any]

_COLOURS = ("#3b6fd4", "#d9822b", "#2f9e73", "#b14a8f", "#7a62c9", "#8a7a2f")
_INK, _GRID, _PAPER = "#2b2f36", "#e4e7ec", "#ffffff"
_MAX_POINTS = 1500  # more are no more to see


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
    """The curves in the records of a run, a stage each, in order."""
    curves: dict[str, Curve] = {}
    nan = float("nan")
    for record in records:
        curve = curves.setdefault(record["stage"], Curve(record["stage"]))
        if "eval_loss" in record:
            curve.eval_steps.append(record["step"])
            curve.eval_loss.append(_number(record["eval_loss"], nan))
        elif "loss" in record:
            curve.steps.append(record["step"])
            curve.loss.append(_number(record["loss"], nan))
            curve.learning_rate.append(_number(record.get("learning_rate"), nan))
            curve.tokens_per_s.append(_number(record.get("tokens_per_s"), nan))
    return list(curves.values())


def draw_curves(records: Iterable[Record], path: Path, *, title: str) -> None:
    """Write the picture as PNG.

    Args:
        records: of ``metrics.jsonl``.
        path: of the picture; replaced if it exists.
        title: above it.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    curves = [curve for curve in curves_of(records) if curve.steps or curve.eval_steps]
    if not curves:
        return
    figure = Figure(figsize=(10, 6.4), dpi=160, facecolor=_PAPER)
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(
        2, 2, height_ratios=(2.1, 1), hspace=0.32, wspace=0.2, left=0.07, right=0.975, top=0.885, bottom=0.08
    )
    loss = figure.add_subplot(grid[0, :])
    rate, speed = figure.add_subplot(grid[1, 0]), figure.add_subplot(grid[1, 1])
    figure.text(0.07, 0.945, title, fontsize=15, fontweight="bold", color=_INK, **_font(title))
    _draw_loss(loss, curves)
    _draw_lines(rate, curves, "learning_rate", "learning rate")
    _draw_lines(speed, curves, "tokens_per_s", "tokens per second")
    partial = path.with_name(f".{path.name}.new")
    figure.savefig(partial, format="png")
    partial.replace(path)


def smoothed(values: Sequence[float], window: int) -> list[float]:
    """The exponential running mean over about ``window`` values, without the pull of its start; NaN is left out."""
    decay = 1 - 1 / max(window, 1)
    total = weight = 0.0
    means = []
    for value in values:
        if value == value:
            total = decay * total + (1 - decay) * value
            weight = decay * weight + (1 - decay)
        means.append(total / weight if weight else float("nan"))
    return means


def _draw_loss(axes: "Axes", curves: Sequence[Curve]) -> None:
    _frame(axes, "loss")
    for curve, colour in _coloured(curves):
        window = max(len(curve.loss) // 50, 1)
        if window > 1:
            axes.plot(*_thinned(curve.steps, curve.loss), color=colour, alpha=0.22, linewidth=0.9)
        label = f"{curve.name} · train"
        axes.plot(*_thinned(curve.steps, smoothed(curve.loss, window)), color=colour, linewidth=1.9, label=label)
        if curve.eval_steps:
            axes.plot(
                curve.eval_steps, curve.eval_loss, color=colour, linewidth=1.1, linestyle=(0, (4, 2)), marker="o",
                markersize=4.5, markerfacecolor=_PAPER, markeredgewidth=1.4, label=f"{curve.name} · validation",
            )  # fmt: skip
    _zoom(axes, curves)
    _mark_stages(axes, curves, names=True)
    axes.set_xlabel("step", fontsize=9, color=_INK)
    axes.legend(
        frameon=False, fontsize=9, labelcolor=_INK, loc="lower right", bbox_to_anchor=(1.0, 1.055), ncols=6,
        handlelength=1.8, columnspacing=1.6, borderaxespad=0,
    ) if len(curves) <= 3 else axes.legend(frameon=False, fontsize=8, labelcolor=_INK, ncols=2)  # fmt: skip


def _draw_lines(axes: "Axes", curves: Sequence[Curve], name: str, title: str) -> None:
    from matplotlib.ticker import EngFormatter

    _frame(axes, title)
    for curve, colour in _coloured(curves):
        axes.plot(*_thinned(curve.steps, getattr(curve, name)), color=colour, linewidth=1.6)
    if name == "tokens_per_s":
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(EngFormatter(sep=""))
    else:
        axes.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3), useMathText=True)
        axes.yaxis.get_offset_text().set(fontsize=8, color=_INK)
    _mark_stages(axes, curves, names=False)


def _frame(axes: "Axes", title: str) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_title(title, loc="left", fontsize=10.5, color=_INK, pad=7)
    axes.set_facecolor(_PAPER)
    axes.grid(True, axis="y", color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(_GRID)
    axes.tick_params(length=0, labelsize=8.5, labelcolor=_INK)
    axes.margins(x=0.01)
    axes.xaxis.set_major_locator(MaxNLocator(nbins="auto", integer=True))


def _zoom(axes: "Axes", curves: Sequence[Curve]) -> None:
    """A few wild first steps or one spike must not flatten the rest: the top is near the highest smooth value."""
    tops = []
    values = []
    for curve in curves:
        window = max(len(curve.loss) // 50, 1)
        smooth = [value for value in smoothed(curve.loss, window) if value == value]
        tops += smooth
        values += [value for value in (*smooth, *curve.eval_loss) if value == value]
    if not values:
        return
    low, high = min(values), max([*tops, *(value for value in values)])
    room = 0.06 * (high - low) or 0.1 * abs(high) or 0.1
    axes.set_ylim(max(low - room, 0) if low >= 0 else low - room, high + room)


def _mark_stages(axes: "Axes", curves: Sequence[Curve], *, names: bool) -> None:
    """A line where one stage ends and the next begins."""
    for before, after in itertools.pairwise(curves):
        ends, starts = before.steps or before.eval_steps, after.steps or after.eval_steps
        axes.axvline((max(ends) + min(starts)) / 2, color=_INK, alpha=0.25, linewidth=0.9, linestyle=(0, (2, 3)))
    if names and len(curves) > 1:
        for curve, colour in _coloured(curves):
            steps = curve.steps or curve.eval_steps
            axes.text(
                (min(steps) + max(steps)) / 2, 0.965, curve.name, transform=axes.get_xaxis_transform(), ha="center",
                va="top", fontsize=9.5, fontweight="bold", color=colour,
            )  # fmt: skip


def _coloured(curves: Sequence[Curve]) -> list[tuple[Curve, str]]:
    return [(curve, _COLOURS[index % len(_COLOURS)]) for index, curve in enumerate(curves)]


def _thinned(x: Sequence[int], y: Sequence[float]) -> tuple[Sequence[int], Sequence[float]]:
    stride = max(len(x) // _MAX_POINTS, 1)
    return x[::stride], y[::stride]


def _number(value: Any, otherwise: float) -> float:
    return float(value) if isinstance(value, (int, float)) else otherwise


def _font(text: str) -> dict[str, Any]:
    """A font that has the title's characters, where the machine has one."""
    if text.isascii():
        return {}
    from matplotlib import font_manager

    wanted = ("Noto Sans CJK SC", "Source Han Sans SC", "Microsoft YaHei", "PingFang SC", "SimHei", "WenQuanYi Zen Hei")
    present = {entry.name for entry in font_manager.fontManager.ttflist}
    return {"fontfamily": next(iter([name for name in wanted if name in present]), "sans-serif")}
