"""Putting the parts of a stage together before its first step."""

import math
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from chatwright.engine.memory import keep_freed_memory
from chatwright.errors import ConfigError
from chatwright.model import count_parameters
from chatwright.train.ema import RunningMean
from chatwright.train.feed import RowFeed
from chatwright.train.flops import ModelFlops
from chatwright.train.footprint import MemoryEstimate, estimate_memory
from chatwright.train.guard import Guard
from chatwright.train.memory import rows_per_micro_batch
from chatwright.train.objective import Objective
from chatwright.train.optimizers import Optimizers
from chatwright.train.precision import MasterWeights, compute_dtype
from chatwright.train.qat import int8_rounding
from chatwright.train.recorder import Recorder
from chatwright.train.schedule import Schedule
from chatwright.train.sharding import Parallel, ShardedWeights, choose_parallel, num_parts
from chatwright.train.stage import Stage
from chatwright.train.state import TrainingState, stored_micro_batch, trained_modules
from chatwright.train.step import Passes
from chatwright.train.stopping import BestSoFar
from chatwright.train.throughput import matmul_peak
from chatwright.train.watch import StageStart, Watcher
from chatwright.train.world import World, agreed

# Of a step's activations, which are freed all at once. 18,000 page faults a step took a tenth of its time.
_KEPT_BYTES = 2**31 - 1
# Of a stage, where the settings do not say; every second one is followed by a checkpoint.
_EVALUATIONS = 10


@dataclass(slots=True)
class Prepared:
    """A stage that is about to take its first step.

    Attributes:
        state: what changes with the steps, and goes into checkpoints.
        passes: forward and backward.
        schedule: the learning rate.
        eval_every, save_every: steps from one to the next.
        start: what the watcher is told.
    """

    state: TrainingState
    passes: Passes
    schedule: Schedule
    eval_every: int
    save_every: int
    start: StageStart


def prepare(stage: Stage, watcher: Watcher, world: World, resume_from: Path | None) -> Prepared:
    """Cast the model, make optimisers, choose micro-batches.

    Raises:
        ConfigError: settings that cannot be had together.
    """
    settings, model = stage.settings, stage.model
    if settings.early_stopping_patience is not None and stage.evaluate is None:
        raise ConfigError(
            f"stage {stage.name}: early_stopping_patience needs held-out data; give eval_data, or leave it out"
        )
    device = model.embed.weight.device
    if device.type == "cpu":
        keep_freed_memory(_KEPT_BYTES)
    dtype = compute_dtype(settings.bf16, device)
    weights = [weight for module in trained_modules(stage).values() for weight in module.parameters()]
    trainable = sum(weight.numel() for weight in weights if weight.requires_grad)
    if not trainable:
        raise ConfigError(f"stage {stage.name}: no weight requires a gradient, so nothing can be learned")
    memory = estimate_memory(
        model.config,
        itemsize=dtype.itemsize,
        optimizer=settings.optimizer,
        trainable=trainable,
        mean=settings.ema_decay is not None,
        recompute=settings.gradient_checkpointing,
        reference=0 if stage.objective.frozen is None else stage.objective.frozen.num_parameters(),
        samples=stage.objective.samples,
    )
    parallel = choose_parallel(stage, memory, world)
    if world.size == 1 and settings.parallel != "auto":
        watcher.warned(f"parallel: {settings.parallel} has no effect in a single process; start several with torchrun")
    memory = memory.sharded(num_parts(parallel, world))
    masters = _masters(stage, dtype, world, parallel)
    optimizers = Optimizers(masters.parameters, settings)
    mean = RunningMean(masters.parameters, settings.ema_decay) if settings.ema_decay else None
    if type(stage.objective).prepare is not Objective.prepare and isinstance(stage.feed, RowFeed):
        stage.objective.prepare(stage.feed.epoch_batches())  # by the untrained model: before a checkpoint is loaded
        if stage.held_out:
            stage.objective.prepare(stage.held_out)
    stage = _divided(stage, memory, world, resume_from)
    peak = matmul_peak(device, dtype)
    rows = stage.feed.rows_per_micro_batch if isinstance(stage.feed, RowFeed) else None
    tokens = rows * stage.feed.tokens_per_row if isinstance(stage.feed, RowFeed) and rows else 0
    recorder = Recorder(stage, watcher, world, peak)
    flops = ModelFlops.of(model.config, trained_part=min(1.0, trainable / count_parameters(model.config)))
    eval_every = settings.eval_steps or max(1, math.ceil(stage.total_steps / _EVALUATIONS))
    return Prepared(
        state=TrainingState(
            stage=stage,
            masters=masters,
            optimizers=optimizers,
            mean=mean,
            guard=Guard(settings.spike_threshold, settings.max_skipped_steps),
            best=BestSoFar(settings.early_stopping_patience),
            recorder=recorder,
        ),
        passes=Passes(model, stage.objective, masters, flops, world),
        schedule=Schedule.of(settings, stage.total_steps),
        eval_every=eval_every,
        save_every=settings.save_steps or 2 * eval_every,
        start=StageStart(
            stage_step=0,
            trainable_parameters=trainable,
            parameters=sum(weight.numel() for weight in weights),
            rows_per_micro_batch=rows,
            dtype=str(dtype).removeprefix("torch."),
            peak_flops=peak,
            memory_bytes=memory.total(tokens),
        ),
    )


def _masters(stage: Stage, dtype: torch.dtype, world: World, parallel: Parallel) -> MasterWeights:
    rounding = int8_rounding(stage.model) if stage.settings.qat else None
    if parallel != "ddp":
        goal = stage.objective
        return ShardedWeights(stage.model, goal.head, dtype, world, parallel, rounding=rounding, frozen=goal.frozen)
    return MasterWeights(trained_modules(stage), dtype, rounding=rounding)


def _divided(stage: Stage, memory: MemoryEstimate, world: World, resume_from: Path | None) -> Stage:
    """The stage with its feed in micro-batches as the settings want them, or as memory allows.

    A stage that goes on keeps those it had: another division would round sums otherwise.
    """
    feed, settings = stage.feed, stage.settings
    if not isinstance(feed, RowFeed):
        return stage
    free = settings.per_device_train_batch_size == settings.gradient_accumulation_steps == "auto"
    rows = stored_micro_batch(resume_from) if resume_from is not None and free else None
    if rows is None:
        device = stage.model.embed.weight.device
        present = memory.weights + memory.masters + memory.mean + memory.reference
        rows = rows_per_micro_batch(feed, settings, memory, device, present=present, world_size=world.size)
        if world.size > 1:  # memory may differ, but all must do the same
            rows = agreed(world, rows)
    return stage if rows == feed.rows_per_micro_batch else replace(stage, feed=feed.with_micro_batch(rows))
