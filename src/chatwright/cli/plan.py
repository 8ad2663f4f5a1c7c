"""``chatwright plan``: what a training takes on machines that need not be here."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chatwright.cli.language import say
from chatwright.cli.output import print_json

if TYPE_CHECKING:
    from chatwright.train.plan import Plan

app = typer.Typer(add_completion=False)


@app.command(
    help=say(
        "What a training takes: operations, memory of each GPU under every sharding, days and cost. Nothing is run.",
        "估算训练开销：运算量、各分片方式下每张 GPU 的显存、天数与费用。不会真正训练。",
    ),
    epilog=say(
        "Examples:  chatwright plan llama-8b --gpus 8 --tokens 15T  ·  chatwright plan --depth 20 --gpu 4090 --gpus 1"
        "  ·  chatwright plan recipes/quickstart.yaml --gpu cpu",
        "示例：  chatwright plan llama-8b --gpus 8 --tokens 15T  ·  chatwright plan --depth 20 --gpu 4090 --gpus 1"
        "  ·  chatwright plan recipes/quickstart.yaml --gpu cpu",
    ),
)
def plan(
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="[PRESET|RECIPE]", show_default=False,
            help=say("A shape (chatwright models presets) or a recipe's file.", "模型结构名或配方文件。"),
        ),
    ] = None,
    depth: Annotated[
        int | None,
        typer.Option(
            "--depth", min=1, max=128, show_default=False,
            help=say("In place of a preset: so many layers, the rest follows.", "不用预设，只给层数，其余自动推导。"),
        ),
    ] = None,
    gpus: Annotated[
        int | None,
        typer.Option("--gpus", show_default="8; cpu: 1", help=say("How many devices.", "设备数量。")),
    ] = None,
    gpu: Annotated[
        str,
        typer.Option(
            "--gpu", help=say("Which: h100, h200, b200, a100, 4090 …, or cpu (this machine).", "设备型号，或本机 cpu。")
        ),
    ] = "h100",
    tokens: Annotated[
        str,
        typer.Option(
            "--tokens", help=say("To train on: 300M, 10B, 1.5T …", "训练词元数：300M、10B、1.5T 等。"),
        ),
    ] = "chinchilla",
    batch: Annotated[
        str | None,
        typer.Option(
            "--batch", show_default=say("what suits", "自动"), help=say("Tokens in a step: 0.5M …", "每步词元数。")
        ),
    ] = None,
    length: Annotated[
        int | None,
        typer.Option(
            "--length", min=8, show_default=say("the context, at most 4096", "上下文长度，至多 4096"),
            help=say("Tokens in a row.", "每行词元数。"),
        ),
    ] = None,
    vocab_size: Annotated[
        int | None,
        typer.Option(
            "--vocab-size", min=259, show_default=say("the preset's, else 32768", "随预设，否则 32768"),
            help=say("Tokens in the vocabulary.", "词表大小。"),
        ),
    ] = None,
    mfu: Annotated[
        float, typer.Option("--mfu", help=say("Part of the peak that is reached.", "实际达到的峰值算力比例。"))
    ] = 0.4,
    price: Annotated[
        float | None,
        typer.Option(
            "--price-per-hour", min=0, show_default=say("typical", "常见价格"),
            help=say("Dollars for an hour of one device.", "每台设备每小时的美元价格。"),
        ),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help=say("Change the recipe.", "修改配方中的一项。")),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help=say("Print one JSON object.", "输出一个 JSON 对象。"))
    ] = False,
) -> None:  # fmt: skip
    """Show a plan."""
    from chatwright.train.accelerators import find_accelerator

    shape = {"depth": depth, "tokens": None if tokens == "chinchilla" else tokens, "batch": batch}
    shape |= {"length": length, "vocab-size": vocab_size}
    device = find_accelerator(gpu)
    machine: dict[str, Any] = {"gpu": device, "gpus": gpus if gpus is not None else 1 if device.name == "cpu" else 8}
    machine |= {"mfu": mfu, "price_per_hour": price}
    made = _of_recipe(Path(what), overrides or [], shape, machine) if what and _is_recipe(what) else None
    if made is None:
        made = _of_shape(what, overrides or [], shape, machine)
    if as_json:
        print_json(made.to_json())
        return
    from rich.console import Console

    from chatwright.cli.plan_table import plan_page

    Console(soft_wrap=False).print(plan_page(made))


def _is_recipe(what: str) -> bool:
    return what.endswith((".yaml", ".yml"))


def _of_recipe(path: Path, overrides: list[str], shape: dict[str, Any], machine: dict[str, Any]) -> "Plan":
    from chatwright.errors import InvalidParameterError
    from chatwright.train.plan_recipe import plan_recipe
    from chatwright.train.recipe import load_recipe

    for option, value in shape.items():
        if value is not None:
            raise InvalidParameterError(
                option,
                say(
                    f"--{option} has no effect on a recipe, which says it itself; change the recipe with --set",
                    f"--{option} 对配方无效，请用 --set 修改配方本身",
                ),
            )
    return plan_recipe(load_recipe(path, overrides), **machine)


def _of_shape(name: str | None, overrides: list[str], shape: dict[str, Any], machine: dict[str, Any]) -> "Plan":
    from chatwright.errors import InvalidParameterError
    from chatwright.model.presets import PRESETS, preset
    from chatwright.train.explain import nearest
    from chatwright.train.plan import parse_count, plan_pretraining
    from chatwright.train.scaling import config_of_depth

    if overrides:
        raise InvalidParameterError(
            "set", say("--set changes a recipe; give the path of one", "--set 只用于配方，请给出配方文件")
        )
    if (name is None) == (shape["depth"] is None):
        raise InvalidParameterError(
            "depth",
            say(
                "give either a preset (chatwright models presets), a recipe's file, or --depth",
                "请给出预设名（chatwright models presets）、配方文件或 --depth 之一",
            ),
        )
    vocab = shape["vocab-size"]
    if name is None:
        config, title = config_of_depth(shape["depth"], vocab or 32_768), f"depth {shape['depth']}"
    elif name in PRESETS:
        config, title = preset(name, **({} if vocab is None else {"vocab_size": vocab})), name
    else:
        raise InvalidParameterError(
            "preset",
            say(
                f"no preset is called {name!r}; {nearest(name, PRESETS)} A recipe's file ends in .yaml.",
                f"没有名为 {name!r} 的预设；{nearest(name, PRESETS)} 配方文件以 .yaml 结尾。",
            ),
        )
    length = shape["length"] or min(config.max_position_embeddings, 4096)
    batch = None if shape["batch"] is None else max(round(parse_count(shape["batch"], "batch") / length), 1)
    tokens = None if shape["tokens"] is None else parse_count(shape["tokens"], "tokens")
    return plan_pretraining(config, title=title, tokens=tokens, length=length, rows_per_step=batch, **machine)
