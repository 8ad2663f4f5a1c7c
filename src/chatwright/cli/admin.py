"""``chatwright admin``: what is done to a server from its machine, whether it is running or not."""

import typer

from chatwright.cli import admin_accounts, admin_feedback, admin_storage
from chatwright.cli.language import say

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help=say(
        "Accounts, keys and data of a server on this machine; it may be running.",
        "管理本机服务器的账号、密钥与数据；服务器可处于运行状态。",
    ),
)
for part in (admin_accounts, admin_storage, admin_feedback):
    app.registered_commands += part.app.registered_commands
