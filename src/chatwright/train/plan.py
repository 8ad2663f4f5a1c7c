"""What a training takes on machines that need not be here: operations, memory of each device, days and cost.

Arithmetic alone; no tensor library is imported. Two assumptions carry it, and both can be given: which part of a
device's peak training reaches (the MFU), and what an hour of one costs.

Source of the kinds of sharding: Rajbhandari et al. 2020, arXiv 1910.02054 (ZeRO); Zhao et al. 2023, arXiv 2304.11277.
"""

import math
import re
from dataclasses import asdict, dataclass
from typing import Any, Literal

from chatwright.errors import InvalidParameterError
from chatwright.model.config import ModelConfig
from chatwright.model.presets import count_parameters
from chatwright.train.accelerators import Accelerator
from chatwright.train.flops import ModelFlops, active_matrix_parameters
from chatwright.train.footprint import MemoryEstimate, estimate_memory
from chatwright.train.scaling import TOKENS_PER_PARAMETER, batch_tokens, learning_rate

CHINCHILLA = f"{TOKENS_PER_PARAMETER} tokens for each parameter (Hoffmann et al. 2022, arXiv 2203.15556)"
TYPICAL_MFU = 0.4
GPUS_PER_NODE = 8
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9, "t": 10**12}

Sharding = Literal["single", "ddp", "fsdp", "hsdp"]


@dataclass(frozen=True, slots=True)
class Work:
    """A stage's training.

    Attributes:
        name: of the stage.
        config: the model's shape.
        tokens: to train on; None where that is not known.
        row_length: tokens in a row of a micro-batch.
        document_length: tokens that attention sees; at most a row.
        rows_per_step: rows in an optimiser step; None where the stage decides.
        trainable: weights that learn; None: all.
        optimizer: AdamW or Muon.
        mean: whether a running mean of the weights is kept.
        reference: whether the untrained model is kept beside.
        samples: whether the model answers as it trains.
    """

    name: str
    config: ModelConfig
    tokens: int | None
    row_length: int
    document_length: int
    rows_per_step: int | None
    trainable: int | None = None
    optimizer: Literal["muon", "adamw"] = "adamw"
    mean: bool = False
    reference: bool = False
    samples: bool = False

    @property
    def flops_per_token(self) -> float:
        """Forward and backward."""
        part = 1.0 if self.trainable is None else self.trainable / count_parameters(self.config)
        return ModelFlops.of(self.config, trained_part=min(part, 1.0)).per_token_of(self.document_length)


@dataclass(frozen=True, slots=True)
class Layout:
    """Bytes on each device under one kind of sharding.

    Attributes:
        sharding: which kind.
        replicas, shards: devices that hold the same, and devices that a copy is divided over.
        weights, gradients, masters, optimizer: what is kept; ``weights`` has those of a reference, and ``optimizer``
            the running mean, too.
        passing: for a moment: layers that are gathered from other devices, a chunk of logits; and the process itself.
        row, row_recomputed: activations of one row, all kept or computed again in the backward pass.
        rows, rows_recomputed: the most rows of a micro-batch that fit, up to a device's share of a step; 0: none.
    """

    sharding: Sharding
    replicas: int
    shards: int
    weights: int
    gradients: int
    masters: int
    optimizer: int
    passing: int
    row: int
    row_recomputed: int
    rows: int
    rows_recomputed: int

    @property
    def fixed(self) -> int:
        """All but activations."""
        return self.weights + self.gradients + self.masters + self.optimizer + self.passing

    @property
    def fits(self) -> bool:
        """Whether one row does, at least with activations that are computed again."""
        return self.rows_recomputed > 0

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self) | {"total": self.fixed + self.row, "total_recomputed": self.fixed + self.row_recomputed,
                               "fits": self.fits}  # fmt: skip


@dataclass(frozen=True, slots=True)
class StagePlan:
    """What a stage takes.

    Attributes:
        work: the stage.
        parameters, embedding_parameters, active_parameters: all weights; those of the vocabulary (and of learned
            positions); those that one token meets.
        flops_per_token, flops: of training; None where the tokens are not known.
        batch_tokens, steps, learning_rate: of an optimiser step; the rate is what suits, None for a stage that has one.
        seconds: on all devices; None where the tokens are not known.
        layouts: memory, by sharding.
    """

    work: Work
    parameters: int
    embedding_parameters: int
    active_parameters: int
    flops_per_token: float
    flops: float | None
    batch_tokens: int | None
    steps: int | None
    learning_rate: float | None
    seconds: float | None
    layouts: tuple[Layout, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a training takes.

    Attributes:
        title: what is trained.
        gpu, gpus, mfu: on what, on how many, and which part of the peak they are assumed to reach.
        price_per_hour: of one device, in dollars; None where it is not known.
        price_given: or else typical, an assumption.
        stages: in order.
        notes: what else to know.
    """

    title: str
    gpu: Accelerator
    gpus: int
    mfu: float
    price_per_hour: float | None
    price_given: bool
    stages: tuple[StagePlan, ...]
    notes: tuple[str, ...] = ()

    @property
    def seconds(self) -> float | None:
        """Of all stages; None where one is not known."""
        times = [stage.seconds for stage in self.stages]
        return None if None in times or not times else math.fsum(time for time in times if time is not None)

    def cost(self, seconds: float | None) -> float | None:
        """Dollars for all devices over a time."""
        if seconds is None or self.price_per_hour is None:
            return None
        return seconds / 3600 * self.gpus * self.price_per_hour

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "title": self.title,
            "gpu": asdict(self.gpu),
            "gpus": self.gpus,
            "mfu": self.mfu,
            "price_per_hour": self.price_per_hour,
            "price_is_assumed": not self.price_given,
            "seconds": self.seconds,
            "days": _days(self.seconds),
            "cost": self.cost(self.seconds),
            "stages": [self._stage_json(stage) for stage in self.stages],
            "notes": list(self.notes),
        }

    def _stage_json(self, stage: StagePlan) -> dict[str, Any]:
        values = {name: getattr(stage, name) for name in StagePlan.__slots__ if name not in ("work", "layouts")}
        return {
            "name": stage.work.name,
            "tokens": stage.work.tokens,
            "row_length": stage.work.row_length,
            **values,
            "days": _days(stage.seconds),
            "cost": self.cost(stage.seconds),
            "memory": {layout.sharding: layout.to_json() for layout in stage.layouts},
        }


def plan_pretraining(
    config: ModelConfig,
    *,
    title: str,
    gpu: Accelerator,
    gpus: int,
    tokens: int | None = None,
    length: int | None = None,
    rows_per_step: int | None = None,
    mfu: float = TYPICAL_MFU,
    price_per_hour: float | None = None,
) -> Plan:
    """The plan of training random weights on text.

    Args:
        config: the model's shape.
        title: what a person calls it.
        gpu, gpus: on what, and on how many.
        tokens: to train on; None: as many as are best for the operations, by Chinchilla.
        length: tokens in a row; None: the model's context, at most 4,096.
        rows_per_step: in an optimiser step, over all devices; None: what suits the amount of training.
        mfu: part of the peak that is reached.
        price_per_hour: of one device, in dollars; None: a typical one.
    """
    length = min(config.max_position_embeddings, 4096) if length is None else length
    if length > config.max_position_embeddings:
        limit = config.max_position_embeddings
        raise InvalidParameterError("length", f"length is {length}, but the model's context only {limit} tokens")
    wanted = TOKENS_PER_PARAMETER * count_parameters(config) if tokens is None else tokens
    rough = 6.0 * count_parameters(config) * wanted
    rows = rows_per_step or max(round(batch_tokens(rough) / length), 1)
    work = Work("pretrain", config, wanted, length, length, rows)
    stage = plan_stage(work, gpu, gpus, mfu, suiting=learning_rate(rough))
    return assemble(title, [stage], gpu=gpu, gpus=gpus, mfu=mfu, price=price_per_hour)


def assemble(
    title: str,
    stages: list[StagePlan],
    *,
    gpu: Accelerator,
    gpus: int,
    mfu: float,
    price: float | None,
    notes: tuple[str, ...] = (),
) -> Plan:
    """A plan of stages."""
    known = gpu.price_per_hour if price is None else price
    return Plan(title, gpu, gpus, mfu, known, price is not None, tuple(stages), notes)


def plan_stage(work: Work, gpu: Accelerator, gpus: int, mfu: float, *, suiting: float | None = None) -> StagePlan:
    """The plan of one stage; ``suiting`` is the learning rate that suits it."""
    if not 0 < mfu <= 1:
        raise InvalidParameterError("mfu", f"mfu is {mfu}; it is a part of the peak: above 0, at most 1")
    if gpus < 1:
        raise InvalidParameterError("gpus", f"gpus is {gpus}; give at least 1")
    config = work.config
    per_token = work.flops_per_token
    flops = None if work.tokens is None else work.tokens * per_token
    per_step = None if work.rows_per_step is None else work.rows_per_step * work.row_length
    return StagePlan(
        work=work,
        parameters=count_parameters(config),
        embedding_parameters=_embedding(config),
        active_parameters=active_matrix_parameters(config) + _embedding(config),
        flops_per_token=per_token,
        flops=flops,
        batch_tokens=per_step,
        steps=None if per_step is None or work.tokens is None else math.ceil(work.tokens / per_step),
        learning_rate=suiting,
        seconds=None if flops is None else flops / (gpus * gpu.bf16_flops * mfu),
        layouts=tuple(_layout(work, gpu, gpus, *kind) for kind in _kinds(gpus)),
    )


def parse_count(text: str, name: str) -> int:
    """``10B`` → 10,000,000,000; also K, M and T, and plain numbers.

    Raises:
        InvalidParameterError: it is none, or less than 1.
    """
    match = re.fullmatch(r"([\d_,]*\.?\d+(?:e\d+)?)\s*([kmbt]?)", text.strip().lower())
    value = 0 if match is None else round(float(re.sub("[_,]", "", match[1])) * _UNITS[match[2]])
    if value < 1:
        raise InvalidParameterError(name, f"{name} is {text!r}; give a number such as 300M, 10B or 1.5T")
    return value


def _kinds(gpus: int) -> list[tuple[Sharding, int, int]]:
    """Kind, replicas, shards. HSDP divides a copy over a node; on a single one, over half of it."""
    kinds: list[tuple[Sharding, int, int]] = [("single", 1, 1)]
    if gpus > 1:
        kinds += [("ddp", gpus, 1), ("fsdp", 1, gpus)]
    group = GPUS_PER_NODE if gpus > GPUS_PER_NODE else gpus // 2
    if group > 1 and gpus % group == 0:
        kinds.append(("hsdp", gpus // group, group))
    return kinds


def _layout(work: Work, gpu: Accelerator, gpus: int, sharding: Sharding, replicas: int, shards: int) -> Layout:
    kept = _estimate(work, gpu, recompute=False)
    again = _estimate(work, gpu, recompute=True)
    weights, gradients, masters, optimizer = (
        _shared(size, shards)
        for size in (kept.weights + kept.reference, kept.gradients, kept.masters, kept.optimizer + kept.mean)
    )
    passing = kept.transient + gpu.overhead_bytes + (_gathered(work, gpu.itemsize) if shards > 1 else 0)
    row, row_again = (work.row_length * estimate.activation_per_token for estimate in (kept, again))
    room = gpu.usable * (gpu.memory_bytes - gpu.overhead_bytes) + gpu.overhead_bytes - passing
    room -= weights + gradients + masters + optimizer
    share = math.ceil((work.rows_per_step or 1) / (replicas * shards))
    rows, rows_again = (max(min(int(room // size), share), 0) for size in (row, row_again))
    return Layout(
        sharding=sharding,
        replicas=replicas,
        shards=shards,
        weights=weights,
        gradients=gradients,
        masters=masters,
        optimizer=optimizer,
        passing=passing,
        row=row,
        row_recomputed=row_again,
        rows=rows,
        rows_recomputed=rows_again,
    )


def _estimate(work: Work, gpu: Accelerator, *, recompute: bool) -> MemoryEstimate:
    return estimate_memory(
        work.config,
        itemsize=gpu.itemsize,
        optimizer=work.optimizer,
        trainable=work.trainable,
        mean=work.mean,
        recompute=recompute,
        reference=count_parameters(work.config) if work.reference else 0,
        samples=work.samples,
    )


def _gathered(work: Work, itemsize: int) -> int:
    """Whole weights that a device holds for a moment where they are divided.

    The layer that computes and the one that is fetched meanwhile, the gradients of a layer before they are summed, and
    the vocabulary, which is needed at both ends; to sample answers, all.
    """
    parameters, embedding = count_parameters(work.config), _embedding(work.config)
    passes = round((3 * (parameters - embedding) / work.config.num_layers + embedding) * itemsize)
    return max(passes, parameters * itemsize) if work.samples else passes


def _shared(size: int, shards: int) -> int:
    return -(-size // shards)


def _embedding(config: ModelConfig) -> int:
    rows = config.vocab_size * (1 if config.tie_embeddings else 2)
    return config.hidden_size * (rows + (config.max_position_embeddings if config.position == "learned" else 0))


def _days(seconds: float | None) -> float | None:
    return None if seconds is None else seconds / 86_400
