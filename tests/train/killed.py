"""A program that trains in processes which are killed again and again, and says what losses they reported.

Called with a list of settings as JSON and a folder. For each it prints a pair, of a run that was left alone and one
that was killed: ``{"losses": {step: [each loss ever reported]}, "kills": N, "weights": digest}``.
"""

import json
import os
import random
import signal
import sys
import threading
from collections import defaultdict
from pathlib import Path
from typing import Any

import torch
import torch._dynamo  # PyTorch's optimisers would import it in every process, for seconds

from chatwright.train import setup
from chatwright.train.checkpoint import newest_checkpoint
from chatwright.train.loop import run_stage
from chatwright.train.watch import Record, SilentWatcher
from tests.train.doubles import CONFIG, make_stage

STEPS = 12
MOMENTS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.listdir", "shutil.rmtree"}


class Lines(SilentWatcher):
    """Writes losses down at once."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a")

    def stepped(self, record: Record) -> None:
        self._file.write(json.dumps([record["step"], record["loss"]]) + "\n")
        self._file.flush()


def main() -> None:
    setup.matmul_peak = lambda device, dtype: 1e11  # type: ignore[assignment]
    torch.set_num_threads(1)
    folder = Path(sys.argv[2])
    pairs = []
    for number, settings in enumerate(json.loads(sys.argv[1])):
        whole = _trained(folder / f"{number}-whole", settings, kills=0)
        pairs.append((whole, _trained(folder / f"{number}-torn", settings, kills=9)))
    print(json.dumps(pairs))


def _trained(folder: Path, settings: dict[str, Any], kills: int) -> dict[str, Any]:
    """Train to the end, in as many processes as it takes; the first ``kills`` of them are killed."""
    folder.mkdir()
    moments = random.Random(kills)
    killed = 0
    while True:
        child = os.fork()  # PyTorch takes seconds to import, and has not started a thread yet
        if child == 0:
            if killed < kills:
                _arm(folder / "run", moments)
            _train(folder, settings)
            if killed < kills:  # before its moment came
                os.kill(os.getpid(), signal.SIGKILL)
            os._exit(0)
        moments.seed(killed)
        _, status = os.waitpid(child, 0)
        if status == 0:
            break
        assert os.WIFSIGNALED(status), status
        assert os.WTERMSIG(status) == signal.SIGKILL, status
        killed += 1
    losses = defaultdict(list)
    for line in (folder / "losses.jsonl").read_text().splitlines():
        step, loss = json.loads(line)
        losses[step].append(loss)
    return {"losses": losses, "kills": killed, "weights": (folder / "weights").read_text()}


def _arm(run: Path, moments: random.Random) -> None:
    """Make this process kill itself before one of its next operations on files of the run, or at any time at all."""
    if moments.random() < 0.25:
        threading.Timer(moments.uniform(0.05, 0.25), os.kill, (os.getpid(), signal.SIGKILL)).start()
        return
    left = [moments.randrange(20, 100)]

    def count(*what: Any) -> None:
        if str(run) in str(what):
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(lambda event, arguments: count(arguments) if event in MOMENTS else None)
    fsync = os.fsync

    def flush(handle: int) -> None:
        count(run)
        fsync(handle)

    os.fsync = flush


def _train(folder: Path, settings: dict[str, Any]) -> None:
    run = folder / "run"
    run.mkdir(exist_ok=True)
    newest = newest_checkpoint(run, lambda message: None)
    config = CONFIG.replace(dropout=0.2)
    stage = make_stage(STEPS, config=config, logging_steps=1, save_steps=1, save_total_limit=2, **settings)
    run_stage(stage, run=run, watcher=Lines(folder / "losses.jsonl"), resume_from=newest.path if newest else None)
    total = sum(float(tensor.double().abs().sum()) for tensor in stage.model.state_dict().values())
    (folder / "weights").write_text(repr(total))


if __name__ == "__main__":
    main()
