"""A session in a terminal: a real one (a pseudo-terminal and a process of its own), and its parts on their own."""

import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatwright import Chat, LoadedModel
from chatwright.cli.interactive import _handle, _write
from chatwright.cli.slash import SessionState

pty = pytest.importorskip("pty", reason="this system has no pseudo-terminals")

_ESCAPES = re.compile(r"\x1b(\[[0-9;?]*[a-zA-Z]|\][^\x07]*\x07|[=>])")
_DEADLINE_S = 120.0


class Terminal:
    """A program in a pseudo-terminal."""

    def __init__(self, *arguments: str, **environment: str) -> None:
        self._fd, child = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "chatwright", *arguments],
            stdin=child,
            stdout=child,
            stderr=child,
            start_new_session=True,
            preexec_fn=lambda: _take_terminal(child),
            env={**os.environ, "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1", **environment},
        )
        os.close(child)
        self.screen = ""
        self._seen = 0

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def wait_for(self, text: str) -> str:
        """Read until ``text`` has appeared after what was waited for before; what came up to it."""
        deadline = time.monotonic() + _DEADLINE_S
        while (at := self.screen.find(text, self._seen)) < 0:
            ready, _, _ = select.select([self._fd], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"{text!r} never came; the screen was:\n{self.screen}"
            try:
                data = os.read(self._fd, 65536)
            except OSError:  # Linux's way of saying that the program has gone
                data = b""
            assert data, f"the program ended before {text!r} came; the screen was:\n{self.screen}"
            self.screen += _ESCAPES.sub("", data.decode("utf-8", "replace"))
        start, self._seen = self._seen, at + len(text)
        return self.screen[start : self._seen]

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._fd)


def _take_terminal(fd: int) -> None:
    """Make the pseudo-terminal the child's own, so that Ctrl+C reaches it as a signal."""
    import fcntl
    import termios

    fcntl.ioctl(fd, termios.TIOCSCTTY, 0)


@pytest.fixture
def terminal(tiny_model_dir: Path) -> Iterator[Terminal]:
    window = Terminal(
        "chat", "--model", str(tiny_model_dir), "--device", "cpu", "--dtype", "float32", "--threads", "1",
        "--temperature", "0", "--max-tokens", "400",
    )  # fmt: skip
    yield window
    window.close()


def test_a_session_from_hello_to_goodbye(terminal: Terminal, tmp_path: Path) -> None:
    terminal.wait_for("you ›")
    terminal.type("hello\r")
    terminal.wait_for("/continue")  # the answer has begun and was cut at 400 tokens, or is stopped below
    terminal.wait_for("you ›")
    terminal.type("why\r")
    terminal.wait_for("why")
    terminal.type("\x03")  # Ctrl+C, in the answer or just after it: the session lives on either way
    terminal.wait_for("you ›")
    terminal.type("\x15/set max_tokens 3\r")
    terminal.wait_for("max_tokens = 3")
    terminal.type("/nonsense\r")
    terminal.wait_for("there is no command /nonsense")
    terminal.type(f"/save {tmp_path}/chat.json\r")
    terminal.wait_for("Saved to")
    terminal.wait_for("you ›")
    terminal.type("\x04")  # Ctrl+D
    assert terminal.process.wait(_DEADLINE_S) == 0
    assert (tmp_path / "chat.json").exists()
    assert "Traceback" not in terminal.screen


@pytest.fixture
def state(tiny_loaded: LoadedModel) -> SessionState:
    return SessionState(
        Chat(tiny_loaded, temperature=0, max_tokens=200), reopen=lambda name: pytest.fail("not expected"), show=print
    )


def test_ctrl_c_stops_the_answer_and_keeps_it(state: SessionState, capsys: pytest.CaptureFixture[str]) -> None:
    answer = state.chat.stream("hello")

    def interrupted() -> Iterator[str]:
        try:
            yield next(answer)
            raise KeyboardInterrupt
        finally:
            answer.close()  # type: ignore[attr-defined]

    _write(state, interrupted())
    assert state.chat.last_reply is not None
    assert state.chat.last_reply.finish_reason == "cancelled"
    assert state.chat.messages[-1].content
    assert "/continue goes on" in capsys.readouterr().err


def test_a_mistake_does_not_end_the_session(state: SessionState, capsys: pytest.CaptureFixture[str]) -> None:
    _handle(state, "x" * 200_000)
    assert "tokens" in capsys.readouterr().err
    _handle(state, "hello")
    assert len(state.chat.messages) == 2


def test_a_second_slash_sends_the_line_as_text(state: SessionState) -> None:
    _handle(state, "//help me")
    assert state.chat.messages[0].content == "/help me"


def test_left_out_turns_are_reported(state: SessionState, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(4):
        _handle(state, "tell me about the sky, please " * 6)
    assert "oldest turns left out: " in capsys.readouterr().err


def test_the_chinese_interface(tiny_model_dir: Path) -> None:
    window = Terminal("chat", "--model", str(tiny_model_dir), "--device", "cpu", CHATWRIGHT_LANG="zh")
    try:
        window.wait_for("你 ›")
        window.type("/help\r")
        window.wait_for("重新回答上一个问题")
        window.type("/exit\r")
        assert window.process.wait(_DEADLINE_S) == 0
    finally:
        window.close()
