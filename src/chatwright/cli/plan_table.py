"""A plan for people: the work, the time and the cost, and what each device holds."""

from typing import TYPE_CHECKING

from chatwright.cli.language import say
from chatwright.cli.train_plan import count, duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType
    from rich.table import Table

    from chatwright.train.plan import Layout, Plan, StagePlan


def plan_page(plan: "Plan") -> "RenderableType":
    """The whole plan, 80 columns wide."""
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = [Text(""), _machine(plan), _work(plan)]
    for stages in _alike(plan.stages):
        parts += [_memory_title(stages, several=len(plan.stages) > 1), _memory(stages[0])]
    parts += [Text(note, style="dim") for note in (*plan.notes, *_notes(plan))]
    return Group(*parts)


def money(dollars: float | None) -> str:
    """``$3.20``, ``$1,250``."""
    if dollars is None:
        return "?"
    if 0 < dollars < 0.01:
        return "< $0.01"
    if dollars >= 1e6:
        return f"${count(dollars)}"
    return f"${dollars:,.2f}" if dollars < 100 else f"${dollars:,.0f}"


def _machine(plan: "Plan") -> "RenderableType":
    from rich.text import Text

    gpu = plan.gpu
    facts = [f"{gpu.bf16_flops / 1e12:,.0f} TFLOP/s", f"{gpu.memory_bytes / 1e9:,.0f} GB"]
    if gpu.bf16_flops < 1e13:
        facts[0] = f"{gpu.bf16_flops / 1e9:,.0f} GFLOP/s"
    if gpu.bandwidth is not None:
        facts.append(f"{gpu.bandwidth / 1e12:.2f} TB/s")
    return Text.assemble((plan.title, "bold"), f"  ·  {plan.gpus} × {gpu.title}  ", (f"({', '.join(facts)})", "dim"))


def _work(plan: "Plan") -> "Table":
    table = _table(
        say("stage", "阶段"), say("parameters", "参数"), say("tokens", "词元"), say("FLOPs/token", "FLOP/词元"),
        say("FLOPs", "总 FLOP"), say("steps", "步数"), say("time", "用时"), say("cost", "费用"),
    )  # fmt: skip
    for stage in plan.stages:
        table.add_row(
            stage.work.name,
            count(stage.parameters),
            count(stage.work.tokens),
            _power(stage.flops_per_token),
            _power(stage.flops),
            "?" if stage.steps is None else _steps(stage.steps),
            _time(stage.seconds),
            money(plan.cost(stage.seconds)),
        )
    if len(plan.stages) > 1:
        table.add_section()
        table.add_row(say("all", "合计"), *[""] * 5, _time(plan.seconds), money(plan.cost(plan.seconds)), style="bold")
    return table


def _alike(stages: "Sequence[StagePlan]") -> "list[list[StagePlan]]":
    """The stages in groups that need the same memory."""
    groups: dict[object, list[StagePlan]] = {}
    for stage in stages:
        groups.setdefault((stage.layouts, stage.batch_tokens), []).append(stage)
    return list(groups.values())


def _memory_title(stages: "Sequence[StagePlan]", *, several: bool) -> "RenderableType":
    from rich.text import Text

    stage = stages[0]
    rest = stage.parameters - stage.embedding_parameters
    line = say(
        f"{count(stage.embedding_parameters)} parameters are embeddings, {count(rest)} are not",
        f"嵌入参数 {count(stage.embedding_parameters)}，其余 {count(rest)}",
    )
    if stage.active_parameters != stage.parameters:
        active = count(stage.active_parameters)
        line += say(f"; a token meets {active}", f"；每个词元激活 {active}")
    if stage.batch_tokens is not None:
        rows = f"{stage.work.rows_per_step:,} × {stage.work.row_length:,}"
        line += say(f"; a step has {rows} tokens", f"；每步 {rows} 词元")
    if stage.learning_rate is not None:
        line += say(f", a rate of {stage.learning_rate:.2g} suits", f"，建议学习率 {stage.learning_rate:.2g}")
    return Text.assemble((", ".join(stage.work.name for stage in stages) + ": " if several else "", "bold"), line)


def _memory(stage: "StagePlan") -> "Table":
    biggest = max(max(layout.fixed, layout.row) for layout in stage.layouts)
    unit, name = (1e9, "GB") if biggest >= 1e10 else (1e6, "MB")
    table = _table(
        say(f"{name} on each", f"每台 {name}"), say("weights", "权重"), say("grads", "梯度"), say("masters", "主权重"),
        say("optim.", "优化器"), say("passing", "临时"), say("1 row", "1 行"), say("again", "重算"),
        say("rows fit", "可容行数"),
    )  # fmt: skip
    for layout in stage.layouts:
        sizes = [layout.weights, layout.gradients, layout.masters, layout.optimizer, layout.passing]
        sizes += [layout.row, layout.row_recomputed]
        style = "green" if layout.fits else "dim"
        table.add_row(_name(layout), *(_short(size / unit) for size in sizes), _fits(layout), style=style)
    return table


def _name(layout: "Layout") -> str:
    names = {
        "single": say("one device", "单设备"),
        "ddp": f"DDP × {layout.replicas}",
        "fsdp": f"FSDP2 × {layout.shards}",
        "hsdp": f"HSDP {layout.replicas} × {layout.shards}",
    }
    return names[layout.sharding]


def _fits(layout: "Layout") -> str:
    if not layout.fits:
        return say("✗ none", "✗ 放不下")
    return f"✓ {layout.rows:,} / {layout.rows_recomputed:,}"


def _notes(plan: "Plan") -> list[str]:
    from chatwright.train.plan import CHINCHILLA, TYPICAL_MFU

    notes = [
        say(
            "1 row, again: activations of a row of a micro-batch, all kept or computed again; rows fit: likewise.",
            "“1 行/重算”：一行微批次的激活，全部保留或重新计算；“可容行数”同理。",
        ),
        say(f"Device: {plan.gpu.source}.", f"设备数据：{plan.gpu.source}。"),
    ]
    typical = say(" (an assumption)", "（假设）") if plan.mfu == TYPICAL_MFU else ""
    notes.append(say(f"Time: at {plan.mfu:.0%} of the peak{typical}", f"用时：按峰值的 {plan.mfu:.0%} 计{typical}"))
    if plan.price_per_hour is None:
        notes[-1] += say("; cost: give --price-per-hour.", "；费用：请给出 --price-per-hour。")
    else:
        rate = money(plan.price_per_hour)
        assumed = "" if plan.price_given else say(", a typical price and an assumption", "，为常见价格，属假设")
        notes[-1] += say(f"; cost: at {rate} an hour for each{assumed}.", f"；费用：每台每小时 {rate}{assumed}。")
    if any(_is_chinchilla(stage) for stage in plan.stages):
        notes.append(say(f"Tokens: {CHINCHILLA}.", f"词元：{CHINCHILLA}。"))
    return notes


def _is_chinchilla(stage: "StagePlan") -> bool:
    from chatwright.train.scaling import TOKENS_PER_PARAMETER

    return stage.work.tokens == TOKENS_PER_PARAMETER * stage.parameters


def _table(first: str, *others: str) -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column(first, style="bold", no_wrap=True)
    for title in others:
        table.add_column(title, justify="right", no_wrap=True)
    return table


def _steps(steps: int) -> str:
    return f"{steps:,}" if steps < 1_000_000 else count(steps)


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "?"
    return duration(seconds) if seconds >= 1 else say("< 1 s", "< 1 秒")


def _power(value: float | None) -> str:
    """1.2e+21 → ``1.2e21``."""
    return "?" if value is None else f"{value:.2e}".replace("e+", "e")


def _short(value: float) -> str:
    """Three digits, and more only before the point."""
    return f"{value:,.0f}" if value >= 99.95 else f"{value:.1f}"
