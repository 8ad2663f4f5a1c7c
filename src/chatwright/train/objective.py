"""What a stage minimises: the protocol that the one training loop knows."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from chatwright.chat import ChatTemplate
from chatwright.data.example import Example
from chatwright.data.rows import Row
from chatwright.data.store import ExampleStore
from chatwright.model import GPT
from chatwright.tokenizer import Tokenizer
from chatwright.train.batch import Batch
from chatwright.train.feed import Feed
from chatwright.train.settings import StageSettings
from chatwright.train.stage_rows import RowWork, StageRows

Encoder = Callable[[Row], Example | None]
"""Turns a row into an example; None where nothing of it can be learned. Picklable: rows are encoded in parallel."""


@dataclass(frozen=True, slots=True)
class StageContext:
    """What an objective is made from.

    Attributes:
        settings: of the stage, an instance of the objective's own ``Settings``.
        model: that is to be trained; adapters are already in place, its dtype is final.
        tokenizer, template: the model's.
        folder: an existing folder of the stage's own, for what is computed once (reference log-probabilities).
        seed: of the run and stage.
        device: of the model.
        rank, world_size: of this process, among how many.
    """

    settings: StageSettings
    model: GPT
    tokenizer: Tokenizer
    template: ChatTemplate
    folder: Path
    seed: int
    device: torch.device
    rank: int = 0
    world_size: int = 1


@dataclass(frozen=True, slots=True)
class Loss:
    """The loss of a micro-batch, as sums, so that it does not matter how a batch was divided.

    Attributes:
        total: scalar with a graph, the sum over the batch's items (tokens, pairs …). The loop divides by the number of
            items of the whole optimiser step, over all micro-batches and processes.
        figures: name → (sum, count), reported as sum / count over the step: ``accuracy``, ``reward_margin``.
    """

    total: Tensor
    figures: Mapping[str, tuple[Tensor | float, float]] = field(default_factory=dict)


class Objective(ABC):
    """A loss over batches, and what belongs to it. Listed by name in :data:`chatwright.train.objectives.OBJECTIVES`.

    Attributes:
        Settings: the stage settings that this objective understands, with its own defaults.
        rows: kinds of rows that it learns from.
        chats: whether its result writes text: answers, or the continuation of a text.
        samples: whether the model answers as it trains, for which one that is spread over processes is made whole.
        head: trainable parameters beside the model's (a value head, a classifier), saved with it; None without any.
        frozen: a model beside that does not learn (the one before the stage, a teacher), spread over processes if the
            one in training is; None without.

    Where weights are spread over processes (FSDP), these gather them together: every process has to run the model, and
    ``frozen``, equally often.
    """

    Settings: ClassVar[type[StageSettings]] = StageSettings
    rows: ClassVar[tuple[type, ...]]
    chats: ClassVar[bool] = True
    samples: ClassVar[bool] = False
    head: nn.Module | None = None
    frozen: GPT | None = None

    def __init__(self, context: StageContext) -> None:
        self.context = context

    @classmethod
    @abstractmethod
    def encoder(cls, settings: StageSettings, template: ChatTemplate) -> Encoder:
        """How a row becomes an example (``template.tokenizer`` is the tokenizer)."""

    @classmethod
    def completed(cls, settings: StageSettings, rows: Iterable[Row]) -> StageSettings:
        """The settings with what they leave open and the data tells (names of classes), if anything.

        Args:
            settings: of the stage.
            rows: all of the stage's, held out or not; read only where something is open.
        """
        return settings

    @classmethod
    def keeps_reference(cls, settings: StageSettings) -> bool:
        """Whether the model before the stage will be kept in ``frozen``, for the estimate of memory."""
        return False

    @classmethod
    def make_rows(cls, rows: StageRows, work: RowWork) -> StageRows:
        """What is learned from in place of the data's rows: a teacher's answers to them, say. Called in one process."""
        return rows

    def feed(self, rows: Iterable[Row]) -> Feed | None:
        """A feed of the objective's own, which makes its batches from prompts as it trains; None: examples on disk."""
        return None

    def draw(self, store: ExampleStore) -> Feed | None:
        """A feed of examples on disk that are drawn in the objective's own way; None: packed rows in random order."""
        return None

    def prepare(self, batches: Sequence[Batch]) -> None:  # noqa: B027 - most objectives have nothing to do
        """Called once before the first step with every batch of an epoch: what the untrained model says is kept
        (reference log-probabilities), in ``context.folder`` and by ``Batch.index_E``."""

    def save(self, folder: Path) -> None:  # noqa: B027 - most objectives have nothing to do
        """Add what belongs to the objective (its head) to a saved model's folder."""

    def before_step(self, step: int) -> None:  # noqa: B027 - most objectives have nothing to do
        """Called before the passes of optimiser step ``step`` of the stage (from 0), once more if they are repeated."""

    def finish_gradients(self, gradients: Mapping[str, Tensor]) -> None:  # noqa: B027 - most have nothing to do
        """Called when a step's gradients are complete, over all micro-batches and processes, and not yet clipped.

        Args:
            gradients: name of the parameter → float32 gradient, to be changed in place (noise, for privacy).
        """

    @abstractmethod
    def items(self, batch: Batch) -> float:
        """Of how many items ``Loss.total`` is a sum; known before the forward pass."""

    @abstractmethod
    def loss(self, model: GPT, batch: Batch) -> Loss:
        """Run the model and return the summed loss.

        Args:
            model: in training mode, in the dtype of computation.
            batch: on the model's device.
        """

    def after_step(self, model: GPT, step: int) -> None:  # noqa: B027 - most objectives have nothing to do
        """Called after each optimiser step."""
