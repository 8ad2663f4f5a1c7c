"""``chatwright eval``: how good a model is, in figures that can be compared and answers that can be read."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from chatwright.cli.language import say
from chatwright.cli.output import print_json, print_note

if TYPE_CHECKING:
    from collections.abc import Callable

    from chatwright.eval.report import EvalReport, TaskResult
    from chatwright.eval.tasks import Task
    from chatwright.loaded import LoadedModel

app = typer.Typer(add_completion=False)

_MACHINE = say("Machine", "运行")
_OUTPUT = say("Output", "输出")


def _help(english: str, chinese: str, *names: str, **settings: Any) -> Any:
    return typer.Option(*names, help=say(english, chinese), show_default=False, **settings)


@app.command(
    help=say(
        "Measure a model on tasks: built-in ones, files of your own, or those of lm-eval.",
        "用任务评测模型：内置任务、自己的文件，或 lm-eval 的任务。",
    ),
    epilog=say(
        "Examples:  chatwright eval --list  ·  chatwright eval runs/quickstart/model --tasks quickstart  ·  "
        "chatwright eval qwen3-0.6b --tasks arc_easy,gsm8k --limit 200 --out results  ·  "
        "chatwright eval --tasks perplexity:book.txt,exact:questions.jsonl --json",
        "示例：  chatwright eval --list  ·  chatwright eval runs/quickstart/model --tasks quickstart  ·  "
        "chatwright eval qwen3-0.6b --tasks ceval,mgsm_zh --limit 200 --out 结果  ·  "
        "chatwright eval --tasks perplexity:书.txt,exact:问题.jsonl --json",
    ),
)
def evaluate(
    model: Annotated[
        str | None,
        typer.Argument(
            help=say(
                "A name, a folder or a .gguf file; without it, the embedded model.",
                "名称、文件夹或 .gguf 文件；缺省为内置模型。",
            ),
            envvar="CHATWRIGHT_MODEL",
            show_default=False,
        ),
    ] = None,
    tasks: Annotated[
        list[str] | None,
        _help(
            "Names, NAME:FILE for data of your own, or task files (.yaml); separated by commas.",
            "任务名、NAME:文件（使用自己的数据）或任务文件（.yaml），以逗号分隔。",
            "--tasks",
            "-t",
        ),
    ] = None,
    lm_eval: Annotated[
        list[str] | None,
        _help("Tasks of the lm-eval harness, by its names.", "lm-eval 的任务名。", "--lm-eval"),
    ] = None,
    include_path: Annotated[
        Path | None,
        _help("A folder of lm-eval task files, in place of its own.", "自备的 lm-eval 任务文件夹。", "--include-path"),
    ] = None,
    list_tasks: Annotated[bool, _help("Show the built-in tasks.", "列出内置任务。", "--list")] = False,
    limit: Annotated[
        int | None, _help("At most so many questions of each task.", "每个任务最多多少题。", "--limit", "-n", min=1)
    ] = None,
    fewshot: Annotated[
        int | None,
        _help("Solved examples before each question.", "每题之前的示例数。", "--fewshot", min=0, max=64),
    ] = None,
    form: Annotated[
        Literal["auto", "chat", "plain"] | None,
        _help(
            "chat: through the chat template; plain: as running text. Default: as each task says.",
            "chat：套用对话模板；plain：纯文本。缺省由任务决定。",
            "--form",
        ),
    ] = None,
    seed: Annotated[int, _help("Of the confidence intervals: 0.", "置信区间的随机种子，缺省 0。", "--seed")] = 0,
    device: Annotated[
        str, _help("auto, cpu, cuda or mps.", "auto、cpu、cuda 或 mps。", "--device", rich_help_panel=_MACHINE)
    ] = "auto",
    dtype: Annotated[
        str,
        _help(
            "auto, float32, bfloat16 or float16.",
            "auto、float32、bfloat16 或 float16。",
            "--dtype",
            rich_help_panel=_MACHINE,
        ),
    ] = "auto",
    threads: Annotated[
        int | None, _help("Processor threads.", "处理器线程数。", "--threads", min=1, rich_help_panel=_MACHINE)
    ] = None,
    max_model_len: Annotated[
        int | None,
        _help(
            "Longest context, in tokens.", "最大上下文 token 数。", "--max-model-len", min=16, rich_help_panel=_MACHINE
        ),
    ] = None,
    batch_tokens: Annotated[
        int,
        _help(
            "Tokens that are scored at once: 4096. Less takes less memory.",
            "一次计算似然的 token 数，缺省 4096；越小越省内存。",
            "--batch-tokens",
            min=1,
            rich_help_panel=_MACHINE,
        ),
    ] = 4096,
    out: Annotated[
        Path | None,
        _help(
            "A folder for report.json, report.png and every answer; or a .json file for the report alone.",
            "保存 report.json、report.png 与全部回答的文件夹；或只存报告的 .json 文件。",
            "--out",
            "-o",
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    as_json: Annotated[
        bool, _help("Print the report as one JSON object.", "输出一个 JSON 对象。", "--json", rich_help_panel=_OUTPUT)
    ] = False,
) -> None:
    """Run tasks and print what they found."""
    if list_tasks:
        _print_list(as_json)
        return
    from chatwright.errors import InvalidParameterError

    ours, harness = _names(tasks), _names(lm_eval)
    if not ours and not harness:
        raise InvalidParameterError("tasks", "no task is given; say --tasks NAME; `chatwright eval --list` shows them")
    if include_path is not None and not harness:
        raise InvalidParameterError("include_path", "--include-path has no effect without --lm-eval")
    read = [_adapted(name, fewshot, form) for name in ours]  # a mistake shows before the model is loaded
    from chatwright.cli.output import working
    from chatwright.loaded import LoadedModel

    with working(say("Loading the model …", "正在载入模型 …")):
        loaded = LoadedModel.open(model, device=device, dtype=dtype, threads=threads, max_model_len=max_model_len)
    try:
        with _progress() as progress:
            report = _run(loaded, read, limit=limit, seed=seed, batch_tokens=batch_tokens, progress=progress)
        if harness:
            found = _harness(
                loaded, harness, include_path, limit=limit, fewshot=fewshot, chat=form == "chat", seed=seed
            )
            report = report.with_tasks(found)
    finally:
        loaded.close()
    if out is not None:
        report.save(out)
    if as_json:
        print_json(report.to_json())
    else:
        _print_table(report)
        if out is not None:
            print_note(say(f"Report and answers: {out}", f"报告与回答：{out}"))


def _names(given: list[str] | None) -> list[str]:
    """The parts of lists separated by commas."""
    return [name.strip() for text in given or () for name in text.split(",") if name.strip()]


def _adapted(name: str, fewshot: int | None, form: str | None) -> "Task":
    """A task, with what the command line says about all of them."""
    from chatwright.eval.tasks import load_task

    task = load_task(name)
    changes: dict[str, Any] = {}
    if fewshot is not None:
        changes["fewshot"] = fewshot
        if fewshot == 0:  # then there is nothing to say about examples
            changes |= {"fewshot_data": None, "fewshot_answer": None}
    if form is not None:
        changes["form"] = form
    for key in [key for key in changes if not task.knows(key)]:
        del changes[key]
        if key in ("fewshot", "form"):
            print_note(say(f"--{key} means nothing to {task.name}", f"--{key} 对 {task.name} 无意义"))
    return task.replace(**changes) if changes else task


def _run(
    loaded: "LoadedModel",
    tasks: "list[Task]",
    *,
    limit: int | None,
    seed: int,
    batch_tokens: int,
    progress: "Callable[[str, int, int], None]",
) -> "EvalReport":
    from chatwright.eval.runner import evaluate, new_report

    if not tasks:
        return new_report(loaded, (), limit=limit, seed=seed)
    return evaluate(loaded, tasks, limit=limit, seed=seed, batch_tokens=batch_tokens, progress=progress)


def _harness(
    loaded: "LoadedModel",
    tasks: list[str],
    include_path: Path | None,
    *,
    limit: int | None,
    fewshot: int | None,
    chat: bool,
    seed: int,
) -> "list[TaskResult]":
    from chatwright.eval.graders import missing
    from chatwright.eval.runner import scoring_model

    try:
        from chatwright.eval.lm_eval_adapter import run_lm_eval
    except ImportError:
        raise missing("lm-eval", "--lm-eval") from None
    return run_lm_eval(
        loaded,
        scoring_model(loaded),
        tasks,
        include_path=include_path,
        limit=limit,
        fewshot=fewshot,
        chat=chat,
        seed=seed,
    )


@contextmanager
def _progress() -> "Iterator[Callable[[str, int, int], None]]":
    """A bar for each task on a terminal's stderr; nothing where nobody watches."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from chatwright.cli.output import stderr_console

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=stderr_console(), disable=not sys.stderr.isatty()) as bars:
        known: dict[str, Any] = {}

        def show(task: str, done: int, total: int) -> None:
            if task not in known:
                known[task] = bars.add_task(task, total=total)
            bars.update(known[task], completed=done, total=total)

        yield show


def _print_list(as_json: bool) -> None:
    from chatwright.eval.tasks import builtin_names, builtin_task

    tasks = [builtin_task(name) for name in builtin_names()]
    if as_json:
        print_json([{"name": task.name, "kind": task.kind, "description": task.description} for task in tasks])
        return
    table = _table(None, say("task", "任务"), say("kind", "类型"), say("what it asks", "内容"))
    for task in tasks:
        table.add_row(task.name, task.kind, task.description)
    _print(table)
    print_note(
        say(
            "A task of your own is a YAML file: --tasks my-task.yaml. NAME:FILE asks a task's question of your data.",
            "自己的任务写成 YAML 文件：--tasks my-task.yaml；NAME:文件 用自己的数据提问。",
        )
    )


def _print_table(report: "EvalReport") -> None:
    heads = (say("task", "任务"), say("figure", "指标"), say("questions", "题数"), say("value", "值"))
    table = _table(report.model["name"], *heads, say("95 % interval", "95% 区间"), right=range(2, 5))
    last = None
    for task, name, n, figure in report.rows():
        interval = f"{_number(figure.low)} – {_number(figure.high)}"
        table.add_row("" if task == last else task, name, str(n), _number(figure.value), interval)
        last = task
    _print(table)
    for result in report.tasks:
        for name, count in result.counts.items():
            print_note(f"{result.name}: {count} {_COUNTS.get(name, name)}")


_COUNTS = {
    "truncated": say("answers were cut at max_tokens", "个回答在 max_tokens 处被截断"),
    "overlong": say("questions are longer than the context and were left out", "题超出上下文，未计入"),
    "dropped_shots": say("solved examples were left out, for want of context", "个示例因上下文不足而省略"),
    "unextracted": say("answers do not hold what `extract` looks for", "个回答中没有 extract 要找的内容"),
}


def _number(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.2f}"


def _table(title: str | None, *columns: str, right: range = range(0)) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold")
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index in right else "left", overflow="fold")
    return table


def _print(table: Any) -> None:
    from rich.console import Console

    # A pipe has no width: nothing may be wrapped or cut in what another program reads.
    Console(width=None if sys.stdout.isatty() else 240).print(table)
