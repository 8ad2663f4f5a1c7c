"""Running the command line within the test's process, on the tiny model."""

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from chatwright import LoadedModel
from chatwright.cli.app import app

Run = Callable[..., Result]


@pytest.fixture
def run(tiny_loaded: LoadedModel, tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """``run("chat", "hello", input=b"…")``: what it printed, and its exit code. The default model is the tiny one."""
    monkeypatch.setenv("CHATWRIGHT_MODEL", str(tiny_model_dir))
    monkeypatch.setattr(LoadedModel, "open", lambda source, **options: tiny_loaded)
    monkeypatch.setattr(LoadedModel, "close", lambda self: None)  # the fixture's owner closes it

    def run_(*arguments: str, input: bytes | str | None = None) -> Result:
        return CliRunner().invoke(app, list(arguments), input=input)

    return run_
