"""The processes that train together, as the loop sees them."""

from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

import torch
from torch import Tensor, nn

from chatwright.engine.build import choose_device

_T = TypeVar("_T")


class World(Protocol):
    """What the loop asks of the other processes. One process alone is :class:`SingleProcess`."""

    @property
    def rank(self) -> int:
        """This process' number, from 0. The process of rank 0 writes files and talks to the watcher."""
        ...

    @property
    def size(self) -> int:
        """How many processes there are."""
        ...

    @property
    def machines(self) -> int:
        """On how many machines they are, equally many on each."""
        ...

    def device(self, name: str) -> torch.device:
        """This process' own device, of the kind that a recipe names."""
        ...

    def barrier(self) -> None:
        """Wait until every process has come here."""
        ...

    def sum(self, values: Tensor) -> Tensor:
        """Sum of every process' ``values``, the same everywhere; may work in place."""
        ...

    def sum_gradients(self, parameters: Mapping[str, nn.Parameter]) -> None:
        """Make each ``grad`` the sum over all processes; called once a step, after the last backward pass.

        Those of sharded parameters are left alone: the backward pass has summed them.
        """
        ...

    def gather(self, tensors: Mapping[str, Tensor]) -> list[Mapping[str, Tensor]]:
        """What each process gave, by rank, on rank 0; nothing elsewhere. Small tensors on the CPU."""
        ...


class SingleProcess:
    """Nobody else."""

    rank = 0
    size = 1
    machines = 1

    def device(self, name: str) -> torch.device:
        """The device of that name."""
        return choose_device(name)

    def barrier(self) -> None:
        """Nothing to wait for."""

    def sum(self, values: Tensor) -> Tensor:
        """The values themselves."""
        return values

    def sum_gradients(self, parameters: Mapping[str, nn.Parameter]) -> None:
        """They are the sum already."""

    def gather(self, tensors: Mapping[str, Tensor]) -> list[Mapping[str, Tensor]]:
        """The tensors themselves."""
        return [tensors]


def first_alone(world: World, make: Callable[[], _T], read: Callable[[], _T] | None = None) -> _T:
    """What ``make`` puts on the disk and returns: on rank 0 before all others, which then ``read`` it.

    Args:
        world: the processes; all of them have to call this.
        make: called by rank 0.
        read: called by the others when it is there; None: ``make``, which finds it.
    """
    if world.rank == 0:
        made = make()
        world.barrier()
        return made
    world.barrier()
    return (read or make)()


def agreed(world: World, number: int) -> int:
    """The number that rank 0 has, on every process."""
    return int(world.sum(torch.tensor(number if world.rank == 0 else 0)))
