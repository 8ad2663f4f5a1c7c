"""What a stage minimises: the protocol that the one training loop knows."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor, nn

from chatwright.model import GPT
from chatwright.train.batch import Batch


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
    """A loss over batches, and what belongs to it.

    Attributes:
        head: trainable parameters beside the model's (a value head, a classifier), saved with it; None without any.
    """

    head: nn.Module | None = None

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
