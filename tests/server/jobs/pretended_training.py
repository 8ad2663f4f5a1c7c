"""A program that behaves to its supervisor as ``chatwright train`` does, and learns nothing.

``pretended_training.py PART MODEL RECIPE --out RUN --resume``; PART says how it ends.
"""

import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

STEPS = 5


def main(part: str, model: Path, recipe: Path, run: Path) -> None:
    run.mkdir(exist_ok=True)
    match part:
        case "fail":
            sys.exit(f"Error: {run}/checkpoint-1 cannot be written: No space left on device; free some space")
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)
        case "last":
            last(run)
        case "finish":
            finish(run, model)


def last(run: Path) -> None:
    """A step and a checkpoint, then wait to be stopped."""
    step(run, 1)
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: stopped.append(number))
    (run / "waiting").touch()
    while not stopped:
        time.sleep(0.01)
    sys.exit("Error: stopped by SIGTERM after step 1; checkpoint-1 is saved")


def finish(run: Path, model: Path) -> None:
    for number in range(1, STEPS + 1):
        step(run, number)
    shutil.copytree(model, run / "model")
    write(run / "stages" / "sft" / "stage.json", {"tokens": 1234})
    write(run / "report.json", {})


def step(run: Path, number: int) -> None:
    record = {"stage": "sft", "step": number, "loss": 1 / number, "epoch": number * 3 / STEPS, "seconds": number}
    with (run / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(record) + "\n")
    checkpoint = run / f"checkpoint-{number}"
    write(checkpoint / "adapter_config.json", {"r": 1})
    write(checkpoint / "adapter_model.safetensors", {})
    write(checkpoint / "manifest.json", {"step": number, "eval_loss": None})


def write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[5]))
