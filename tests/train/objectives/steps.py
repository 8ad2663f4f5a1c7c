"""Batches of rows as an objective encodes them, and steps of plain AdamW on them."""

from collections.abc import Callable, Sequence

import torch

from chatwright.data.rows import Row
from chatwright.train.batch import Batch
from chatwright.train.objective import Objective, StageContext
from chatwright.train.settings import StageSettings

MakeContext = Callable[[StageSettings], StageContext]


class OneBatch:
    """A feed of the same batch in every step."""

    steps_per_epoch = 1

    def __init__(self, batch: Batch) -> None:
        self._batch = batch

    def micro_batches(self, step: int) -> list[Batch]:
        return [self._batch]

    def state(self) -> dict[str, torch.Tensor]:
        return {}

    def load_state(self, state: dict[str, torch.Tensor]) -> None:
        assert state == {}


def batch_of(objective: Objective, rows: Sequence[Row]) -> Batch:
    """The rows as one packed batch, encoded as the objective wants them."""
    encode = objective.encoder(objective.context.settings, objective.context.template)
    examples = [example for row in rows if (example := encode(row)) is not None]
    return Batch.of(examples, index=range(len(examples)), multiple_of=8)


def train(objective: Objective, batch: Batch, *, steps: int, learning_rate: float) -> list[float]:
    """Losses per item of a few steps on one batch."""
    model = objective.context.model
    modules = [model, *([] if objective.head is None else [objective.head])]
    parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=learning_rate)
    losses = []
    for step in range(steps):
        objective.before_step(step)
        loss = objective.loss(model, batch).total / objective.items(batch)
        losses.append(float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return losses
