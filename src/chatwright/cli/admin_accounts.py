"""``chatwright admin create-user | create-key | …``: accounts, straight in the database.

A server that is running sees every change at once; sessions and streams that a change ends are ended there too.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import typer

from chatwright.cli.language import language, say
from chatwright.cli.output import print_json, print_note
from chatwright.errors import InputError

if TYPE_CHECKING:
    from chatwright.server.accounts import Accounts
    from chatwright.server.accounts.directory import Changes
    from chatwright.server.principal import Principal

T = TypeVar("T")
app = typer.Typer(add_completion=False)

_LONGEST_INPUT: Final = 4096


class Role(StrEnum):
    """What an account may do."""

    user = "user"
    admin = "admin"


class Scope(StrEnum):
    """What a key may be for."""

    inference = "inference"
    files = "files"
    fine_tuning = "fine_tuning"
    conversations = "conversations"
    admin = "admin"


Name = Annotated[str, typer.Argument(metavar=say("NAME", "用户名"), help=say("The account's name.", "账号的用户名。"))]
Home = Annotated[
    Path | None,
    typer.Option(
        "--home",
        show_default=False,
        help=say("The server's folder (CHATWRIGHT_HOME).", "服务器的数据文件夹（CHATWRIGHT_HOME）。"),
    ),
]
PasswordStdin = Annotated[
    bool,
    typer.Option(
        "--password-stdin",
        help=say("Read the password from stdin instead of asking for it.", "从标准输入读取密码，而不是提示输入。"),
    ),
]


@app.command("create-user", help=say("Make an account.", "创建账号。"))
def create_user(
    name: Name,
    admin: Annotated[bool, typer.Option("--admin", help=say("It administers the server.", "设为管理员。"))] = False,
    password_stdin: PasswordStdin = False,
    home: Home = None,
) -> None:
    """Make an account and print its id."""
    password = _password(password_stdin)

    async def work(accounts: "Accounts", operator: "Principal") -> str:
        return (await accounts.directory.create(operator, name, password, "admin" if admin else "user")).id

    print(_run(home, work))


@app.command(
    "create-key",
    help=say(
        "Make an API key for an account and print it. It cannot be shown again.",
        "为账号创建 API 密钥并打印；之后无法再次显示。",
    ),
)
def create_key(
    name: Name,
    scope: Annotated[
        list[Scope] | None,
        typer.Option(
            "--scope", show_default=False, help=say("What it is for; all but admin.", "用途；缺省为除 admin 外的全部。")
        ),
    ] = None,
    label: Annotated[
        str, typer.Option("--label", help=say("By which its owner knows it.", "供所有者辨认的名称。"))
    ] = "command line",
    days: Annotated[
        int | None,
        typer.Option("--days", min=1, max=3650, show_default=False, help=say("How long it holds.", "有效天数。")),
    ] = None,
    home: Home = None,
) -> None:
    """Make a key; it alone goes to stdout."""
    scopes = tuple(scope or [every for every in Scope if every is not Scope.admin])

    async def work(accounts: "Accounts", operator: "Principal") -> str:
        user = await accounts.directory.by_name(name)
        new = await accounts.key_ring.create(
            operator,
            user.id,
            "admin" if user.role == "admin" else "user",
            name=label[:200],
            scopes=tuple(one.value for one in scopes),
            expires_in_days=days,
        )
        return new.key

    print(_run(home, work))


@app.command("list-users", help=say("Show all accounts.", "列出所有账号。"))
def list_users(
    as_json: Annotated[bool, typer.Option("--json", help=say("Print one JSON value.", "输出一个 JSON 值。"))] = False,
    home: Home = None,
) -> None:
    """Show every account."""

    async def work(accounts: "Accounts", _: "Principal") -> list[dict[str, Any]]:
        from chatwright.server.accounts.shapes import UserInfo

        rows: list[dict[str, Any]] = []
        while page := await accounts.directory.page(limit=500, after=rows[-1]["id"] if rows else None):
            rows += [UserInfo.of(row).model_dump() for row in page]
        return rows

    rows = _run(home, work)
    if as_json:
        print_json(rows)
        return
    for row in rows:
        state = say("  disabled", "  已停用") if row["disabled"] else ""
        print(f"{row['id']}  {row['role']:5}  {row['name']}{state}")


@app.command("reset-password", help=say("Give an account another password.", "重设账号的密码。"))
def reset_password(name: Name, password_stdin: PasswordStdin = False, home: Home = None) -> None:
    """Set a password; every session of the account ends."""
    from chatwright.server.accounts.directory import Changes

    _change(home, name, Changes(password=_password(password_stdin)))


@app.command("set-role", help=say("Make an account an administrator, or an ordinary user.", "设为管理员或普通用户。"))
def set_role(name: Name, role: Role, home: Home = None) -> None:
    """Set the role; every session of the account ends."""
    from chatwright.server.accounts.directory import Changes

    _change(home, name, Changes(role="admin" if role is Role.admin else "user"))


@app.command("disable", help=say("Let nobody use an account any more.", "停用账号。"))
def disable(name: Name, home: Home = None) -> None:
    """Disable an account; its sessions and streams end."""
    from chatwright.server.accounts.directory import Changes

    _change(home, name, Changes(disabled=True))


@app.command("enable", help=say("Let a disabled account be used again.", "重新启用账号。"))
def enable(name: Name, home: Home = None) -> None:
    """Enable an account."""
    from chatwright.server.accounts.directory import Changes

    _change(home, name, Changes(disabled=False))


@app.command("delete-user", help=say("Delete an account and all that belongs to it.", "删除账号及其全部数据。"))
def delete_user(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help=say("Do not ask.", "不再询问。"))] = False,
    home: Home = None,
) -> None:
    """Delete an account, after asking."""
    if not yes:
        typer.confirm(
            say(f"Delete {name} with all conversations?", f"确定删除 {name} 及其全部对话？"), abort=True, err=True
        )

    async def work(accounts: "Accounts", operator: "Principal") -> None:
        user = await accounts.directory.by_name(name)
        await accounts.directory.delete(operator, user.id)

    _run(home, work)
    print_note(say(f"{name} is deleted", f"已删除 {name}"))


def _change(home: Path | None, name: str, changes: "Changes") -> None:
    async def work(accounts: "Accounts", operator: "Principal") -> None:
        user = await accounts.directory.by_name(name)
        await accounts.directory.change(operator, user.id, changes)

    _run(home, work)
    print_note(say(f"{name} is changed", f"已更改 {name}"))


def _run(home: Path | None, work: "Callable[[Accounts, Principal], Awaitable[T]]") -> T:
    """Do something with the accounts of the server of a home."""
    from chatwright.server.principal import Principal

    operator = Principal(name="command line", role="admin", channel="local", language=language())

    async def run() -> T:
        async with _open(home) as accounts:
            return await work(accounts, operator)

    return asyncio.run(run())


@asynccontextmanager
async def _open(home: Path | None) -> "AsyncIterator[Accounts]":
    from chatwright.server.accounts import Accounts, AuditLog, RuntimeSettings
    from chatwright.server.database import open_database
    from chatwright.server.privacy.erasure import Erasure
    from chatwright.server.settings import load_settings

    settings = load_settings(**({} if home is None else {"home": home.expanduser().absolute()}))
    database = await open_database(settings.database_location(), backups=settings.home / "backups")
    try:
        audit = AuditLog(database)
        accounts = Accounts(database, settings, RuntimeSettings(database, settings, audit), audit)
        accounts.on_delete(Erasure(database).forget)  # files on disk are swept by the server
        yield accounts
    finally:
        await database.close()


def _password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.read(_LONGEST_INPUT).rstrip("\r\n")
    if not sys.stdin.isatty():
        raise InputError(
            say(
                "there is no terminal to ask for the password; pass it on stdin with --password-stdin",
                "没有可用于输入密码的终端；请用 --password-stdin 从标准输入传入",
            )
        )
    answer: str = typer.prompt(say("Password", "密码"), hide_input=True, confirmation_prompt=True, err=True)
    return answer
