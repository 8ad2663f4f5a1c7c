"""A sweep as a picture: its trials one after the other, how each learned, and what each key does to the result."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chatwright.train.sweep_result import Outcome, SweepResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BLUE, _ORANGE, _RED = "#3b6fd4", "#d9822b", "#c8413b"
_INK, _SOFT, _GRID, _PAPER = "#2b2f36", "#6b7280", "#e7eaf0", "#ffffff"
_MAX_SLICES = 4  # side by side; the most important keys


def draw_sweep(result: SweepResult, path: Path, *, title: str) -> None:
    """Write the picture as PNG. Without a complete trial there is none.

    Args:
        result: of the sweep.
        path: of the picture; replaced if it exists.
        title: above it.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    best = result.best
    if best is None:
        return
    keys = sorted(best.values, key=lambda key: -result.importance.get(key, 0.0))[:_MAX_SLICES]
    figure = Figure(figsize=(11.0, 7.4), dpi=150, facecolor=_PAPER)
    FigureCanvasAgg(figure)
    figure.text(0.065, 0.945, title, fontsize=16, fontweight="bold", color=_INK)
    figure.text(0.065, 0.905, _summary(result), fontsize=10, color=_SOFT)
    top = figure.add_gridspec(1, 2, wspace=0.2, left=0.065, right=0.975, top=0.815, bottom=0.525)
    _draw_history(figure.add_subplot(top[0]), result)
    _draw_learning(figure.add_subplot(top[1]), result)
    bottom = figure.add_gridspec(1, len(keys), wspace=0.12, left=0.065, right=0.975, top=0.40, bottom=0.075)
    for column, key in enumerate(keys):
        _draw_slice(figure.add_subplot(bottom[column]), result, key, named=column == 0)
    partial = path.with_name(f".{path.name}.new")
    figure.savefig(partial, format="png")
    partial.replace(path)


def _summary(result: SweepResult) -> str:
    best = result.best
    assert best is not None
    counts = [f"{len(result.ranking)} complete"]
    for state in ("pruned", "failed"):
        if number := sum(outcome.state == state for outcome in result.outcomes):
            counts.append(f"{number} {state}")
    values = "   ".join(f"{_short(key)} {label(value)}" for key, value in list(best.values.items())[:_MAX_SLICES])
    return f"{', '.join(counts)}   ·   best: trial {best.number}, {best.value:.4g}   ·   {values}"


def _draw_history(axes: "Axes", result: SweepResult) -> None:
    """Each trial's value, and the best so far."""
    _frame(axes, f"{result.metric} of each trial", whole=True)
    complete = [outcome for outcome in result.outcomes if outcome.state == "complete" and outcome.value is not None]
    pruned = [outcome for outcome in result.outcomes if outcome.state == "pruned" and outcome.value is not None]
    failed = [outcome.number for outcome in result.outcomes if outcome.state == "failed"]
    better = min if result.direction == "minimize" else max
    steps = [better(_values(complete[: end + 1])) for end in range(len(complete))]
    last = result.outcomes[-1].number
    axes.step([*(one.number for one in complete), last], [*steps, steps[-1]], where="post", color=_BLUE, linewidth=1.8,
              label="best so far")  # fmt: skip
    axes.plot([one.number for one in complete], _values(complete), "o", color=_BLUE, alpha=0.55, markersize=6,
              markeredgewidth=0, label="complete")  # fmt: skip
    _zoom(axes, [*_values(complete), *_values(pruned)], result.direction)
    if pruned:
        axes.plot([one.number for one in pruned], _values(pruned), "o", markersize=5.5, markerfacecolor=_PAPER,
                  markeredgecolor=_SOFT, label="pruned", clip_on=True)  # fmt: skip
    if failed:
        axes.plot(failed, [0.03] * len(failed), "x", color=_RED, markersize=6, transform=axes.get_xaxis_transform(),
                  label="failed")  # fmt: skip
    _mark_best(axes, result)
    axes.legend(loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncols=5, frameon=False, fontsize=8.5, labelcolor=_SOFT,
                handlelength=1.4, columnspacing=1.4, borderaxespad=0.1)  # fmt: skip


def _draw_learning(axes: "Axes", result: SweepResult) -> None:
    """The metric as each trial went, the best one in front."""
    _frame(axes, f"{result.metric} over the course of a trial")
    best = result.best
    for outcome in result.outcomes:
        if not outcome.points or outcome is best:
            continue
        stopped = outcome.state == "pruned"
        axes.plot(*_points(outcome), color=_SOFT if stopped else _BLUE, alpha=0.55 if stopped else 0.4, linewidth=1.1,
                  linestyle=(0, (3, 2)) if stopped else "-", marker="o", markersize=2.5, markeredgewidth=0)  # fmt: skip
    if best is not None and best.points:
        axes.plot(*_points(best), color=_ORANGE, linewidth=2.2, marker="o", markersize=4, markeredgewidth=0, zorder=4)
        axes.annotate(f"trial {best.number}", (best.points[-1][0], best.points[-1][1]), (-2, -13), ha="right",
                      textcoords="offset points", fontsize=9, fontweight="bold", color=_ORANGE)  # fmt: skip
    _zoom(axes, [value for outcome in result.outcomes for _, value in outcome.points], result.direction)
    low, high = axes.get_ylim()
    if best is not None and best.points and best.points[-1][1] - low < 0.12 * (high - low):
        axes.set_ylim(low - 0.1 * (high - low), high)
    axes.set_xlim(0, 103)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0f} %")


def _draw_slice(axes: "Axes", result: SweepResult, key: str, *, named: bool) -> None:
    """The value over one key; later trials are darker."""
    importance = result.importance.get(key)
    note = "" if importance is None else f"   {importance:.0%} of the effect"
    _frame(axes, "")
    axes.set_title(_short(key), loc="left", fontsize=10.5, fontweight="bold", color=_INK, pad=20)
    axes.text(0, 1.03, key.rpartition(".")[0] + note, transform=axes.transAxes, fontsize=8.5, color=_SOFT)
    complete = result.ranking
    xs, names = _positions([outcome.values[key] for outcome in complete])
    last = max(result.outcomes[-1].number, 1)
    for outcome, x in zip(complete, xs, strict=True):
        axes.plot([x], _values([outcome]), "o", color=_BLUE, alpha=0.25 + 0.6 * outcome.number / last, markersize=6.5,
                  markeredgewidth=0)  # fmt: skip
    _zoom(axes, _values(complete), result.direction)
    axes.plot(xs[:1], _values(complete[:1]), "o", color=_ORANGE, markersize=9, markeredgecolor=_PAPER, zorder=4)
    if names:
        axes.set_xticks(range(len(names)), names)
        axes.set_xlim(-0.5, len(names) - 0.5)
    elif _is_wide(xs):
        axes.set_xscale("log")
        axes.minorticks_off()
        axes.margins(x=0.08)
    axes.tick_params(labelleft=named)


def _mark_best(axes: "Axes", result: SweepResult) -> None:
    best = result.best
    assert best is not None
    assert best.value is not None
    axes.plot([best.number], [best.value], "o", color=_ORANGE, markersize=9, markeredgecolor=_PAPER, zorder=4)
    offset = (0, 9) if result.direction == "maximize" else (0, -15)
    axes.annotate(f"{best.value:.4g}", (best.number, best.value), offset, textcoords="offset points", ha="center",
                  fontsize=9.5, fontweight="bold", color=_ORANGE)  # fmt: skip


def _positions(values: Sequence[Any]) -> tuple[list[float], list[str]]:
    """Where the values of a key stand; names of the places, where they are no numbers or only a few."""
    distinct = list(dict.fromkeys(values)) if all(_is_plain(value) for value in values) else []
    numbers = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)
    if numbers and len(distinct) > 5:
        return [float(value) for value in values], []
    places = sorted(distinct) if numbers else sorted(map(str, {str(value) for value in values}))
    order = {str(place): at for at, place in enumerate(places)}
    return [float(order[str(value)]) for value in values], [label(place) for place in places]


def _is_plain(value: Any) -> bool:
    return isinstance(value, (bool, int, float, str, type(None)))


def _is_wide(values: Sequence[float]) -> bool:
    return min(values) > 0 and max(values) / min(values) > 20


def _frame(axes: "Axes", title: str, *, whole: bool = False) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_facecolor(_PAPER)
    axes.grid(True, axis="y", color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(_GRID)
    axes.tick_params(length=0, labelsize=8.5, labelcolor=_SOFT)
    axes.margins(x=0.04)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5))
    if whole:
        axes.xaxis.set_major_locator(MaxNLocator(nbins=10, integer=True))
    if title:
        axes.set_title(title, loc="left", fontsize=10.5, fontweight="bold", color=_INK, pad=22)


def _zoom(axes: "Axes", values: Sequence[float], direction: str) -> None:
    """Room around the better values: a trial that went wrong may leave the picture rather than flatten the rest."""
    ordered = sorted(values, reverse=direction == "maximize")
    kept = ordered[: math.ceil(0.9 * len(ordered))] or ordered
    if kept:
        low, high = min(kept), max(kept)
        room = 0.14 * (high - low) or 0.05 * abs(high) or 0.1
        axes.set_ylim(low - room, high + room)


def _values(outcomes: Sequence[Outcome]) -> list[float]:
    return [outcome.value for outcome in outcomes if outcome.value is not None]


def _points(outcome: Outcome) -> tuple[list[int], list[float]]:
    return [percent for percent, _ in outcome.points], [value for _, value in outcome.points]


def _short(key: str) -> str:
    return key.rpartition(".")[2]


def label(value: Any) -> str:
    """A value of a key in few characters: 0.00012345 → ``1.23e-4``."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, int) or (1e-2 <= abs(value) < 1e4) or value == 0:
        return f"{value:.4g}" if isinstance(value, float) else str(value)
    digits, _, exponent = f"{value:.2e}".partition("e")
    return f"{digits.rstrip('0').rstrip('.')}e{int(exponent)}"
