"""A run that is killed again and again ends with the very files of one that was not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.train.tiny_recipe import records, write_recipe

# In the middle of a stage, right after a checkpoint, between a stage's end and its folder, and while that is written.
MOMENTS = ("step:3", "saved:4", "ended:pretrain", "writing:sft", "step:11")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the processes are forks")
def test_a_run_killed_at_any_moment_equals_one_that_was_not(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    _run(recipe, whole, "never")
    _run(recipe, broken, *MOMENTS, "never")
    assert records(broken) == records(whole)
    assert _samples(broken) == _samples(whole)
    for stage in ("pretrain", "sft", "dpo"):
        name = f"stages/{stage}/model.safetensors"
        assert (broken / name).read_bytes() == (whole / name).read_bytes()
    assert (broken / "model/model.safetensors").read_bytes() == (broken / "stages/dpo/model.safetensors").read_bytes()


def _samples(folder: Path) -> str:
    return (folder / "samples.jsonl").read_text()


def _run(recipe: Path, folder: Path, *moments: str) -> None:
    command = [sys.executable, "-m", "tests.train.killed_run", str(recipe), str(folder), *moments]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}  # sums are rounded alike only with equally many threads
    done = subprocess.run(
        command, cwd=Path(__file__).parents[2], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
