"""The plan of a run as a table."""

from typing import TYPE_CHECKING

from chatwright.cli.language import say

if TYPE_CHECKING:
    from rich.console import RenderableType

    from chatwright.train.outlook import Outlook, StageOutlook


def plan_table(plan: "Outlook") -> "RenderableType":
    """What the run will take, a row for each stage."""
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    table.add_column(say("stage", "阶段"), style="bold", no_wrap=True)
    for title in (
        say("trained", "训练参数"),
        say("steps", "步数"),
        say("batch", "每步词元"),
        say("tokens", "词元"),
        say("memory", "内存"),
        say("time", "用时"),
    ):
        table.add_column(title, justify="right", no_wrap=True)
    for stage in plan.stages:
        table.add_row(stage.name, *_cells(stage))
    head = Text.assemble((plan.name, "bold"), f"  ·  {_model(plan)}  ·  {plan.folder}")
    notes = [Text(note, style="dim") for note in plan.notes]
    return Group(head, table, *notes)


def _cells(stage: "StageOutlook") -> list[str]:
    about = "" if stage.exact else "≈ "
    return [
        count(stage.trainable_parameters),
        _known(about, None if stage.steps is None else f"{stage.steps:,}"),
        count(stage.tokens_per_step),
        _known(about, None if stage.tokens is None else count(stage.tokens)),
        size(stage.memory_bytes),
        _known("≈ ", None if stage.seconds is None else duration(stage.seconds)),
    ]


def _known(about: str, text: str | None) -> str:
    return "?" if text is None else about + text


def _model(plan: "Outlook") -> str:
    size = count(plan.parameters)
    return say(f"{plan.model}, {size} parameters", f"{plan.model}，{size} 参数")


def count(value: float | None) -> str:
    """1,234,000 → ``1.23M``."""
    if value is None:
        return "?"
    for size, sign in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "K")):
        if value >= size:
            return f"{value / size:.3g}{sign}"
    return f"{value:.0f}"


def size(num_bytes: int) -> str:
    """``120 MB``, ``3.4 GB``."""
    return f"{num_bytes / 1e9:.1f} GB" if num_bytes >= 1e9 else f"{num_bytes / 1e6:.0f} MB"


def duration(seconds: float) -> str:
    """``45 s``, ``12 min``, ``3 h 05 min``, ``2 d 4 h``, in the person's language."""
    minutes, hours, days = seconds / 60, seconds / 3600, seconds / 86400
    if seconds < 90:
        return say(f"{seconds:.0f} s", f"{seconds:.0f} 秒")
    if minutes < 90:
        return say(f"{minutes:.0f} min", f"{minutes:.0f} 分钟")
    if hours < 36:
        whole, rest = divmod(round(minutes), 60)
        return say(f"{whole} h {rest:02} min", f"{whole} 小时 {rest:02} 分")
    whole, rest = divmod(round(hours), 24)
    return say(f"{whole} d {rest} h" if days < 100 else f"{days:,.0f} d", f"{whole} 天 {rest} 小时")
