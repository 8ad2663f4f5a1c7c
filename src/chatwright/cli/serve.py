"""``chatwright serve``: the server in the foreground, until Ctrl-C."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chatwright.cli.language import say
from chatwright.cli.output import print_note, stderr_console

if TYPE_CHECKING:
    from chatwright.server.settings import ServerSettings

app = typer.Typer(add_completion=False)

_NETWORK = say("Network", "网络")
_MODEL = say("Model", "模型")
_ACCESS = say("Access", "访问")


def _option(*names: str, panel: str | None = None, english: str, chinese: str) -> Any:
    return typer.Option(*names, help=say(english, chinese), rich_help_panel=panel, show_default=False)


@app.command(
    help=say(
        "Serve a model by OpenAI's API, with accounts and conversations. Every option is also an environment variable "
        "CHATWRIGHT_… and a key of server.yaml in the home folder; further settings stand in docs/reference/server.md.",
        "以 OpenAI 兼容的 API 提供模型服务，含账号与对话。每个选项也可用环境变量 CHATWRIGHT_… 或数据文件夹中 "
        "server.yaml 的键给出；其余设置见 docs/reference/server.zh-CN.md。",
    ),
    epilog=say(
        "Examples:  chatwright serve  ·  chatwright serve --model qwen3-0.6b --port 8080  ·  "
        "chatwright serve --no-accounts  ·  chatwright serve --print-config",
        "示例：  chatwright serve  ·  chatwright serve --model qwen3-0.6b --port 8080  ·  "
        "chatwright serve --no-accounts  ·  chatwright serve --print-config",
    ),
)
def serve(
    host: Annotated[
        str | None,
        _option(
            "--host", panel=_NETWORK, english="Address to listen on (127.0.0.1).", chinese="监听地址（127.0.0.1）。"
        ),
    ] = None,
    port: Annotated[
        int | None,
        _option(
            "--port", panel=_NETWORK,
            english="Port (8000); 0 takes a free one.", chinese="端口（8000）；0 表示任选空闲端口。",
        ),
    ] = None,
    public_url: Annotated[
        str | None,
        _option(
            "--public-url", panel=_NETWORK,
            english="How browsers reach it, such as https://chat.example.org.",
            chinese="浏览器访问所用的地址，如 https://chat.example.org。",
        ),
    ] = None,
    workers: Annotated[
        int,
        typer.Option(
            "--workers", min=1, rich_help_panel=_NETWORK,
            help=say(
                "Server processes; more than one needs an engine process and Redis.",
                "服务进程数；多于一个时需要单独的引擎进程与 Redis。",
            ),
        ),
    ] = 1,
    model: Annotated[
        str | None,
        _option(
            "--model", "-m", panel=_MODEL,
            english="A name, a folder or a .gguf file; without it, the embedded model.",
            chinese="名称、文件夹或 .gguf 文件；缺省为内置模型。",
        ),
    ] = None,
    served_model_name: Annotated[
        str | None,
        _option(
            "--served-model-name", panel=_MODEL,
            english="Name by which clients ask for it.", chinese="客户端使用的模型名称。",
        ),
    ] = None,
    max_model_len: Annotated[
        int | None,
        _option("--max-model-len", panel=_MODEL, english="Longest context, in tokens.", chinese="最大上下文词元数。"),
    ] = None,
    dtype: Annotated[
        str | None,
        _option(
            "--dtype", panel=_MODEL,
            english="auto, float32, bfloat16 or float16.", chinese="auto、float32、bfloat16 或 float16。",
        ),
    ] = None,
    device: Annotated[
        str | None,
        _option("--device", panel=_MODEL, english="auto, cpu, cuda or mps.", chinese="auto、cpu、cuda 或 mps。"),
    ] = None,
    api_key: Annotated[
        str | None,
        _option(
            "--api-key", panel=_ACCESS,
            english="A key that is always accepted; others see it in the list of processes, the variable is hidden.",
            chinese="始终有效的密钥；命令行会出现在进程列表中，用环境变量更安全。",
        ),
    ] = None,
    accounts: Annotated[
        bool | None,
        _option(
            "--accounts/--no-accounts", panel=_ACCESS,
            english="Whether people need an account; without, only for programs on this machine.",
            chinese="是否需要账号；不需要时仅供本机程序使用。",
        ),
    ] = None,
    home: Annotated[
        Path | None,
        _option(
            "--home",
            english="Folder for everything that the server writes.", chinese="服务器写入的所有内容所在的文件夹。",
        ),
    ] = None,
    log_level: Annotated[
        str | None,
        _option(
            "--log-level", english="debug, info, warning or error.", chinese="debug、info、warning 或 error。",
        ),
    ] = None,
    print_config: Annotated[
        bool,
        typer.Option(
            "--print-config",
            help=say(
                "Print every setting as YAML, without secrets, and exit.", "以 YAML 输出全部设置（不含机密）后退出。"
            ),
        ),
    ] = False,
) -> None:  # fmt: skip
    """Serve."""
    given = {
        "host": host,
        "port": port,
        "public_url": public_url,
        "model": model,
        "served_model_name": served_model_name,
        "max_model_len": max_model_len,
        "dtype": dtype,
        "device": device,
        "api_key": api_key,
        "accounts": accounts,
        "home": home,
        "log_level": log_level,
    }
    if home is not None:  # caches, pulled models and child processes follow; before anything asks where they are
        os.environ["CHATWRIGHT_HOME"] = str(home.expanduser().absolute())
    from chatwright.server.settings import load_settings, unknown_variables

    settings = load_settings(**{name: value for name, value in given.items() if value is not None})
    for name, meant in unknown_variables().items():
        hint = say(f"; did you mean {meant}?", f"；是否想写 {meant}？") if meant else ""
        print_note(say(f"{name} is no setting{hint}", f"{name} 不是任何设置{hint}"))
    if print_config:
        _print_config(settings)
        return
    _run(settings, workers)


def _print_config(settings: "ServerSettings") -> None:
    import yaml

    yaml.safe_dump(settings.printable(), sys.stdout, sort_keys=False, allow_unicode=True)


def _run(settings: "ServerSettings", workers: int) -> None:
    import logging

    from chatwright.cli.output import working
    from chatwright.server.operations.logs import configure_logging

    configure_logging(settings.log_level, settings.log_format)
    if settings.model is not None and settings.engine_url is None:
        from chatwright.model.resolve import resolve_model

        resolve_model(settings.model)  # a name that is mistyped shows now, not at the first question
    with working(say("Starting …", "正在启动 …")):
        from chatwright.server import process

        listener = process.listen(settings.host, settings.port)
    address = process.address_of(listener)

    def ready() -> None:
        logging.getLogger("chatwright.server").info("ready at %s", address)
        if sys.stderr.isatty():
            _welcome(settings, address)

    if workers > 1:
        process.serve_workers(settings, listener, workers, ready)
    else:
        process.serve(settings, listener, ready)


def _welcome(settings: "ServerSettings", address: str) -> None:
    """What a person needs to know who started it in a terminal."""
    from rich.panel import Panel
    from rich.table import Table

    from chatwright import __version__

    address = settings.public_url or address
    table = Table.grid(padding=(0, 2))
    table.add_row(say("address", "地址"), f"[bold]{address}[/bold]")
    table.add_row("API", f"{address}/v1")
    table.add_row(
        say("model", "模型"), settings.served_model_name or settings.model or say("the embedded one", "内置模型")
    )
    table.add_row(say("data", "数据"), str(settings.home))
    table.add_row(say("accounts", "账号"), _accounts(settings))
    table.add_row("", f"[dim]{say('Ctrl-C ends it', '按 Ctrl-C 结束')}[/dim]")
    stderr_console().print(Panel(table, title=f"Chatwright {__version__}", title_align="left", expand=False))


def _accounts(settings: "ServerSettings") -> str:
    if not settings.accounts:
        return say("none: whoever reaches this address is let in", "无：能访问此地址者均可使用")
    command = "chatwright admin create-user NAME --admin --password-stdin"
    return say(
        f"the first account becomes administrator; without a browser:\n{command}",
        f"第一个账号将成为管理员；不用浏览器也可创建：\n{command}",
    )
