"""``chatwright sweep``: search for better settings of a recipe."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from chatwright.cli.language import say
from chatwright.cli.output import print_json, print_note

if TYPE_CHECKING:
    from rich.table import Table

    from chatwright.train.sweep_result import Outcome, SweepResult, SweepWatcher

app = typer.Typer(add_completion=False)

_SHOWN = 10  # trials in the table


@app.command(
    help=say(
        "Search for better settings: train a recipe many times, with other values of the keys that you name.",
        "搜索更好的超参数：对指定的配方项取不同的值，反复训练并比较。",
    ),
    epilog=say(
        "Examples:  chatwright sweep recipe.yaml --over stages.sft.learning_rate=1e-5..1e-3:log"
        "  ·  chatwright sweep recipe.yaml --over stages.sft.train_batch_size=4,8,16"
        " --over stages.sft.weight_decay=0..0.2 --trials 30  ·  with --resume, go on after a stop",
        "示例：  chatwright sweep recipe.yaml --over stages.sft.learning_rate=1e-5..1e-3:log"
        "  ·  chatwright sweep recipe.yaml --over stages.sft.train_batch_size=4,8,16"
        " --over stages.sft.weight_decay=0..0.2 --trials 30  ·  加上 --resume 可继续中断的搜索",
    ),
)
def sweep(
    recipe: Annotated[Path, typer.Argument(help=say("A YAML file.", "YAML 配方文件。"))],
    over: Annotated[
        list[str],
        typer.Option(
            "--over", metavar="KEY=VALUES",
            help=say(
                "What to vary: KEY=1e-5..1e-3:log, KEY=0..0.4:0.1 (steps), KEY=2..8 or KEY=4,8,16. May be repeated.",
                "变化的配方项：KEY=1e-5..1e-3:log、KEY=0..0.4:0.1（步长）、KEY=2..8 或 KEY=4,8,16，可多次使用。",
            ),
        ),
    ],
    trials: Annotated[
        int,
        typer.Option(
            "--trials", "-n", min=1,
            help=say(
                "How many, those before a resume included; if only lists are given, at most every combination once.",
                "试验总数（含恢复之前的）；若全部为列表，则每种组合至多一次。",
            ),
        ),
    ] = 20,
    metric: Annotated[
        str,
        typer.Option(
            "--metric",
            help=say(
                "A figure of the last stage, or STAGE.FIGURE: loss, eval_loss, eval_TASK_METRIC.",
                "最后一个阶段的指标，或“阶段.指标”：loss、eval_loss、eval_任务_指标。",
            ),
        ),
    ] = "eval_loss",
    direction: Annotated[
        Literal["minimize", "maximize"] | None,
        typer.Option(
            "--direction", show_default=say("by the metric's name", "由指标名推断"),
            help=say("Whether less or more is better.", "指标越小越好还是越大越好。"),
        ),
    ] = None,
    pruner: Annotated[
        Literal["median", "hyperband", "none"],
        typer.Option(
            "--pruner", help=say("What stops trials that lag behind at an evaluation.", "如何提前停止落后的试验。")
        ),
    ] = "median",
    study: Annotated[
        str | None,
        typer.Option(
            "--study", metavar="NAME|DIR", show_default="runs/NAME-sweep",
            help=say("The sweep's folder, or its name under runs/.", "搜索的文件夹，或其在 runs/ 下的名称。"),
        ),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help=say("Change the recipe for every trial.", "对所有试验修改配方中的一项。")
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help=say("Go on with a sweep that was stopped; --trials may be more.", "继续中断的搜索，--trials 可增大。"),
        ),
    ] = False,
    keep_models: Annotated[
        bool,
        typer.Option(
            "--keep-models", help=say("Keep every trial's model, not only the best.", "保留所有试验的模型。")
        ),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help=say("Print one JSON object.", "输出一个 JSON 对象。"))
    ] = False,
) -> None:  # fmt: skip
    """Run a sweep."""
    from chatwright.train.sweep import run_sweep
    from chatwright.train.sweep_result import SweepSettings

    settings = SweepSettings(
        recipe=recipe,
        over=tuple(over),
        overrides=tuple(overrides or ()),
        trials=trials,
        metric=metric,
        direction=direction,
        pruner=pruner,
        folder=None if study is None else _folder(study),
        keep_models=keep_models,
    )
    result = run_sweep(settings, resume=resume, watcher=_watcher())
    if as_json:
        print_json(result.to_json())
        return
    _show(result)


def ranking_table(result: "SweepResult") -> "Table":
    """The best trials, a column for each key."""
    from rich import box
    from rich.table import Table

    from chatwright.train.sweep_picture import label

    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    table.add_column(say("trial", "试验"), justify="right")
    table.add_column(result.metric, justify="right", style="bold")
    ranking = result.ranking[:_SHOWN]
    keys = list(ranking[0].values) if ranking else []
    names = _short_names(keys)
    for key in keys:
        share = result.importance.get(key)
        table.add_column(names[key] + ("" if share is None else f"\n{share:.0%}"), justify="right")
    table.add_column(say("time", "用时"), justify="right")
    for place, outcome in enumerate(ranking):
        cells = [f"{outcome.value:.4f}", *(label(outcome.values[key]) for key in keys), _time(outcome)]
        table.add_row(str(outcome.number), *cells, style="green" if place == 0 else None)
    return table


def _show(result: "SweepResult") -> None:
    from rich.console import Console

    from chatwright.train.sweep_folder import BEST_FILE, PICTURE_FILE

    Console(soft_wrap=False).print(ranking_table(result))
    rest = len(result.outcomes) - len(result.ranking)
    if rest:
        print_note(say(f"{rest} trials were pruned or failed.", f"另有 {rest} 次试验被提前停止或失败。"))
    picture, best = result.folder / PICTURE_FILE, result.folder / BEST_FILE
    print_note(say(f"The picture: {picture}", f"图：{picture}"))
    print_note(say(f"The best recipe: chatwright train {best}", f"最佳配方：chatwright train {best}"))
    print(best)


def _watcher() -> "SweepWatcher":
    """Lines on stderr."""
    from chatwright.cli.train_plan import duration
    from chatwright.train.sweep_picture import label
    from chatwright.train.sweep_result import SweepWatcher

    class Lines(SweepWatcher):
        def trial_started(self, number: int, values: Mapping[str, Any], *, again: bool) -> None:
            names = _short_names(list(values))
            shown = "  ".join(f"{names[key]}={label(value)}" for key, value in values.items())
            note = say(" (going on)", "（继续）") if again else ""
            print_note(say(f"trial {number}{note}: {shown}", f"试验 {number}{note}：{shown}"))

        def trial_ended(self, outcome: "Outcome", best: "Outcome | None") -> None:
            state = {
                "complete": say("complete", "完成"),
                "pruned": say("pruned", "提前停止"),
                "failed": say("failed", "失败"),
            }[outcome.state]
            value = "" if outcome.value is None else f" {outcome.value:.4f}"
            line = f"  {state}{value}  {duration(outcome.seconds)}"
            if outcome.error is not None:
                line += f"  {outcome.error}"
            elif best is not None:
                line += say(
                    f"  best: trial {best.number}, {best.value:.4f}", f"  最佳：试验 {best.number}，{best.value:.4f}"
                )
            print_note(line)

    return Lines()


def _short_names(keys: list[str]) -> dict[str, str]:
    """The last part of each key, with the parts before it where that is not enough to tell them apart."""
    last = [key.rpartition(".")[2] for key in keys]
    return {
        key: name if last.count(name) == 1 else key.removeprefix("stages.")
        for key, name in zip(keys, last, strict=True)
    }


def _folder(study: str) -> Path:
    path = Path(study).expanduser()
    return path if path.is_absolute() or len(path.parts) > 1 else Path("runs") / path


def _time(outcome: "Outcome") -> str:
    from chatwright.cli.train_plan import duration

    return duration(outcome.seconds)
