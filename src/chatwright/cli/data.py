"""``chatwright data``: look at training data as a model will see it, count it, and prepare it."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chatwright.cli.language import say
from chatwright.cli.output import print_json, print_note, stderr_console

if TYPE_CHECKING:
    from chatwright.data.encode import RowEncoder
    from chatwright.data.settings import DataSettings
    from chatwright.data.store import ExampleStore

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help=say("Look at training data, count it, prepare it.", "查看、统计与预处理训练数据。"),
)


class Kind(StrEnum):
    """Kinds of rows; the same names as in :data:`chatwright.data.any_encoder.KINDS`."""

    TEXT = "text"
    CHAT = "chat"
    PREFERENCE = "preference"
    RATED = "rated"
    LABELLED = "labelled"
    PROMPT = "prompt"


Path_ = Annotated[
    str,
    typer.Argument(
        metavar="PATH",
        help=say(
            "A file, folder, pattern, hub name (owner/name), builtin:NAME, or a recipe.",
            "文件、文件夹、通配符、数据集名（owner/name）、builtin:名称，或配方文件。",
        ),
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        envvar="CHATWRIGHT_MODEL",
        show_default=False,
        help=say(
            "Whose tokens and chat template; without it, the embedded model's.",
            "采用哪个模型的分词与模板，缺省为内置模型。",
        ),
    ),
]
TokenizerFolder = Annotated[
    str | None,
    typer.Option(
        "--tokenizer", help=say("A folder with a tokenizer, instead.", "改用此文件夹中的分词器。"), show_default=False
    ),
]
OfKind = Annotated[
    Kind | None,
    typer.Option(
        "--kind",
        "-k",
        help=say("What a row is. Default: by its keys.", "数据类型，缺省按字段识别。"),
        show_default=False,
    ),
]
DataKey = Annotated[
    str | None,
    typer.Option("--data", help=say("Which of a recipe's data.", "选用配方中的哪份数据。"), show_default=False),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help=say("A setting of the data, such as clean=true; repeatable.", "数据设置，如 clean=true，可多次使用。"),
    ),
]
MaxLength = Annotated[
    int,
    typer.Option("--max-length", min=8, help=say("Most tokens of a chat or an answer.", "对话或回答的词元上限。")),
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers", min=1, help=say("Processes. Default: one a core.", "进程数，缺省每核一个。"), show_default=False
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help=say("Print JSON.", "输出 JSON。"))]


@app.command(
    help=say("Show rows as a model sees them, learned tokens coloured.", "以模型的视角显示样本，参与训练的词元着色。"),
    epilog=say(
        "Example:  chatwright data preview my-chats.jsonl -m default -n 5",
        "示例：  chatwright data preview my-chats.jsonl -m default -n 5",
    ),
)
def preview(
    path: Path_,
    model: Model = None,
    tokenizer: TokenizerFolder = None,
    kind: OfKind = None,
    data: DataKey = None,
    settings: Settings = None,
    number: Annotated[int, typer.Option("-n", "--number", min=1, help=say("How many rows.", "显示几条。"))] = 3,
    max_length: MaxLength = 2048,
    max_chars: Annotated[
        int, typer.Option("--max-chars", min=1, help=say("Show no more of each.", "每条最多显示的字符数。"))
    ] = 4000,
    as_json: AsJson = False,
) -> None:
    """Print samples."""
    from rich.console import Console

    from chatwright.cli.data_source import rows_of, settings_of, template_of
    from chatwright.cli.data_view import complaints, legend, sample_text
    from chatwright.data.preview import Previewer
    from chatwright.data.report import DataReport

    report = DataReport()
    rows = rows_of(settings_of(path, data, settings or []), kind, report)
    previewer = Previewer(template_of(model, tokenizer), max_length)
    console = Console(soft_wrap=True, highlight=False)
    coloured = console.is_terminal and not console.no_color
    if not as_json:
        console.print(legend(coloured=coloured), end="\n\n")
    for index, row in enumerate(islice(rows, number), 1):
        sample = previewer.sample(row)
        if as_json:
            print_json(asdict(sample))
        else:
            console.print(sample_text(sample, index, coloured=coloured, max_chars=max_chars))
    for line in complaints(report):
        print_note(line)


@app.command(
    help=say("Count rows, tokens, languages, duplicates and faults.", "统计条数、词元、语言、重复与错误。"),
    epilog=say(
        "Example:  chatwright data info corpus/ --kind text",
        "示例：  chatwright data info corpus/ --kind text",
    ),
)
def info(
    path: Path_,
    model: Model = None,
    tokenizer: TokenizerFolder = None,
    kind: OfKind = None,
    data: DataKey = None,
    settings: Settings = None,
    max_length: MaxLength = 2048,
    workers: Workers = None,
    as_json: AsJson = False,
) -> None:
    """Print the figures of a source, or of prepared data."""
    from rich.console import Console

    from chatwright.cli.data_source import rows_of, settings_of, template_of
    from chatwright.cli.data_view import complaints, survey_table
    from chatwright.data.report import DataReport
    from chatwright.data.store import INDEX, ExampleStore
    from chatwright.data.survey import survey

    if (Path(path) / INDEX).is_file():
        _show_store(ExampleStore.open(path), as_json=as_json)
        return
    report = DataReport()
    rows = rows_of(settings_of(path, data, settings or []), kind, report)
    template = template_of(model, tokenizer)
    with _counting(say("Counting", "统计中")) as progress:
        found = survey(rows, report, template, max_length=max_length, workers=workers, progress=progress)
    if as_json:
        print_json(found.to_json())
        return
    Console().print(survey_table(found))
    for line in complaints(report):
        print_note(line)


@app.command(
    help=say(
        "Clean, deduplicate and tokenise data into a folder that training maps into memory.",
        "清洗、去重并分词，写入供训练内存映射的文件夹。",
    ),
    epilog=say(
        "Example:  chatwright data prepare corpus/ -o prepared -m default --set clean=true --set dedup=minhash",
        "示例：  chatwright data prepare corpus/ -o prepared -m default --set clean=true --set dedup=minhash",
    ),
)
def prepare(
    path: Path_,
    out: Annotated[
        Path, typer.Option("--out", "-o", help=say("The folder to make.", "要生成的文件夹。"), show_default=False)
    ],
    model: Model = None,
    tokenizer: TokenizerFolder = None,
    kind: OfKind = None,
    data: DataKey = None,
    settings: Settings = None,
    max_length: MaxLength = 2048,
    workers: Workers = None,
    as_json: AsJson = False,
) -> None:
    """Make a store of a source."""
    from chatwright.cli.data_source import rows_of, settings_of
    from chatwright.cli.data_view import complaints
    from chatwright.data.identity import identity_of
    from chatwright.data.report import DataReport
    from chatwright.data.tokenize import build_store

    chosen = settings_of(path, data, settings or [])
    kind, encoder = _encoder(chosen, kind, model, tokenizer, max_length)
    report = DataReport()
    with _counting(say("Preparing", "预处理中")) as progress:
        rows, source = rows_of(chosen, kind, report), identity_of(chosen)
        store = build_store(
            rows,
            encoder,
            out,
            source=source,
            workers=workers,
            max_refused=chosen.max_malformed,
            progress=progress,
        )
    if not report.read:
        print_note(say(f"{out} is up to date", f"{out} 已是最新"))
    for line in complaints(report):
        print_note(line)
    _show_store(store, as_json=as_json)


def _encoder(
    settings: "DataSettings", kind: Kind | None, model: str | None, tokenizer: str | None, max_length: int
) -> "tuple[Kind, RowEncoder]":
    """The encoder that a source needs: of its first row's kind, unless one is given."""
    from chatwright.cli.data_source import rows_of, template_of
    from chatwright.data.any_encoder import encoder_of, kind_of
    from chatwright.data.report import DataReport
    from chatwright.data.rows import Labelled
    from chatwright.errors import InputError

    if kind is None:
        first = next(rows_of(settings, None, DataReport()), None)
        if first is None:
            raise InputError(f"{settings.label} has no rows")
        kind = Kind(kind_of(first))
    classes: set[str] = set()
    if kind is Kind.LABELLED:
        classes = {row.label for row in rows_of(settings, kind, DataReport()) if isinstance(row, Labelled)}
    return kind, encoder_of(kind, template_of(model, tokenizer), max_length, sorted(classes))


def _show_store(store: "ExampleStore", *, as_json: bool) -> None:
    from rich.console import Console

    from chatwright.cli.data_view import figures_table

    facts = store.facts
    if as_json:
        print_json({"path": str(store.folder), **facts.to_json()})
        return
    size = sum(size for size, _ in facts.files.values())
    lines: list[tuple[str, Any]] = [
        (say("prepared data", "预处理数据"), store.folder),
        (say("rows read", "读取条数"), facts.num_rows),
        (say("examples", "样本数"), facts.num_examples),
        (say("tokens", "词元数"), facts.num_tokens),
        (say("learned", "参与训练"), facts.num_learned),
        (say("bytes", "字节数"), size),
        *sorted(facts.tally.items()),
    ]
    Console().print(figures_table(lines))


@contextmanager
def _counting(what: str) -> "Iterator[Callable[[int, int], None]]":
    """A moving line on a terminal's stderr: rows and tokens so far, and how fast."""
    import time

    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    started = time.monotonic()
    with Progress(*columns, console=stderr_console(), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(what, total=None)

        def show(rows: int, tokens: int) -> None:
            speed = tokens / max(time.monotonic() - started, 1e-3)
            text = say(
                f"{what}: {rows:,} rows, {tokens:,} tokens, {speed:,.0f} a second",
                f"{what}：{rows:,} 条，{tokens:,} 个词元，每秒 {speed:,.0f} 个",
            )
            bar.update(task, description=text)

        yield show
