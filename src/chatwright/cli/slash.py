"""The commands of a session: lines that begin with a slash."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chatwright.cli.language import say
from chatwright.cli.one_shot import statistics
from chatwright.cli.sampling import SETTINGS, parse_setting
from chatwright.engine.params import SamplingParams
from chatwright.errors import InputError

if TYPE_CHECKING:
    from chatwright.session import Chat

# What a command gives back: an answer to stream, or None.
Pieces = Iterator[str] | None


class LeaveSession(Exception):
    """The person asked to end the session."""


@dataclass(slots=True)
class SessionState:
    """What a session's commands act on.

    Attributes:
        chat: the conversation; ``/model`` replaces it.
        reopen: makes a chat with another model and the same options.
        show: prints a line.
        stats: whether each answer is followed by its figures.
    """

    chat: "Chat"
    reopen: Callable[[str], "Chat"]
    show: Callable[[str], None]
    stats: bool = False


@dataclass(frozen=True, slots=True)
class SlashCommand:
    """One command.

    Attributes:
        usage: its name and arguments.
        help: one line.
        run: carries it out, given what follows the name.
    """

    usage: str
    help: str
    run: Callable[[SessionState, str], Pieces]


def run_command(state: SessionState, line: str) -> Pieces:
    """Carry out a line that begins with a slash.

    Raises:
        LeaveSession: the session is to end.
        ChatwrightError: it is no command, or what it asks for cannot be done.
    """
    name, _, rest = line[1:].partition(" ")
    command = COMMANDS.get(name.lower())
    if command is None:
        near = get_close_matches(name.lower(), COMMANDS, n=1)
        hint = say(f"; did you mean /{near[0]}?", f"；是否想输入 /{near[0]}？") if near else say(".", "。")
        raise InputError(
            say(
                f"there is no command /{name}{hint} /help lists them; to send text with a slash first, write //",
                f"没有命令 /{name}{hint}输入 /help 查看全部；若要发送以斜杠开头的文字，请写 //",
            )
        )
    return command.run(state, rest.strip())


def _help(state: SessionState, rest: str) -> Pieces:
    width = max(len(command.usage) for command in COMMANDS.values())
    for command in dict.fromkeys(COMMANDS.values()):
        state.show(f"  {command.usage:<{width}}  {command.help}")
    state.show(
        say(
            "  Alt+Enter breaks the line · Ctrl+C stops an answer · Ctrl+D leaves",
            "  Alt+Enter 换行 · Ctrl+C 停止回答 · Ctrl+D 退出",
        )
    )
    return None


def _system(state: SessionState, rest: str) -> Pieces:
    if rest:
        state.chat.system = None if rest == "off" else rest
    state.show(say("System: ", "系统提示：") + (state.chat.system or say("none", "无")))
    return None


def _model(state: SessionState, rest: str) -> Pieces:
    if rest:
        replacement = state.reopen(rest)  # may fail: the old one is kept until the new one is there
        replacement.messages = state.chat.messages
        state.chat.close()
        state.chat = replacement
    state.show(say("Model: ", "模型：") + state.chat.model_name)
    return None


def _save(state: SessionState, rest: str) -> Pieces:
    state.chat.save(_path(rest, "/save"))
    state.show(say(f"Saved to {rest}", f"已保存到 {rest}"))
    return None


def _load(state: SessionState, rest: str) -> Pieces:
    state.chat.load(_path(rest, "/load"))
    count = len(state.chat.messages)
    state.show(say(f"{count} messages from {rest}", f"已载入 {count} 条消息：{rest}"))
    return None


def _path(text: str, command: str) -> Path:
    if not text:
        raise InputError(
            say(
                f"{command} needs a file name, e.g. {command} chat.json",
                f"{command} 需要文件名，如 {command} chat.json",
            )
        )
    return Path(text)


def _regenerate(state: SessionState, rest: str) -> Pieces:
    return state.chat.regenerate()


def _continue(state: SessionState, rest: str) -> Pieces:
    return state.chat.continue_()


def _clear(state: SessionState, rest: str) -> Pieces:
    state.chat.clear()
    state.show(say("A new conversation.", "已开始新的对话。"))
    return None


def _set(state: SessionState, rest: str) -> Pieces:
    name, _, text = rest.partition(" ")
    if text:
        changed: dict[str, Any] = {**state.chat.sampling, name.replace("-", "_"): parse_setting(name, text.strip())}
        sampling = {key: value for key, value in changed.items() if value is not None}
        SamplingParams(**sampling)  # refuses a bad value before anything is changed
        state.chat.sampling = sampling
    elif name:
        parse_setting(name, "default")  # only to refuse an unknown name
    params = state.chat.effective_sampling
    for key, (_, what) in SETTINGS.items():
        if name in ("", key) or name.replace("-", "_") == key:
            value = getattr(params, key)
            shown = say("not set", "未设置") if value is None else value
            state.show(f"  {key} = {shown}  ({what})")
    return None


def _stats(state: SessionState, rest: str) -> Pieces:
    if rest in ("on", "off"):
        state.stats = rest == "on"
    reply = state.chat.last_reply
    state.show(statistics(reply) if reply else say("No answer yet.", "还没有回答。"))
    return None


def _exit(state: SessionState, rest: str) -> Pieces:
    raise LeaveSession


_EXIT = SlashCommand("/exit", say("leave (also Ctrl+D)", "退出（或 Ctrl+D）"), _exit)

COMMANDS: dict[str, SlashCommand] = {
    "help": SlashCommand("/help", say("this list", "显示本列表"), _help),
    "system": SlashCommand("/system [TEXT|off]", say("show or set the instructions", "查看或设置系统提示"), _system),
    "model": SlashCommand(
        "/model [NAME]", say("show or change the model; the conversation stays", "查看或切换模型，对话保留"), _model
    ),
    "regenerate": SlashCommand("/regenerate", say("answer the last question anew", "重新回答上一个问题"), _regenerate),
    "continue": SlashCommand("/continue", say("go on with a cut answer", "接着写被截断的回答"), _continue),
    "clear": SlashCommand("/clear", say("start a new conversation", "开始新的对话"), _clear),
    "save": SlashCommand("/save FILE", say("write the conversation as JSON", "把对话存为 JSON"), _save),
    "load": SlashCommand("/load FILE", say("go on with a saved conversation", "载入保存的对话"), _load),
    "set": SlashCommand("/set [NAME [VALUE|default]]", say("show or change sampling", "查看或修改采样参数"), _set),
    "stats": SlashCommand(
        "/stats [on|off]", say("figures of the last answer, or of each", "显示上次（或每次）回答的用量"), _stats
    ),
    "exit": _EXIT,
    "quit": _EXIT,
}
