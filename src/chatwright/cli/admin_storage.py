"""``chatwright admin backup | restore | migrate``: the commands about the whole of a server's data."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chatwright.cli.language import say
from chatwright.cli.output import print_note

if TYPE_CHECKING:
    from chatwright.server.operations.backup import BackupReport
    from chatwright.server.settings import ServerSettings

app = typer.Typer(add_completion=False)

Home = Annotated[
    Path | None,
    typer.Option(
        "--home",
        show_default=False,
        help=say("The server's folder (CHATWRIGHT_HOME).", "服务器的数据文件夹（CHATWRIGHT_HOME）。"),
    ),
]


@app.command(
    help=say(
        "Write every row and every file of a server into one ZIP; the server may go on running.",
        "将服务器的全部数据与文件写入一个 ZIP；服务器可继续运行。",
    )
)
def backup(
    file: Annotated[
        Path | None,
        typer.Argument(
            show_default=False,
            help=say(
                "Where to; without it, the folder backups in the home folder.",
                "写到哪里；缺省为数据文件夹中的 backups。",
            ),
        ),
    ] = None,
    home: Home = None,
) -> None:  # fmt: skip
    """Write a backup and print its path."""
    import asyncio

    from chatwright.server.database import open_database
    from chatwright.server.operations.backup import back_up

    settings = _settings(home)
    target = file or settings.home / "backups" / f"chatwright-{datetime.now():%Y%m%d-%H%M%S}.zip"

    async def run() -> "BackupReport":
        database = await open_database(settings.database_location(), backups=settings.home / "backups")
        try:
            return await back_up(database, settings, target)
        finally:
            await database.close()

    _tell(asyncio.run(run()))
    print(target)


@app.command(
    help=say(
        "Put a backup in place of what the server has. Stop the server before.",
        "用备份替换服务器现有的数据。请先停止服务器。",
    )
)
def restore(
    file: Annotated[Path, typer.Argument(help=say("A backup.", "备份文件。"))],
    replace: Annotated[
        bool,
        typer.Option(
            "--replace",
            help=say(
                "Lose what is there; a backup of it is made before.", "丢弃现有数据；之前会先为其做一份备份。"
            ),
        ),
    ] = False,
    home: Home = None,
) -> None:  # fmt: skip
    """Restore a backup."""
    import asyncio

    from chatwright.server.database import open_database
    from chatwright.server.operations import restore as restoring
    from chatwright.server.operations.backup import back_up

    settings = _settings(home)
    before = settings.home / "backups" / f"before-restore-{datetime.now():%Y%m%d-%H%M%S}.zip"

    async def run() -> "BackupReport":
        database = await open_database(settings.database_location(), backups=settings.home / "backups")
        try:
            if replace:
                await back_up(database, settings, before)
                print_note(say(f"What was there is in {before}", f"原有数据已备份到 {before}"))
            return await restoring.restore(database, settings, file, replace=replace)
        finally:
            await database.close()

    _tell(asyncio.run(run()))


@app.command(
    help=say(
        "Bring the database to this version's form; `chatwright serve` does it too. An SQLite file is copied before.",
        "将数据库升级到当前版本的结构；`chatwright serve` 也会自动执行。SQLite 文件会先备份。",
    )
)
def migrate(home: Home = None) -> None:
    """Migrate and print the form that was reached."""
    import asyncio

    from chatwright.server.database import open_database
    from chatwright.server.database.migrations import script_directory

    settings = _settings(home)

    async def run() -> None:
        database = await open_database(settings.database_location(), backups=settings.home / "backups")
        await database.close()

    asyncio.run(run())
    newest = script_directory().get_current_head()
    print(say(f"the database has the form {newest}", f"数据库结构版本：{newest}"))


def _settings(home: Path | None) -> "ServerSettings":
    from chatwright.server.settings import load_settings

    return load_settings(**({} if home is None else {"home": home.expanduser().absolute()}))


def _tell(report: "BackupReport") -> None:
    from chatwright.model.resolve import human_size

    size = human_size(report.size_bytes)
    print_note(
        say(
            f"{report.rows} rows and {report.files} files, {size}",
            f"{report.rows} 行数据、{report.files} 个文件，{size}",
        )
    )
