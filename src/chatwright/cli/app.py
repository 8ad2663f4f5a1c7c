"""The ``chatwright`` program: finds the command that is asked for, and turns every error into one clear sentence."""

import errno
import logging
import os
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from chatwright.cli.language import say
from chatwright.errors import ChatwrightError, ConfigError, InputError, InvalidParameterError

# Name → module with an ``app``. A module is imported when its command runs or is listed, so none imports torch.
COMMANDS = {
    "chat": "chatwright.cli.chat",
    "serve": "chatwright.cli.serve",
    "admin": "chatwright.cli.admin",
    "models": "chatwright.cli.models",
    "data": "chatwright.cli.data",
    "train": "chatwright.cli.train",
    "plan": "chatwright.cli.plan",
    "sweep": "chatwright.cli.sweep",
    "eval": "chatwright.cli.eval",
    "export": "chatwright.cli.export",
}

EXIT_FAILED = 1
EXIT_USAGE = 2


class LazyGroup(TyperGroup):
    """The group of all commands, each in a module of its own; and the one place where errors meet a person."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Every command's name, in the order of use."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import a command's module; None where there is no such command."""
        if cmd_name not in COMMANDS:
            return None
        command = get_command(import_module(COMMANDS[cmd_name]).app)
        command.name = cmd_name
        return command

    def invoke(self, ctx: Any) -> Any:
        """Run the command; every error becomes one sentence, and a bug of ours leaves its traceback in the log."""
        try:
            return super().invoke(ctx)
        except ChatwrightError as error:
            _print_error(str(error))
            is_usage = isinstance(error, (InvalidParameterError, ConfigError, InputError))
            raise typer.Exit(EXIT_USAGE if is_usage else EXIT_FAILED) from error
        except (typer.TyperException, typer.Exit, typer.Abort):
            raise
        except Exception as error:
            if isinstance(error, OSError) and error.errno == errno.EPIPE:
                raise  # the reader of our output went away; typer ends the program quietly
            _print_error(_bug_report(error))
            raise typer.Exit(EXIT_FAILED) from error


app = typer.Typer(
    cls=LazyGroup,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=say(
        'Examples:  chatwright chat "Why is the sky blue?"  ·  chatwright chat -m qwen3-0.6b  ·  chatwright models',
        '示例：  chatwright chat "天空为什么是蓝色的？"  ·  chatwright chat -m qwen3-0.6b  ·  chatwright models',
    ),
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from chatwright import __version__

        print(f"chatwright {__version__}")
        raise typer.Exit


@app.callback(help=say("Run a ChatGPT of your own.", "运行属于你自己的 ChatGPT。"))
def _main(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_show_version,
            is_eager=True,
            help=say("Show the version and exit.", "显示版本号后退出。"),
        ),
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the program with the arguments of this process."""
    try:
        app(prog_name="chatwright")
    except SystemExit as end:
        if isinstance(end.code, int) and {"RANK", "WORLD_SIZE"} <= os.environ.keys():  # torchrun has started it
            from chatwright.train.distributed import end_process

            end_process(end.code)
        raise


def _print_error(message: str) -> None:
    from chatwright.cli.output import print_error

    print_error(message)


def _bug_report(error: Exception) -> str:
    """Write the traceback to the log file, and return the sentence for the screen."""
    from chatwright.paths import home_dir

    what = f"{type(error).__name__}: {error}".splitlines()[0][:300]
    path = home_dir() / "logs" / "chatwright.log"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = logging.FileHandler(path, encoding="utf-8")
    except OSError:
        return say(
            f"this is a bug of Chatwright ({what}); no log could be written to {path.parent}",
            f"这是 Chatwright 自身的缺陷（{what}）；无法在 {path.parent} 写入日志",
        )
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.Logger("chatwright.cli")
    logger.addHandler(handler)
    logger.error("unexpected error", exc_info=error)
    handler.close()
    return say(
        f"this is a bug of Chatwright ({what}); the details are in {path}, please report them",
        f"这是 Chatwright 自身的缺陷（{what}）；详情见 {path}，欢迎反馈",
    )
