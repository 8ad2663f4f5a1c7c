"""``chatwright train`` as a person uses it."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from chatwright.cli.app import app
from chatwright.cli.train_plan import count, duration
from chatwright.cli.train_progress import LiveWatcher, evaluation_line, progress_watcher
from tests.train.tiny_recipe import write_recipe

SHORT = ("--set", "stages.sft=null", "--set", "stages.dpo=null", "--set", "stages.pretrain.max_steps=2")


@pytest.fixture(autouse=True)
def known_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of its own would make every test measure the machine's matrix products."""
    for module in ("setup", "outlook"):
        monkeypatch.setattr(f"chatwright.train.{module}.matmul_peak", lambda device, dtype: 1e11)


def _train(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["train", *arguments])


def test_a_dry_run_shows_the_plan_and_trains_nothing(tmp_path: Path) -> None:
    result = _train(str(write_recipe(tmp_path)), "--dry-run", "--json")
    plan = json.loads(result.stdout)
    assert [stage["name"] for stage in plan["stages"]] == ["pretrain", "sft", "dpo"]
    assert plan["stages"][0]["steps"] == 6
    assert plan["stages"][0]["tokens"] == 6 * 4 * 48
    assert plan["parameters"] > 1000
    assert not (tmp_path / "run").exists()


def test_the_plan_fits_a_narrow_terminal(tmp_path: Path) -> None:
    result = _train(str(write_recipe(tmp_path)), "--dry-run")
    assert "pretrain" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert "…" not in result.stdout.partition("\n")[2]


def test_steps_are_guessed_from_the_size_of_the_data(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path)
    plan = json.loads(_train(str(recipe), "--dry-run", "--json", "--set", "stages.sft.max_steps=null").stdout)
    stage = plan["stages"][1]
    assert not stage["exact"]
    assert stage["steps"] == -(-(tmp_path / "chats.jsonl").stat().st_size * 10 // 36 // (4 * 48))


def test_a_run_ends_with_its_folder_and_can_be_resumed(tmp_path: Path) -> None:
    recipe = str(write_recipe(tmp_path))
    out = str(tmp_path / "elsewhere")
    result = _train(recipe, *SHORT, "--out", out)
    assert result.exit_code == 0, result.output
    assert result.stdout.strip() == out
    assert "pretrain: 2 steps" in result.stderr
    assert "validation loss" in result.stderr
    assert _train(recipe, *SHORT, "--out", out).exit_code == 2
    again = _train(recipe, *SHORT, "--out", out, "--resume", "--json")
    assert json.loads(again.stdout)["stages"]["pretrain"]["steps"] == 2


def test_a_mistake_is_one_sentence_without_a_traceback(tmp_path: Path) -> None:
    result = _train(str(write_recipe(tmp_path)), "--set", "stages.sft.learning_rat=1")
    assert result.exit_code == 2
    assert "unknown key stages.sft.learning_rat" in result.stderr
    assert "Traceback" not in result.output


def test_a_terminal_gets_a_line_that_moves() -> None:
    stream = io.StringIO()
    with progress_watcher(stream) as plain:
        assert not isinstance(plain, LiveWatcher)
    console = Console(file=stream, force_terminal=True, width=120)
    from chatwright.cli.train_progress import _progress

    with _progress(console) as bar:
        watcher = LiveWatcher(console, bar)
        watcher.entered("data", "sft")
        watcher.tokenised("sft", 1200, 3_400_000)
        assert bar.tasks[0].fields["figures"] == "1,200 rows, 3.4M tokens"
        watcher.warned("the disk is nearly full")
    assert "the disk is nearly full" in stream.getvalue()


def test_numbers_are_short() -> None:
    assert [count(value) for value in (None, 12, 1_234_000, 135e6, 2.5e12)] == ["?", "12", "1.23M", "135M", "2.5T"]
    assert [duration(value) for value in (3, 600, 10_000, 300_000)] == ["3 s", "10 min", "2 h 47 min", "3 d 11 h"]
    assert evaluation_line({"stage": "sft", "stage_step": 2, "eval_loss": 1.25}) == "sft  2  validation loss 1.25"


# Tells what the variable is when torch is about to be imported, and ends there.
AT_TORCH = """
import os, sys

class Finder:
    @staticmethod
    def find_spec(name, path, target=None):
        if name == "torch":
            print(os.environ.get("GOMP_SPINCOUNT"), flush=True)
            os._exit(0)

sys.meta_path.insert(0, Finder)
from chatwright.cli.app import main
main()
"""


@pytest.mark.parametrize(
    ("own", "expected"), [({}, "10000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, "None")]
)
def test_threads_that_wait_let_other_programs_run(own: dict[str, str], expected: str, tmp_path: Path) -> None:
    """libgomp reads the variable once, when torch is loaded: it has to be there before."""
    ours = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    environment = {name: value for name, value in os.environ.items() if name not in ours} | own
    command = [sys.executable, "-c", AT_TORCH, "train", str(write_recipe(tmp_path)), "--dry-run"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=True)
    assert done.stdout.strip() == expected
