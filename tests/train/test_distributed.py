"""Several processes learn what one learns, and go on where others left off."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import write_tiny_model
from tests.train import sampled
from tests.train.processes import HANDLED, KINDS, SORROW, TAKEN_APART, WAYS, losses, shared_stage
from tests.train.tiny_recipe import write_recipe

NEAR = 1e-5


def torchrun(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Two processes of ``tests.train.processes``."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CHATWRIGHT_LANG": "en", "PYTHONHASHSEED": "random"}
    command += ["tests.train.processes", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment, check=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One process' runs, and then two processes'."""
    folder = tmp_path_factory.mktemp("runs")
    write_tiny_model(folder / "tiny")
    alone: dict[str, Any] = {name: losses(shared_stage(name), folder / f"one-{name}") for name in KINDS}
    for name in sampled.KINDS:
        alone[name] = sampled.figures(sampled.sampling_stage(name, folder / "tiny"), folder / f"one-{name}")
    (folder / "alone.json").write_text(json.dumps(alone))
    done = torchrun("stages", str(folder))
    assert done.returncode == 0, done.stderr
    return folder


def test_muon_in_parts_makes_the_updates_of_muon(folder: Path) -> None:
    assert together(folder, "distances") == [0.0]


@pytest.mark.parametrize(("kind", "way"), WAYS)
def test_two_processes_have_the_losses_of_one(folder: Path, kind: str, way: str) -> None:
    alone = json.loads((folder / "alone.json").read_text())[kind]
    assert len(alone) == 6
    assert together(folder, f"{kind}-{way}-new") == pytest.approx(alone, abs=NEAR)


@pytest.mark.parametrize(("kind", "way"), WAYS)
def test_two_processes_go_on_where_one_stopped(folder: Path, kind: str, way: str) -> None:
    alone = json.loads((folder / "alone.json").read_text())[kind]
    assert together(folder, f"{kind}-{way}-resumed") == pytest.approx(alone[3:], abs=NEAR)


@pytest.mark.parametrize(("kind", "way"), WAYS)
def test_one_process_goes_on_where_two_stopped(folder: Path, kind: str, way: str, tmp_path: Path) -> None:
    alone = json.loads((folder / "alone.json").read_text())[kind]
    checkpoint = folder / f"{kind}-{way}-new" / "checkpoint-3"
    assert losses(shared_stage(kind), tmp_path, resume_from=checkpoint) == pytest.approx(alone[3:], abs=NEAR)


@pytest.mark.parametrize(("kind", "way"), sampled.WAYS)
def test_two_processes_sample_and_learn_what_one_does(folder: Path, kind: str, way: str) -> None:
    alone = json.loads((folder / "alone.json").read_text())[kind]
    for start, first in (("new", 0), ("resumed", sampled.SAVED)):
        figures = together(folder, f"{kind}-{way}-{start}")
        assert figures["reward"] == alone["reward"][first:]
        assert figures["loss"] == pytest.approx(alone["loss"][first:], abs=NEAR)
        assert figures["kl"] == pytest.approx(alone["kl"][first:], abs=10 * NEAR)
    assert len(set(alone["reward"])) > 1
    assert max(alone["kl"]) > 0.01


def test_when_one_process_fails_all_end_and_one_says_why(tmp_path: Path) -> None:
    done = torchrun("failing", str(write_recipe(tmp_path)))
    assert done.returncode != 0
    said = [line for line in done.stderr.splitlines() if SORROW in line]
    assert len(said) == 1, done.stderr
    assert "bug of Chatwright" not in done.stderr


def test_processes_end_before_the_interpreter_does(tmp_path: Path) -> None:
    """gloo's threads may need it a little longer, and abort the process when it is gone."""
    done = torchrun("ending", str(write_recipe(tmp_path)))
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(HANDLED.decode()) == 2
    assert TAKEN_APART.decode() not in done.stderr


def together(folder: Path, name: str) -> Any:
    return json.loads((folder / "losses.json").read_text())[name]
