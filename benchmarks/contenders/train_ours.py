"""Chatwright's own loop: the very function that runs a recipe's stages."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.contenders.training_job import (
    HEADS,
    HIDDEN,
    INNER,
    LAYERS,
    LENGTH,
    ROWS,
    VOCAB,
    WARM_STEPS,
    Clock,
    TrainingJob,
    run,
)
from chatwright.chat import ChatTemplate
from chatwright.data.example import Document, Example
from chatwright.data.settings import DataSettings
from chatwright.data.sources import read_rows
from chatwright.data.tokenize import build_store
from chatwright.loaded import load_tokenizer
from chatwright.model import GPT, ModelConfig, load_model
from chatwright.model.lora import add_adapters
from chatwright.tokenizer import Tokenizer, train_bpe
from chatwright.train.batch import Batch
from chatwright.train.feed import Feed
from chatwright.train.loop import run_stage
from chatwright.train.objective import StageContext
from chatwright.train.objectives import objective
from chatwright.train.packed_feed import PackedFeed
from chatwright.train.stage import Stage
from chatwright.train.stage_model import save_weights
from chatwright.train.watch import Record, SilentWatcher


class RandomText:
    """The same random ids at every step, as for the other contenders."""

    steps_per_epoch = None

    def __init__(self) -> None:
        ids = np.random.default_rng(0).integers(0, VOCAB, (ROWS, LENGTH)).astype(np.int32)
        self._batch = Batch.of([Example((Document(row),)) for row in ids])

    def micro_batches(self, step: int) -> Sequence[Batch]:
        """One batch."""
        return [self._batch]

    def state(self) -> dict[str, torch.Tensor]:
        """Nothing."""
        return {}

    def load_state(self, state: dict[str, torch.Tensor]) -> None:
        """Nothing to do."""


class Timer(SilentWatcher):
    """Reads the loop's own records."""

    def __init__(self, clock: Clock) -> None:
        self.clock, self._before = clock, 0

    def stepped(self, record: Record) -> None:
        """Every step is recorded as it ends."""
        tokens = int(record["tokens"])
        self.clock.step(tokens - self._before)
        self._before = tokens


def train(job: TrainingJob, clock: Clock) -> dict[str, Any]:
    """Run a stage."""
    torch.set_num_threads(job.threads)
    kind = objective(job.task)
    values: dict[str, Any] = {"logging_steps": 1, "eval_steps": 10**6, "save_steps": 10**6, "max_length": LENGTH}
    values |= {"optimizer": "adamw", "max_steps": job.steps + WARM_STEPS}
    if job.task != "pretrain":
        values |= {"lora": {"r": job.rank, "lora_alpha": 32}, "learning_rate": 1e-5}
    settings = kind.Settings(**values)
    model, tokenizer = from_nothing() if job.task == "pretrain" else _adapted(job)
    template = ChatTemplate(tokenizer)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        feed: Feed = RandomText()
        if job.task != "pretrain":
            rows = read_rows(DataSettings(path=job.data), kinds=kind.rows)
            store = build_store(rows, kind.encoder(settings, template), folder / "store", workers=1)
            per_row = LENGTH * store.facts.documents_per_example * len(store) / store.num_tokens
            in_step = max(1, round(job.batch / per_row))
            feed = PackedFeed(store, max_length=LENGTH, rows_per_step=in_step, rows_per_micro_batch=in_step, seed=0)
        context = StageContext(settings, model, tokenizer, template, folder, 0, torch.device("cpu"))
        stage = Stage(
            "bench",
            settings,
            model,
            kind(context),
            feed,
            total_steps=job.steps + WARM_STEPS,
            save_model=lambda folder: save_weights(model, folder),
        )
        result = run_stage(stage, run=folder, watcher=Timer(clock))
    return {"mfu_of_what_is_seen": result.mfu, "loss": result.loss}


def from_nothing() -> tuple[GPT, Tokenizer]:
    """The shape of the benchmark with fresh weights, and a tokenizer that nothing asks."""
    config = ModelConfig(
        vocab_size=VOCAB,
        hidden_size=HIDDEN,
        num_layers=LAYERS,
        num_heads=HEADS,
        intermediate_size=INNER,
        qk_norm=True,
        max_position_embeddings=LENGTH,
    )
    return GPT(config), train_bpe(["unused"], 300)


def _adapted(job: TrainingJob) -> tuple[GPT, Tokenizer]:
    model = load_model(job.model, dtype="bfloat16")
    add_adapters(model, r=job.rank, lora_alpha=32)
    return model, load_tokenizer(job.model)


if __name__ == "__main__":
    run(train)
