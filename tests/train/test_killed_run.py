"""A run that is killed again and again ends with the very files of one that was not. Slow for the processes it starts."""

import signal
import subprocess
import sys
from pathlib import Path

from tests.train.tiny_recipe import records, write_recipe

# In the middle of a stage, right after a checkpoint, between a stage's end and its folder, and while that is written.
MOMENTS = ("step:3", "saved:4", "ended:pretrain", "writing:sft", "step:11")


def test_a_run_killed_at_any_moment_equals_one_that_was_not(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path)
    whole = _start(recipe, tmp_path / "whole", "never")
    broken = tmp_path / "broken"
    for moment in MOMENTS:
        process = _start(recipe, broken, moment)
        errors = process.communicate(timeout=120)[1]
        assert process.returncode == -signal.SIGKILL, errors.decode()
    last = _start(recipe, broken, "never")
    for process in (last, whole):
        errors = process.communicate(timeout=120)[1]
        assert process.returncode == 0, errors.decode()
    assert records(broken) == records(tmp_path / "whole")
    assert _samples(broken) == _samples(tmp_path / "whole")
    for stage in ("pretrain", "sft", "dpo"):
        name = f"stages/{stage}/model.safetensors"
        assert (broken / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert (broken / "model/model.safetensors").read_bytes() == (broken / "stages/dpo/model.safetensors").read_bytes()


def _samples(folder: Path) -> str:
    return (folder / "samples.jsonl").read_text()


def _start(recipe: Path, folder: Path, moment: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.train.killed_run", str(recipe), str(folder), moment]
    return subprocess.Popen(command, cwd=Path(__file__).parents[2], stderr=subprocess.PIPE)
