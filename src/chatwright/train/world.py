"""The processes that train together, as the loop sees them."""

from collections.abc import Mapping
from typing import Protocol

from torch import Tensor, nn


class World(Protocol):
    """What the loop asks of the other processes. One process alone is :class:`SingleProcess`."""

    @property
    def rank(self) -> int:
        """This process' number, from 0. The process of rank 0 writes checkpoints and talks to the watcher."""
        ...

    @property
    def size(self) -> int:
        """How many processes there are."""
        ...

    def barrier(self) -> None:
        """Wait until every process has come here."""
        ...

    def sum(self, values: Tensor) -> Tensor:
        """Sum of every process' ``values``, the same everywhere; may work in place."""
        ...

    def sum_gradients(self, parameters: Mapping[str, nn.Parameter]) -> None:
        """Make each ``grad`` the sum over all processes; called once a step, after the last backward pass."""
        ...


class SingleProcess:
    """Nobody else."""

    rank = 0
    size = 1

    def barrier(self) -> None:
        """Nothing to wait for."""

    def sum(self, values: Tensor) -> Tensor:
        """The values themselves."""
        return values

    def sum_gradients(self, parameters: Mapping[str, nn.Parameter]) -> None:
        """They are the sum already."""
