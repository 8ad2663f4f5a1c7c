"""What a person sees while a command works."""

import io
import threading
from collections.abc import Callable

import pytest
from rich.console import Console

from chatwright import Chat, LoadedModel
from chatwright.cli import output


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class TimeIsUp(threading.Timer):
    """A timer whose time has passed at once."""

    def __init__(self, interval: float, function: Callable[..., None], args: list[object]) -> None:
        super().__init__(interval, function, args)
        self.say = lambda: function(*args)

    def start(self) -> None:
        self.say()


def test_a_slow_start_is_explained(tiny_loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setattr(output, "stderr_console", lambda: Console(file=screen, force_terminal=True, width=120))
    monkeypatch.setattr(threading, "Timer", TimeIsUp)
    output.load(Chat(tiny_loaded))
    assert "code is compiled for this processor" in screen.getvalue()
