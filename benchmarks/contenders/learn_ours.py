"""Chatwright on given rows: a stage of its own loop. Reads its job from stdin, prints the held-out loss as JSON."""

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.contenders.train_ours import from_nothing
from chatwright.chat import ChatTemplate
from chatwright.data.example import Document, Example
from chatwright.train.batch import Batch
from chatwright.train.likelihood import cross_entropy
from chatwright.train.loop import run_stage
from chatwright.train.objective import StageContext
from chatwright.train.objectives import objective
from chatwright.train.stage import Stage


class Rows:
    """Rows in their order, ``batch`` of them a step, each a document of its own."""

    steps_per_epoch = None

    def __init__(self, table: np.ndarray, batch: int) -> None:
        self._table, self._size = table, batch

    def micro_batches(self, step: int) -> Sequence[Batch]:
        """The step's rows."""
        rows = self._table[step * self._size : (step + 1) * self._size]
        return [Batch.of([Example((Document(row),)) for row in rows], multiple_of=32)]

    def state(self) -> dict[str, torch.Tensor]:
        """Nothing."""
        return {}

    def load_state(self, state: dict[str, torch.Tensor]) -> None:
        """Nothing to do."""


def learn(job: dict[str, Any]) -> float:
    """Held-out loss after the job's steps, computed in float32."""
    torch.set_num_threads(job["threads"])
    table = np.load(job["rows"])
    kind = objective("pretrain")
    values: dict[str, Any] = {
        "optimizer": job["optimizer"],
        "learning_rate": job["rate"],
        "max_steps": job["steps"],
        "lr_scheduler_type": "cosine",
        "warmup_ratio": 0.05,
        "min_lr_ratio": 0.1,
        "weight_decay": 0.1,
        "eval_steps": 10**6,
        "save_steps": 10**6,
    }
    settings = kind.Settings(**values)
    model, tokenizer = from_nothing()
    model.init_weights(job["seed"])
    with tempfile.TemporaryDirectory() as name:
        template = ChatTemplate(tokenizer)
        context = StageContext(settings, model, tokenizer, template, Path(name), 0, torch.device("cpu"))
        feed = Rows(table, job["batch"])
        run_stage(Stage("bench", settings, model, kind(context), feed, total_steps=job["steps"]), run=Path(name))
    total = count = 0.0
    with torch.no_grad():
        for row in table[-job["held_out"] :]:
            batch = Batch.of([Example((Document(row),))])
            total += float(cross_entropy(model, batch))
            count += batch.num_labels
    return total / count


if __name__ == "__main__":
    print(json.dumps({"loss": learn(json.load(sys.stdin))}))
