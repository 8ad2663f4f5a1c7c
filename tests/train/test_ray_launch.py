"""Ray starts what torchrun would, and learns what one process learns."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatwright.errors import ConfigError
from chatwright.train.pipeline import run_recipe
from chatwright.train.ray_launch import Share, share_out
from chatwright.train.recipe import load_recipe
from tests.train.tiny_recipe import records, write_recipe

RECIPE = ("stages.sft=null", "stages.dpo=null", "stages.pretrain.max_steps=4")


def test_workers_are_shared_out_evenly_over_few_machines() -> None:
    gpus = [{"CPU": 64.0, "GPU": 8.0}, {"CPU": 64.0, "GPU": 8.0}, {"CPU": 16.0}]
    assert share_out(gpus, None) == Share(machines=2, workers=8, cpus=1, gpus=1)
    assert share_out(gpus, 6) == Share(machines=1, workers=6, cpus=1, gpus=1)
    assert share_out(gpus, 12) == Share(machines=2, workers=6, cpus=1, gpus=1)
    assert share_out([{"CPU": 16.0}, {"CPU": 16.0}], None) == Share(machines=2, workers=1, cpus=16, gpus=0)
    assert share_out([{"CPU": 16.0}, {"CPU": 16.0}], 2) == Share(machines=1, workers=2, cpus=8, gpus=0)
    with pytest.raises(ConfigError, match="9 workers do not find room"):
        share_out([{"GPU": 8.0}, {"GPU": 8.0}], 9)


@pytest.fixture
def address() -> Iterator[str]:
    """A cluster of this machine, with two places whatever its number of cores."""
    ray = pytest.importorskip("ray")
    context = ray.init(
        "local", num_cpus=2, num_gpus=0, include_dashboard=False, log_to_driver=False, logging_level="ERROR"
    )
    yield context.address_info["address"]
    ray.shutdown()


def chatwright(*arguments: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "chatwright", "train", *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CHATWRIGHT_LANG": "en"}
    return subprocess.run(
        command, capture_output=True, text=True, timeout=300, env=environment, cwd=folder, check=False
    )


def test_two_workers_of_ray_learn_what_one_process_learns(tmp_path: Path, address: str) -> None:
    """Slow, because a cluster and five programs have to start: that they find each other is what is tested."""
    recipe = str(write_recipe(tmp_path))
    run_recipe(load_recipe(Path(recipe), [*RECIPE, f"output={tmp_path / 'alone'}"]))
    on_ray = (recipe, "--ray", "--num-workers", "2", "--ray-address", address, "--out", "together")
    on_ray += tuple(part for wish in RECIPE for part in ("--set", wish))
    together = chatwright(*on_ray, folder=tmp_path)
    assert together.returncode == 0, together.stderr
    assert together.stdout == "together\n"
    losses = [
        [record["loss"] for record in records(tmp_path / name) if "loss" in record] for name in ("alone", "together")
    ]
    assert len(losses[0]) == 4
    assert losses[1] == pytest.approx(losses[0], abs=1e-5)
    again = chatwright(*on_ray, folder=tmp_path)
    assert again.returncode == 2, again.stderr
    assert "of 2 ended with exit code 2, and so all have been ended" in again.stderr.replace("\n", " ")
