"""A tiny model, endless made-up text and a plain objective: enough for the loop."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from chatwright.chat import ChatTemplate
from chatwright.data.example import Document, Example
from chatwright.model import GPT, ModelConfig, build_model
from chatwright.train.batch import Batch
from chatwright.train.likelihood import cross_entropy
from chatwright.train.loop import run_stage
from chatwright.train.objective import Encoder, Loss, Objective, StageContext
from chatwright.train.settings import StageSettings
from chatwright.train.stage import Stage, StageResult
from chatwright.train.watch import Record, SilentWatcher

CONFIG = ModelConfig(
    vocab_size=37,
    hidden_size=16,
    num_layers=2,
    num_heads=2,
    num_kv_heads=1,
    intermediate_size=32,
    qk_norm=True,
    max_position_embeddings=64,
)
ROW = 32


@dataclass
class MadeUpFeed:
    """Rows of made-up documents: arithmetic sequences modulo the vocabulary, of different lengths.

    Attributes:
        broken: step → what becomes of its first batch.
    """

    rows_per_step: int = 4
    rows_per_micro_batch: int = 2
    seed: int = 0
    steps_per_epoch: int | None = 8
    broken: dict[int, Callable[[Batch], Batch]] = field(default_factory=dict)
    tokens_per_row: int = ROW

    def with_micro_batch(self, rows: int) -> "MadeUpFeed":
        return replace(self, rows_per_micro_batch=rows)

    def micro_batches(self, step: int) -> Sequence[Batch]:
        place = step % self.steps_per_epoch if self.steps_per_epoch else step
        rows = [self._row(place * self.rows_per_step + row) for row in range(self.rows_per_step)]
        size = self.rows_per_micro_batch
        batches = []
        for start in range(0, len(rows), size):
            examples = [example for row in rows[start : start + size] for example in row]
            first = place * 100 + start * 10
            batches.append(Batch.of(examples, index=range(first, first + len(examples))))
        if step in self.broken:
            batches[0] = self.broken[step](batches[0])
        return batches

    def epoch_batches(self) -> Sequence[Batch]:
        return [batch for step in range(self.steps_per_epoch or 0) for batch in self.micro_batches(step)]

    def state(self) -> dict[str, Tensor]:
        return {"examples": torch.tensor([self.seed])}  # as a feed of stored examples says which they are

    def load_state(self, state: dict[str, Tensor]) -> None:
        assert torch.equal(state["examples"], self.state()["examples"])

    def _row(self, number: int) -> list[Example]:
        random = np.random.default_rng([self.seed, number])
        cut = int(random.integers(4, ROW - 4))
        examples = []
        for length in (cut, ROW - cut):
            start, stride = random.integers(0, CONFIG.vocab_size, size=2)
            ids = (start + stride * np.arange(length)) % CONFIG.vocab_size
            examples.append(Example((Document(ids.astype(np.int32)),)))
        return examples


class Likelihood(Objective):
    """The summed likelihood of every next token."""

    rows = ()

    @classmethod
    def encoder(cls, settings: StageSettings, template: ChatTemplate) -> Encoder:
        raise NotImplementedError

    def items(self, batch: Batch) -> float:
        return float(batch.num_labels)

    def loss(self, model: GPT, batch: Batch) -> Loss:
        total = cross_entropy(model, batch)
        return Loss(total, {"perplexity_log2": (total.detach() / np.log(2), batch.num_labels)})


class Notes(SilentWatcher):
    """Remembers everything it is told."""

    def __init__(self) -> None:
        self.steps: list[Record] = []
        self.evaluations: list[Record] = []
        self.saves: list[tuple[Path, Record]] = []
        self.skips: list[Record] = []
        self.warnings: list[str] = []
        self.results: list[StageResult] = []
        self.starts: list[Any] = []

    def stage_started(self, stage: Stage, start: Any) -> None:
        self.starts.append(start)

    def stepped(self, record: Record) -> None:
        self.steps.append(record)

    def evaluated(self, record: Record) -> None:
        self.evaluations.append(record)

    def saved(self, path: Path, record: Record) -> None:
        self.saves.append((path, record))

    def skipped(self, record: Record) -> None:
        self.skips.append(record)

    def warned(self, message: str) -> None:
        self.warnings.append(message)

    def stage_ended(self, stage: Stage, result: StageResult) -> None:
        self.results.append(result)

    @property
    def losses(self) -> list[float]:
        return [cast(float, record["loss"]) for record in self.steps]


def make_stage(
    steps: int = 8,
    *,
    config: ModelConfig = CONFIG,
    feed: Any = None,
    objective: type[Objective] = Likelihood,
    evaluate: Callable[[GPT], dict[str, float]] | None = None,
    first_step: int = 0,
    **settings: Any,
) -> Stage:
    """A stage of the tiny model on made-up text."""
    model = build_model(config, seed=1).requires_grad_(True)
    defaults = {"bf16": False, "learning_rate": 1e-2, "logging_steps": 3, "warmup_ratio": 0.1}
    made = objective.Settings(**defaults | settings)
    context = StageContext(made, model, cast(Any, None), cast(Any, None), Path(), 0, torch.device("cpu"))
    return Stage(
        name="made-up",
        settings=made,
        model=model,
        objective=objective(context),
        feed=MadeUpFeed() if feed is None else feed,
        total_steps=steps,
        first_step=first_step,
        seed=7,
        evaluate=None if evaluate is None else lambda: evaluate(model),
    )


def train(stage: Stage, run: Path, resume_from: Path | None = None) -> Notes:
    """Run a stage, and what was said."""
    notes = Notes()
    run_stage(stage, run=run, watcher=notes, resume_from=resume_from)
    return notes
