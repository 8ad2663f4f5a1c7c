"""The one training loop: every stage, whatever it minimises, is run by :func:`run_stage`."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch

from chatwright.errors import ConfigError, StorageError, TrainingError, TrainingStopped
from chatwright.train.ahead import Ahead
from chatwright.train.batch import Batch
from chatwright.train.blocks import running_blocks
from chatwright.train.checkpoint import (
    best_checkpoint,
    list_checkpoints,
    new_checkpoint,
    newest_name,
    open_checkpoint,
    prune,
    tidy,
)
from chatwright.train.feed import RowFeed
from chatwright.train.guard import named
from chatwright.train.memory import is_out_of_memory, peak_memory_bytes
from chatwright.train.optimizers import clip_gradients
from chatwright.train.rng import seed_all, step_seed, undisturbed
from chatwright.train.setup import Prepared, prepare
from chatwright.train.stage import Stage, StageResult
from chatwright.train.state import Gathered, trained_modules
from chatwright.train.step import Gradients, suspects
from chatwright.train.stopping import StopRequest
from chatwright.train.watch import SilentWatcher, Watcher
from chatwright.train.world import SingleProcess, World


def run_stage(
    stage: Stage,
    *,
    run: Path,
    watcher: Watcher | None = None,
    resume_from: Path | None = None,
    world: World | None = None,
) -> StageResult:
    """Train.

    On a CPU, a stage that was stopped at any moment and goes on gives the very losses of one that was not.

    Args:
        stage: what to run; its model holds the result afterwards.
        run: folder of the run, for its checkpoints.
        watcher: told how it goes.
        resume_from: folder of a checkpoint of this very stage; None starts from the model as it is.
        world: the processes that train together; None: this one alone.

    Raises:
        ConfigError: settings exclude each other, or the checkpoint is of another stage.
        TrainingError: too many steps in a row were refused, or not one row fits into memory.
        TrainingStopped: Ctrl-C or SIGTERM; a checkpoint was saved.
    """
    world = world or SingleProcess()
    if stage.total_steps < 1:
        raise ConfigError(f"stage {stage.name} has no steps to take; raise num_train_epochs or max_steps")
    told = watcher if watcher is not None and world.rank == 0 else SilentWatcher()
    settings = stage.settings
    seed_all(stage.seed + world.rank)
    with (
        StopRequest() as stop,
        running_blocks(stage.model, recompute=settings.gradient_checkpointing, compiled=settings.torch_compile),
    ):
        prepared = prepare(stage, told, world, resume_from)
        with Ahead(enabled=stage.model.embed.weight.is_cuda) as ahead:
            return _Loop(prepared, run, told, world, stop, ahead).run(resume_from)


class _Loop:
    """Steps, and what happens between them.

    Attributes:
        taken: steps of the stage.
        figures: of the last evaluation, which was after ``evaluated`` steps.
    """

    def __init__(
        self, prepared: Prepared, run: Path, watcher: Watcher, world: World, stop: StopRequest, ahead: Ahead
    ) -> None:
        self.prepared, self.state = prepared, prepared.state
        self.run_folder, self.watcher, self.world, self.stop, self.ahead = run, watcher, world, stop, ahead
        self.taken = 0
        self.evaluated = 0
        self.figures: dict[str, float] = {}

    @property
    def stage(self) -> Stage:
        """The stage, its feed in the present micro-batches."""
        return self.state.stage

    def run(self, resume_from: Path | None) -> StageResult:
        """Take the steps that are left."""
        if resume_from is not None:
            self._resume(resume_from)
        if self.world.rank == 0:
            tidy(self.run_folder, self.stage.first_step + self.taken)
        self.watcher.stage_started(self.stage, replace(self.prepared.start, stage_step=self.taken))
        self._set_training(True)
        self.state.recorder.start_clock()
        while self.taken < self.stage.total_steps and not self.state.best.enough:
            asked_to_stop = self._step()
            self._after_step(self.taken == self.stage.total_steps, asked_to_stop)
        return self._finish()

    def _resume(self, folder: Path) -> None:
        checkpoint = open_checkpoint(folder)
        stage = self.stage
        if checkpoint.stage != stage.name or checkpoint.step != stage.first_step + checkpoint.stage_step:
            raise ConfigError(
                f"{folder} is of stage {checkpoint.stage}, step {checkpoint.stage_step}; it cannot be gone on from in "
                f"stage {stage.name}, which starts after {stage.first_step} steps of the run"
            )
        self.state.load(folder, self.world)
        self.taken = checkpoint.stage_step

    def _step(self) -> bool:
        """One optimiser step; whether somebody asked to stop."""
        state, settings = self.state, self.stage.settings
        if self.world.size > 1:
            # One checkpoint cannot hold the generators of processes whose number may change: steps seed them anew.
            seed_all(step_seed(self.stage.seed, self.taken, self.world.rank))
        batches, gradients = self._gradients()
        self.taken += 1
        objection = state.guard.objection(gradients.loss, gradients.norm_value)
        if objection is not None:
            state.optimizers.zero_grad()
            self._refuse(objection, batches, gradients)
            return self._asked(gradients)
        state.guard.accept(gradients.loss)
        clip_gradients(state.masters.parameters.values(), gradients.norm, settings.max_grad_norm)
        state.optimizers.set_rate(self.prepared.schedule(self.taken - 1))
        state.optimizers.step()
        state.optimizers.zero_grad()
        if state.mean is not None:
            state.mean.update()
        state.masters.publish()
        state.recorder.add(self.taken, gradients, state.optimizers.learning_rate)
        self.stage.objective.after_step(self.stage.model, self.taken)
        return self._asked(gradients)

    def _asked(self, gradients: Gradients) -> bool:
        """Whether to stop: all processes after the same step, so what counts is what they told each other in it."""
        return gradients.stop if self.world.size > 1 else self.stop.name is not None

    def _gradients(self) -> tuple[Sequence[Batch], Gradients]:
        """Those of the next step, in smaller micro-batches where memory does not suffice."""
        while True:
            self.stage.objective.before_step(self.taken)
            batches = self.ahead.micro_batches(self.stage.feed, self.taken)
            try:
                return batches, self.prepared.passes.run(batches, stop=self.stop.name is not None)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                problem = str(error).partition("\n")[0]
            # Only out here is what the failed passes held on to free.
            self.state.optimizers.zero_grad()
            for module in trained_modules(self.stage).values():
                module.zero_grad(set_to_none=True)
            self._halve(problem)

    def _halve(self, problem: str) -> None:
        feed, settings = self.stage.feed, self.stage.settings
        free = settings.per_device_train_batch_size == settings.gradient_accumulation_steps == "auto"
        if not isinstance(feed, RowFeed) or not free or feed.rows_per_micro_batch == 1 or self.world.size > 1:
            raise TrainingError(
                f"memory does not suffice for a forward and backward pass ({problem}); make max_length or "
                "per_device_train_batch_size smaller, set gradient_checkpointing: true, or train adapters (lora)"
            )
        rows = feed.rows_per_micro_batch // 2
        self.state.stage = replace(self.stage, feed=feed.with_micro_batch(rows))
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        self.watcher.warned(
            f"memory did not suffice; going on with {rows} rows at a time, and as many in a step as before"
        )

    def _refuse(self, reason: str, batches: Sequence[Batch], gradients: Gradients) -> None:
        self.state.recorder.flush()  # records come in the order of the steps
        examples = suspects(batches, gradients.losses)
        measured = {"loss": gradients.loss, "grad_norm": gradients.norm_value}
        finite = {name: value for name, value in measured.items() if math.isfinite(value)}
        place = self.state.recorder.place(self.taken)
        self.watcher.skipped(place | finite | {"reason": reason, "examples": named(examples)})
        self.state.guard.refuse(self.stage.first_step + self.taken, reason, examples)

    def _after_step(self, last: bool, asked_to_stop: bool) -> None:
        settings = self.stage.settings
        if last or self.taken % settings.logging_steps == 0:
            self.state.recorder.flush()
        better = self._evaluate() if last or self.taken % self.prepared.eval_every == 0 else False
        keep = better and settings.early_stopping_patience is not None
        over = last or self.state.best.enough
        if asked_to_stop or over or keep or self.taken % self.prepared.save_every == 0:
            saved = self._save()
            if asked_to_stop:
                raise self._stopped(saved)
            self.state.recorder.start_clock()

    def _evaluate(self) -> bool:
        """Call the stage's evaluation; whether its loss is the best so far."""
        if self.stage.evaluate is None:
            return False
        self.state.recorder.flush()
        self._set_training(False)
        with undisturbed(), torch.no_grad(), self._mean_in_place():
            self.figures = self.stage.evaluate()
        self._set_training(True)
        self.evaluated = self.taken
        self.watcher.evaluated(self.state.recorder.place(self.taken) | self.figures)
        self.state.recorder.start_clock()
        if (loss := self.figures.get("eval_loss")) is not None:
            return self.state.best.add(loss)
        if self.stage.settings.early_stopping_patience is not None:
            raise ConfigError(f"stage {self.stage.name}: early_stopping_patience needs an eval_loss; remove it")
        return False

    @contextmanager
    def _mean_in_place(self) -> Iterator[None]:
        """The model has the running mean of its weights, if one is kept."""
        mean, masters = self.state.mean, self.state.masters
        if mean is None:
            yield
            return
        with mean.in_place():
            masters.publish()
            yield
        masters.publish()

    def _save(self) -> bool:
        """Write a checkpoint; whether it is there."""
        self.state.recorder.flush()
        gathered = self.state.gathered(self.world)
        saved = self._write_with_room(gathered) if self.world.rank == 0 else True
        self.world.barrier()
        return saved

    def _write_with_room(self, gathered: Gathered) -> bool:
        """A full disk costs the older checkpoints; if that does not help, there is a warning and training goes on."""
        run, stage = self.run_folder, self.stage
        try:
            self._write(gathered)
        except StorageError:
            prune(run, stage.name, keep=1)
            try:
                self._write(gathered)
            except StorageError as error:
                last = newest_name(run)
                self.watcher.warned(f"no checkpoint at step {stage.first_step + self.taken}: {error}; {last}")
                return False
        prune(run, stage.name, stage.settings.save_total_limit)
        return True

    def _write(self, gathered: Gathered) -> None:
        step = self.stage.first_step + self.taken
        loss = self.figures.get("eval_loss") if self.evaluated == self.taken else None
        about = {} if loss is None or not math.isfinite(loss) else {"eval_loss": loss}
        with new_checkpoint(
            self.run_folder, step=step, stage=self.stage.name, stage_step=self.taken, **about
        ) as checkpoint:
            self.state.save(checkpoint.path, gathered)
        self.watcher.saved(self.run_folder / f"checkpoint-{step}", self.state.recorder.place(self.taken) | about)

    def _stopped(self, saved: bool) -> TrainingStopped:
        step = self.stage.first_step + self.taken
        kept = f"checkpoint-{step} is saved" if saved else newest_name(self.run_folder)
        return TrainingStopped(
            f"stopped by {self.stop.name or 'another process'} after step {step}; {kept} in {self.run_folder}: "
            "the same command with --resume goes on from there",
            step=step,
        )

    @torch.no_grad()
    def _finish(self) -> StageResult:
        state, stage = self.state, self.stage
        state.recorder.flush()
        state.guard.end(self.taken)
        best = best_checkpoint(list_checkpoints(self.run_folder), stage.name)
        if stage.settings.early_stopping_patience is not None and best is not None:
            state.load_weights(best.path, mean=state.mean is not None)
        elif state.mean is not None:
            for name, parameter in state.masters.parameters.items():
                parameter.copy_(state.mean.means[name])
        peak = peak_memory_bytes(stage.model.embed.weight.device)
        state.masters.finish()
        self._set_training(False)
        result = StageResult(
            steps=self.taken,
            loss=state.recorder.loss,
            best_eval_loss=state.best.loss,
            figures=self.figures,
            stopped_early=state.best.enough,
            skipped_steps=state.guard.skipped,
            tokens=state.recorder.tokens,
            seconds=state.recorder.seconds,
            tokens_per_s=state.recorder.tokens_per_s,
            mfu=state.recorder.mfu,
            peak_memory_bytes=peak,
        )
        self.watcher.stage_ended(stage, result)
        return result

    def _set_training(self, mode: bool) -> None:
        for module in trained_modules(self.stage).values():
            module.train(mode)
