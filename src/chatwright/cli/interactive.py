"""A conversation in the terminal."""

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import WordCompleter
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

from chatwright.cli.language import say
from chatwright.cli.one_shot import statistics
from chatwright.cli.output import load, print_error, print_note
from chatwright.cli.slash import COMMANDS, LeaveSession, SessionState, run_command
from chatwright.errors import ChatwrightError
from chatwright.paths import home_dir

if TYPE_CHECKING:
    from chatwright.session import Chat


def converse(chat: "Chat", machine: dict[str, Any], *, stats: bool) -> None:
    """Read lines and answer them until the person leaves.

    Args:
        chat: the conversation to start with; whichever chat is in use at the end is closed.
        machine: the options with which ``/model`` opens another model.
        stats: show figures after each answer.
    """

    def reopen(name: str) -> "Chat":
        from chatwright.session import Chat

        replacement = Chat(name, **machine, context_policy=chat.context_policy, **state.chat.sampling)
        load(replacement)
        return replacement

    state = SessionState(chat, reopen, show=print, stats=stats)
    load(chat)
    print_note(
        say(
            f"{chat.model_name} · /help for commands · Ctrl+C stops an answer · Ctrl+D leaves",
            f"{chat.model_name} · /help 查看命令 · Ctrl+C 停止回答 · Ctrl+D 退出",
        )
    )
    prompt: PromptSession[str] = PromptSession(
        history=_history(),
        key_bindings=_keys(),
        completer=WordCompleter([f"/{name}" for name in COMMANDS], sentence=True),
        complete_while_typing=False,
        enable_open_in_editor=True,
    )
    try:
        while True:
            try:
                line = prompt.prompt(say("you › ", "你 › "), prompt_continuation="      ").strip()
            except KeyboardInterrupt:  # at the prompt: drop the line, as a shell does
                continue
            except EOFError:
                break
            if line:
                _handle(state, line)
    except LeaveSession:
        pass
    finally:
        state.chat.close()


def _handle(state: SessionState, line: str) -> None:
    """Answer one line; what goes wrong is said, and the session goes on."""
    try:
        if line.startswith("/") and not line.startswith("//"):
            pieces = run_command(state, line)
        else:
            pieces = state.chat.stream(line.removeprefix("/") if line.startswith("//") else line)
        if pieces is not None:
            _write(state, pieces)
    except ChatwrightError as error:
        print_error(str(error))
    except KeyboardInterrupt:
        print()


def _write(state: SessionState, pieces: Iterator[str]) -> None:
    """Stream an answer to the screen; Ctrl+C ends the answer only."""
    try:
        for piece in pieces:
            sys.stdout.write(piece)
            sys.stdout.flush()
    except KeyboardInterrupt:
        pass  # leaving the loop cancels the generation; what came is kept
    finally:
        close = getattr(pieces, "close", None)
        if close is not None:
            close()
    print("\n")
    reply = state.chat.last_reply
    if reply is None:
        return
    if reply.finish_reason == "cancelled":
        print_note(
            say(
                "(stopped; /continue goes on, /regenerate starts again)",
                "（已停止；/continue 接着写，/regenerate 重新回答）",
            )
        )
    elif reply.finish_reason == "length":
        print_note(say("(cut off; /continue goes on)", "（已截断；/continue 接着写）"))
    if reply.dropped_turns:
        print_note(
            say(
                f"(the context is full; oldest turns left out: {reply.dropped_turns})",
                f"（上下文已满：舍去了最早的 {reply.dropped_turns} 轮）",
            )
        )
    if state.stats:
        print_note(statistics(reply))


def _history() -> History:
    """Earlier lines, from a file that only this person can read; in memory where no file can be written."""
    path = home_dir() / "history"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
    except OSError:
        return InMemoryHistory()
    return FileHistory(str(path))


def _keys() -> KeyBindings:
    bindings = KeyBindings()

    @bindings.add("escape", "enter")
    def _newline(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    return bindings
