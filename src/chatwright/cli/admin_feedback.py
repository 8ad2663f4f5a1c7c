"""``chatwright admin export-feedback``: what people said about answers, as data to train on."""

import asyncio
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from chatwright.cli.language import say
from chatwright.cli.output import print_note
from chatwright.errors import StorageError

if TYPE_CHECKING:
    from chatwright.server.settings import ServerSettings

app = typer.Typer(add_completion=False)

_FILES: Final = {"chosen": "preference.jsonl", "completion": "rated.jsonl"}


@app.command(
    "export-feedback",
    help=say(
        "Write the judgements that people let be trained on: preference.jsonl for DPO, rated.jsonl for KTO. Personal "
        "data is redacted as the server's settings say.",
        "导出用户同意用于训练的评价：preference.jsonl 用于 DPO，rated.jsonl 用于 KTO。个人信息按服务器设置脱敏。",
    ),
)
def export_feedback(
    folder: Annotated[Path, typer.Argument(help=say("Where to; it is made.", "输出文件夹，不存在则创建。"))],
    home: Annotated[
        Path | None,
        typer.Option(
            "--home",
            show_default=False,
            help=say("The server's folder (CHATWRIGHT_HOME).", "服务器的数据文件夹（CHATWRIGHT_HOME）。"),
        ),
    ] = None,
) -> None:
    """Write both files and print their paths."""
    from chatwright.server.settings import load_settings

    settings = load_settings(**({} if home is None else {"home": home.expanduser().absolute()}))
    try:
        counts = asyncio.run(_export(settings, folder))
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        raise StorageError(f"cannot write to {folder}: {error.strerror or error}") from error
    for name, count in counts.items():
        print_note(say(f"{count} rows", f"{count} 行"))
        print(folder / name)


async def _export(settings: "ServerSettings", folder: Path) -> dict[str, int]:
    """Both files, whole or not at all; how many rows each has."""
    from chatwright.server.accounts import AuditLog, RuntimeSettings
    from chatwright.server.database import open_database
    from chatwright.server.privacy import open_privacy
    from chatwright.server.privacy.training import training_rows

    folder.mkdir(parents=True, exist_ok=True)
    database = await open_database(settings.database_location(), backups=settings.home / "backups")
    counts = dict.fromkeys(_FILES.values(), 0)
    partial = {name: folder / f".{name}.partial" for name in counts}
    files = {name: os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8")
             for name, path in partial.items()}  # fmt: skip
    try:
        runtime = RuntimeSettings(database, settings, AuditLog(database))
        async with open_privacy(settings, runtime) as policy:
            async for row in training_rows(database, policy):
                name = next(file for key, file in _FILES.items() if key in row)
                files[name].write(json.dumps(row, ensure_ascii=False) + "\n")
                counts[name] += 1
        for name, file in files.items():
            file.close()
            partial[name].replace(folder / name)
    finally:
        for name, file in files.items():
            file.close()
            partial[name].unlink(missing_ok=True)
        await database.close()
    return counts
