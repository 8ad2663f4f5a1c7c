"""Processes that torchrun has started, joined by PyTorch's collective operations."""

import atexit
import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import NoReturn

import torch
import torch.distributed as dist
import torch.distributed.nn.functional  # once there is a group, these functions' defaults would keep it for ever
from torch import Tensor, nn
from torch._C._distributed_c10d import Store
from torch.distributed.rendezvous import rendezvous

from chatwright.engine.build import choose_device
from chatwright.errors import ChatwrightError, ConfigError, TrainingError
from chatwright.train.dtensors import is_sharded
from chatwright.train.world import SingleProcess, World

# Rank 0 tokenises, samples and evaluates while the others wait. Who dies is noticed at once, by its connections.
_PATIENCE = timedelta(days=2)
_BUCKET_BYTES = 64 << 20  # of gradients that are summed together
_FAILED = "chatwright/failed"
_LOG = logging.getLogger(__name__)


class FailedElsewhere(ChatwrightError):
    """Another process of the run has failed, and has said why.

    Attributes:
        exit_code: of a program that ends for this reason, so that whoever started it looks for the other one.
    """

    exit_code = 3


@contextmanager
def joined_processes() -> Iterator[World]:
    """The processes that torchrun has started, this one among them; this one alone where it has not.

    When one of them fails, the others fail too, with :class:`FailedElsewhere`: one error is told once.

    Raises:
        ConfigError: torchrun's variables make no sense.
        TrainingError: the others cannot be reached.
    """
    if not {"RANK", "WORLD_SIZE"} <= os.environ.keys():
        yield SingleProcess()
        return
    processes = Processes.join()
    try:
        yield processes
    except Exception as error:
        if not processes.first_to_fail():
            raise FailedElsewhere("another process of this run has failed, and says why") from error
        raise
    dist.destroy_process_group()


def end_process(code: int) -> NoReturn:
    """End one of several processes: exit handlers run, and the interpreter is not taken apart.

    gloo's threads let go of a tensor some time after its operation is done, which takes an interpreter: on a busy
    machine a run that had succeeded aborted here. FSDP's groups cannot be waited for: PyTorch remembers them for ever.
    """
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # nobody reads it any more
            stream.flush()
    os._exit(code)


class Processes:
    """A :class:`~chatwright.train.world.World` of several processes.

    Args:
        store: where the processes leave notes for each other.
        rank, size: of this process, among how many.
        local_rank, local_size: the same on this machine.
    """

    def __init__(self, store: Store, *, rank: int, size: int, local_rank: int, local_size: int) -> None:
        self.rank, self.size = rank, size
        self.machines = size // local_size
        self._store, self._local_rank, self._local_size = store, local_rank, local_size

    @classmethod
    def join(cls) -> "Processes":
        """Meet the others where torchrun's variables say."""
        numbers = {name: _number(name) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")}
        rank, size, local_rank, local_size = numbers.values()
        if not 0 <= rank < size or not 0 <= local_rank < local_size or size % local_size:
            raise ConfigError(f"torchrun's variables contradict each other: {numbers}; start with torchrun")
        if local_rank < torch.cuda.device_count():
            torch.cuda.set_device(local_rank)
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        try:
            store, _, _ = next(rendezvous("env://", rank, size))
            dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=_PATIENCE)
        except (ValueError, RuntimeError) as error:
            what = str(error).partition("\n")[0]
            raise TrainingError(f"process {rank} cannot meet the {size - 1} others: {what}") from error
        return cls(store, rank=rank, size=size, local_rank=local_rank, local_size=local_size)

    def first_to_fail(self) -> bool:
        """Note that this process fails; whether no other one has before."""
        try:
            return bool(self._store.add(_FAILED, 1) == 1)
        except RuntimeError:  # the store is gone, and whoever kept it
            return False

    def device(self, name: str) -> torch.device:
        """The device of this process: on CUDA, the one that has its number on the machine.

        Raises:
            ConfigError: there are more processes than devices, or the recipe names a single one.
        """
        device = choose_device(name)
        if device.type != "cuda":
            return device
        count = torch.cuda.device_count()
        index: int | None = device.index
        if index is not None and self._local_size > 1:
            raise ConfigError(f"device is {name!r}, but {self._local_size} processes need one each; use device: cuda")
        if count < self._local_size:
            raise ConfigError(
                f"{self._local_size} processes need a GPU each, and this machine has {count}; start with "
                f"--nproc-per-node {count}"
            )
        return torch.device("cuda", self._local_rank)

    def barrier(self) -> None:
        """Wait in the main memory's group: a GPU would be busy with waiting."""
        self.sum(torch.zeros(1))

    def sum(self, values: Tensor) -> Tensor:
        """In place."""
        try:
            dist.all_reduce(values)
        except RuntimeError as error:
            _LOG.debug("a collective operation failed", exc_info=True)
            raise TrainingError(
                "another process of this run has ended without a word, perhaps for want of memory; --resume goes on "
                "from the last checkpoint"
            ) from error
        return values

    def sum_gradients(self, parameters: Mapping[str, nn.Parameter]) -> None:
        """By buckets. What no process has a gradient for is left without one, as in a single process."""
        own = [parameter for parameter in parameters.values() if not is_sharded(parameter)]
        if not own:
            return
        known = self.sum(torch.tensor([float(parameter.grad is not None) for parameter in own]))
        gradients = []
        for parameter, count in zip(own, known.tolist(), strict=True):
            if count:
                parameter.grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
                gradients.append(parameter.grad)
        for bucket in _buckets(gradients):
            flat = self.sum(torch.cat([gradient.reshape(-1) for gradient in bucket]))
            for gradient, part in zip(bucket, torch.split(flat, [g.numel() for g in bucket]), strict=True):
                gradient.copy_(part.view_as(gradient))

    def gather(self, tensors: Mapping[str, Tensor]) -> list[Mapping[str, Tensor]]:
        """As objects: they are small, and differ in shape."""
        gathered: list[Mapping[str, Tensor]] | None = [{}] * self.size if self.rank == 0 else None
        dist.gather_object(dict(tensors), gathered)
        return gathered or []


def _number(name: str) -> int:
    try:
        return int(os.environ[name])
    except (KeyError, ValueError):
        found = os.environ.get(name)
        raise ConfigError(f"{name} is {found!r} in the environment, and should be a number; use torchrun") from None


def _buckets(gradients: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    bucket: list[Tensor] = []
    size = 0
    for gradient in gradients:
        bucket.append(gradient)
        size += gradient.nbytes
        if size >= _BUCKET_BYTES:
            yield bucket
            bucket, size = [], 0
    if bucket:
        yield bucket
