"""Weights, gradients and moments spread over the processes (FSDP), so that a model larger than a device can be trained.

Each block's weights are gathered for the moment in which they are used, in the dtype of computation; what a process
keeps is its float32 part. HSDP does so within a machine, and sums gradients between machines.

Source:
    Rajbhandari et al. 2020, arXiv 1910.02054 (stage 3); Zhao et al. 2023, arXiv 2304.11277.
"""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from chatwright.engine.memory import free_bytes
from chatwright.errors import ConfigError
from chatwright.model import GPT
from chatwright.train.dtensors import whole
from chatwright.train.feed import RowFeed
from chatwright.train.footprint import MemoryEstimate
from chatwright.train.precision import MasterWeights, Rounding
from chatwright.train.stage import Stage
from chatwright.train.world import World, agreed

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh

Parallel = Literal["ddp", "fsdp", "hsdp"]

_WAYS: tuple[Parallel, ...] = ("ddp", "fsdp", "hsdp")
_SHARE = 0.85  # of a device's memory, as in chatwright.train.memory


def choose_parallel(stage: Stage, memory: MemoryEstimate, world: World) -> Parallel:
    """How the processes share a stage: as the settings say, or sharded only where a device is too small.

    Raises:
        ConfigError: the processes cannot share as the settings want it.
    """
    wanted = stage.settings.parallel
    if world.size == 1:
        return "ddp"
    if wanted == "hsdp" and world.machines == 1:
        raise ConfigError(
            f"stage {stage.name}: hsdp shards within a machine and copies between machines, but all processes are on "
            "one; use parallel: fsdp"
        )
    if wanted != "auto":
        return wanted
    chosen: Parallel = "ddp"
    if not _fits(stage, memory, parts=1):
        within_machine = _fits(stage, memory, parts=world.size // world.machines)
        chosen = "hsdp" if world.machines > 1 and within_machine else "fsdp"
    return _WAYS[agreed(world, _WAYS.index(chosen))]  # memory may differ, but all must do the same


def num_parts(parallel: Parallel, world: World) -> int:
    """Into how many parts the weights are divided."""
    return {"ddp": 1, "fsdp": world.size, "hsdp": world.size // world.machines}[parallel]


class ShardedWeights(MasterWeights):
    """The float32 parts of a model's weights that this process keeps; a head's weights lie beside them, whole.

    Args:
        model: on this process' device, float32; it is sharded in place.
        head: the objective's.
        dtype: of computation.
        world: the processes.
        parallel: fsdp or hsdp.
        rounding: the passes gather what it makes of the parts; then the model's are copies of the masters.
        frozen: another model, which is sharded too, its parts kept in the dtype of computation.
    """

    def __init__(
        self,
        model: GPT,
        head: nn.Module | None,
        dtype: torch.dtype,
        world: World,
        parallel: Parallel,
        *,
        rounding: Rounding | None = None,
        frozen: GPT | None = None,
    ) -> None:
        super().__init__({}, dtype)
        self._model, self._rank, self._rounding = model, world.rank, rounding
        self._head = MasterWeights({} if head is None else {"head": head}, dtype)
        mesh = _mesh(model.embed.weight.device, world, parallel)
        _shard(model, mesh, dtype, kept=torch.float32)
        if frozen is not None:
            _shard(frozen, mesh, dtype, kept=dtype)
        self._all = dict(model.named_parameters())
        self.parameters = {f"model.{name}": weight for name, weight in self._all.items() if weight.requires_grad}
        if rounding is not None:
            self._working = self.parameters
            self.parameters = {name: nn.Parameter(part.detach().clone()) for name, part in self._working.items()}
            self.publish()
        self.parameters |= self._head.parameters

    def collect(self) -> None:
        """Add the gradients of what the masters have copies of."""
        super().collect()
        self._head.collect()

    def publish(self) -> None:
        """Copy the masters where there are copies, and let go of what was gathered from the parts as they were."""
        super().publish()
        self._head.publish()
        self._model.reshard()  # type: ignore[operator]

    @torch.no_grad()
    def gathered(self) -> Mapping[str, Tensor]:
        """Every weight, in rank 0's main memory; one at a time goes over the devices."""
        self._model.reshard()  # type: ignore[operator]
        return self.whole({f"model.{name}": weight for name, weight in self._all.items()} | self.parameters)

    @torch.no_grad()
    def whole(self, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """In rank 0's main memory, none elsewhere; every process has to call this."""
        gathered = {}
        for name, tensor in tensors.items():
            full = whole(tensor)
            if self._rank == 0:
                gathered[name] = full.detach().cpu()
        return gathered

    @contextmanager
    def exported(self, weights: Mapping[str, Tensor]) -> Iterator[None]:
        """On rank 0 the model holds ``weights``."""
        self._put({name: nn.Parameter(weights[f"model.{name}"], self._all[name].requires_grad) for name in self._all})
        try:
            with self._head.exported(weights):
                yield
        finally:
            self._put(self._all)

    def finish(self) -> None:
        """On rank 0 the model holds every weight for good, in main memory; elsewhere it keeps its parts."""
        self._rounding = None
        self.publish()
        self._working = {}
        weights = self.gathered()
        self._head.finish()
        super().finish()
        if self._rank == 0:
            self._put({name: nn.Parameter(weights[f"model.{name}"], False) for name in self._all})

    def _put(self, weights: Mapping[str, nn.Parameter]) -> None:
        for name, weight in weights.items():
            path, _, leaf = name.rpartition(".")
            self._model.get_submodule(path)._parameters[leaf] = weight


def _mesh(device: torch.device, world: World, parallel: Parallel) -> "DeviceMesh":
    from torch.distributed.device_mesh import init_device_mesh

    if parallel == "hsdp":
        shape = (world.machines, world.size // world.machines)
        return init_device_mesh(device.type, shape, mesh_dim_names=("replicate", "shard"))
    return init_device_mesh(device.type, (world.size,), mesh_dim_names=("shard",))


def _shard(model: GPT, mesh: "DeviceMesh", dtype: torch.dtype, *, kept: torch.dtype) -> None:
    """Spread the weights, which are ``kept`` in one dtype and compute in another."""
    from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard

    for parameter in model.parameters():
        parameter.data = parameter.data.to(kept)
    # It warns that outputs which are views must not be written into; nobody here does.
    warnings.filterwarnings("ignore", message="FSDP2-wrapped module", category=UserWarning)
    policy = MixedPrecisionPolicy(param_dtype=dtype, reduce_dtype=torch.float32)
    for block in model.layers:
        fully_shard(block, mesh=mesh, mp_policy=policy)
    # The loss reads the output head after the forward pass, so what belongs to no block stays until the backward pass.
    fully_shard(model, mesh=mesh, mp_policy=policy, reshard_after_forward=False)
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.set_gradient_divide_factor(1.0)  # losses are divided by the items of all processes already
            module.set_force_sum_reduction_for_comms(True)


def _fits(stage: Stage, memory: MemoryEstimate, *, parts: int) -> bool:
    """Whether a device holds its part and what one row needs."""
    device = stage.model.embed.weight.device
    if device.type != "cuda":  # processes on a CPU share one memory: copies in parts take as much
        return True
    models = (stage.model, stage.objective.frozen)
    present = sum(weight.nbytes for model in models if model is not None for weight in model.parameters())
    free = free_bytes(device)
    tokens = stage.feed.tokens_per_row if isinstance(stage.feed, RowFeed) else stage.settings.max_length
    return free is None or memory.sharded(parts).total(tokens) <= _SHARE * (free + present)
