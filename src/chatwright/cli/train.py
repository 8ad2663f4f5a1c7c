"""``chatwright train``: a recipe, from raw text to a tuned assistant."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chatwright.cli.language import language, say
from chatwright.cli.output import print_json, print_note

if TYPE_CHECKING:
    from chatwright.train.outlook import Outlook
    from chatwright.train.recipe import Recipe
    from chatwright.train.world import World

app = typer.Typer(add_completion=False)


@app.command(
    help=say(
        "Train what a recipe describes: tokenizer, pretraining, fine-tuning, preferences, evaluation.",
        "按配方训练：分词器、预训练、微调、偏好学习与评测。",
    ),
    epilog=say(
        "Example:  chatwright train recipes/quickstart.yaml --set stages.sft.learning_rate=1e-4",
        "示例：  chatwright train recipes/quickstart.yaml --set stages.sft.learning_rate=1e-4",
    ),
)
def train(
    recipe: Annotated[Path, typer.Argument(help=say("A YAML file.", "YAML 配方文件。"))],
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help=say("Change the recipe; may be given several times.", "修改配方中的一项，可多次使用。"),
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help=say("The run's folder. Default: runs/NAME.", "输出文件夹，缺省为 runs/NAME。"),
            show_default=False,
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            "--name", help=say("The run's name. Default: the recipe's.", "本次训练的名称，缺省取自配方。"),
            show_default=False,
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help=say("Go on with a run that was stopped.", "继续中断的训练。"))
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help=say("Check the recipe and show what it takes.", "只检查配方并估算开销。"))
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help=say("Print one JSON object.", "输出一个 JSON 对象。"))
    ] = False,
    on_ray: Annotated[
        bool,
        typer.Option(
            "--ray", help=say("Several processes, placed by Ray.", "由 Ray 安排多个进程一起训练。"),
        ),
    ] = False,
    num_workers: Annotated[
        int | None,
        typer.Option(
            "--num-workers", min=1, show_default=False,
            help=say(
                "With --ray: how many. Default: one for each GPU, or machine without GPUs.",
                "与 --ray 合用：进程数，缺省为每个 GPU 一个；没有 GPU 时每台机器一个。",
            ),
        ),
    ] = None,
    ray_address: Annotated[
        str | None,
        typer.Option(
            "--ray-address", metavar="HOST:PORT|local", show_default=False,
            help=say(
                "With --ray: the cluster. Default: the running one, else this machine.",
                "与 --ray 合用：集群地址，缺省为正在运行的集群，否则为本机。",
            ),
        ),
    ] = None,
) -> None:  # fmt: skip
    """Run a recipe."""
    _wait_patiently()
    from chatwright.train.distributed import FailedElsewhere, joined_processes
    from chatwright.train.outlook import outlook
    from chatwright.train.recipe import load_recipe

    wishes = [*(overrides or []), *([f"output={out}"] if out is not None else [])]
    _check_ray(on_ray, num_workers, ray_address, dry_run=dry_run)
    if on_ray:
        load_recipe(recipe, wishes, name=name)  # what is wrong with it shows before anything is started
        _launch(_arguments(recipe, wishes, name, resume=resume, as_json=as_json), num_workers, ray_address)
        return
    try:
        with joined_processes() as world:
            loaded = load_recipe(recipe, wishes, name=name)
            if world.rank == 0:
                plan = outlook(loaded)
                if dry_run:
                    print_json(plan.to_json()) if as_json else _show(plan)
                elif not resume:
                    _show(plan, note=True)
            if not dry_run:
                _run(loaded, world, resume=resume, as_json=as_json)
    except FailedElsewhere:
        raise typer.Exit(FailedElsewhere.exit_code) from None


def _wait_patiently() -> None:
    """Let threads that wait for each other give their processor away after some ten microseconds; before torch comes.

    By default they keep it for milliseconds. Beside one other busy program that made training of a small model on two
    cores twelve times slower; so it is three and a half times, and a few percent slower where nothing else runs.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "10000")


def _check_ray(on_ray: bool, num_workers: int | None, ray_address: str | None, *, dry_run: bool) -> None:
    from chatwright.errors import InvalidParameterError

    if not on_ray:
        for option, value in (("num-workers", num_workers), ("ray-address", ray_address)):
            if value is not None:
                raise InvalidParameterError(option, f"--{option} is for --ray, which is not given")
    elif dry_run:
        raise InvalidParameterError("ray", "--dry-run starts nothing, so --ray has no effect: leave one of them out")
    elif "RANK" in os.environ:
        raise InvalidParameterError("ray", "torchrun has started this process already: use torchrun or --ray, not both")


def _arguments(recipe: Path, wishes: list[str], name: str | None, *, resume: bool, as_json: bool) -> list[str]:
    """The same command, for one of several processes."""
    arguments = ["train", str(recipe)]
    for wish in wishes:
        arguments += ["--set", wish]
    if name is not None:
        arguments += ["--name", name]
    return arguments + ["--resume"] * resume + ["--json"] * as_json


def _launch(arguments: list[str], num_workers: int | None, ray_address: str | None) -> None:
    from chatwright.cli.output import print_error
    from chatwright.train.ray_launch import WorkerFailed, launch

    try:
        launch(arguments, workers=num_workers, address=ray_address, environment={"CHATWRIGHT_LANG": language()})
    except WorkerFailed as failure:
        print_error(str(failure))
        raise typer.Exit(failure.exit_code) from None


def _run(recipe: "Recipe", world: "World", *, resume: bool, as_json: bool) -> None:
    """Train, in this process' part; what there is to say is said by the first."""
    from chatwright.cli.train_progress import progress_watcher
    from chatwright.train.pipeline import run_recipe
    from chatwright.train.report import read_report

    if world.rank != 0:
        run_recipe(recipe, resume=resume, language=language(), world=world)
        return
    with progress_watcher(sys.stderr) as watcher:
        folder = run_recipe(recipe, resume=resume, watcher=watcher, language=language(), world=world)
    if as_json:
        print_json({"path": str(folder), **read_report(folder)})
    else:
        _say_result(folder)


def _show(plan: "Outlook", *, note: bool = False) -> None:
    """The plan as a table: on stdout where it is what was asked for."""
    from rich.console import Console

    from chatwright.cli.train_plan import plan_table

    Console(stderr=note, soft_wrap=False).print(plan_table(plan))


def _say_result(folder: Path) -> None:
    from chatwright.train.report import read_report

    print_note(say(f"The report: {folder / 'report.html'}", f"报告：{folder / 'report.html'}"))
    model = folder / "model"
    if read_report(folder)["model"]["chats"]:
        print_note(say(f"Talk to it: chatwright chat -m {model}", f"与它对话：chatwright chat -m {model}"))
    else:
        print_note(say(f"The model, which does not chat: {model}", f"模型（不用于对话）：{model}"))
    print(folder)
