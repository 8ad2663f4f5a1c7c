"""``chatwright export``: a model as a Hugging Face folder or a GGUF file."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from chatwright.cli.language import say
from chatwright.cli.output import print_json

app = typer.Typer(add_completion=False)


@app.command(
    help=say(
        "Write a model for other programs: a folder for transformers and vLLM, a GGUF file for llama.cpp and Ollama.",
        "导出模型给其他程序：transformers 与 vLLM 的文件夹，或 llama.cpp 与 Ollama 的 GGUF 文件。",
    ),
    epilog=say(
        "Example:  chatwright export default --format gguf --dtype q8_0 --out model.gguf",
        "示例：  chatwright export default --format gguf --dtype q8_0 --out model.gguf",
    ),
)
def export(
    model: Annotated[str, typer.Argument(help=say("A name, a folder or a .gguf file.", "名称、文件夹或 .gguf 文件。"))],
    out: Annotated[
        Path, typer.Option("--out", "-o", help=say("The folder or file to make.", "要生成的文件夹或文件。"))
    ],
    adapter: Annotated[
        Path | None,
        typer.Option(
            "--adapter",
            show_default=False,
            help=say(
                "Folder of a LoRA adapter to merge into the model.",
                "要合并进模型的 LoRA 适配器文件夹。",
            ),
        ),
    ] = None,
    format: Annotated[
        Literal["hf", "gguf"], typer.Option("--format", "-f", help=say("What to write.", "导出格式。"))
    ] = "hf",
    dtype: Annotated[
        Literal["f32", "f16", "bf16", "q8_0"] | None,
        typer.Option(
            "--dtype",
            help=say(
                "How weights are stored (q8_0: GGUF only). Default: as they are; from or to GGUF bf16.",
                "权重的存储精度（q8_0 仅用于 GGUF）。缺省保持原样；涉及 GGUF 时为 bf16。",
            ),
            show_default=False,
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help=say("Replace what is there.", "覆盖已有内容。"))
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help=say("Print one JSON object.", "输出一个 JSON 对象。"))
    ] = False,
) -> None:
    """Write a model in another form."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

    from chatwright.cli.output import stderr_console
    from chatwright.model.export import export_model

    source: str | Path = model
    if adapter is not None:
        from chatwright.model.merged import merged_folder

        source = merged_folder(adapter, model)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    with Progress(*columns, console=stderr_console(), disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(out.name, total=None)
        export_model(
            source,
            out,
            format=format,
            dtype=dtype,
            overwrite=overwrite,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    if as_json:
        print_json({"path": str(out), "format": format, "dtype": dtype})
    else:
        print(out)
