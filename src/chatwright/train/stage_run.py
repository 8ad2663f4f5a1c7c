"""One stage of a recipe, from the model before it to the folder of its result."""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from chatwright.chat import ChatTemplate
from chatwright.data.rows import Text
from chatwright.errors import ConfigError
from chatwright.model import GPT
from chatwright.model.load import load_folder
from chatwright.tokenizer import Tokenizer
from chatwright.train.batch import Batch
from chatwright.train.dtensors import is_sharded_model
from chatwright.train.feed import Feed, RowFeed
from chatwright.train.journal import Journal
from chatwright.train.loop import run_stage
from chatwright.train.objective import Objective, StageContext
from chatwright.train.objectives import objective
from chatwright.train.objectives.causal import Likelihood
from chatwright.train.recipe import Recipe
from chatwright.train.run_folder import RunFolder, StageRecord
from chatwright.train.run_watch import RunWatcher
from chatwright.train.samples import take_samples
from chatwright.train.scaling import scaled
from chatwright.train.settings import StageSettings
from chatwright.train.stage import Stage, StageResult
from chatwright.train.stage_data import StageData, feed_of, open_stage_data, prepare_stage_data, stage_rows
from chatwright.train.stage_model import advice, check_context, first_model, prepare_model, save_result, save_weights
from chatwright.train.validation import Validation
from chatwright.train.watch import Watcher
from chatwright.train.world import World, first_alone

_DEFAULT_ROWS = 16  # packed rows in an optimiser step, where nobody says
_EVAL_TOKENS = 4096  # in a forward pass of an evaluation
_MODEL_FIELDS = {"teacher", "reward_funcs"}  # of stages' settings: they name models
_LAST_STEPS = 20  # over which the final loss is averaged


@dataclass(frozen=True, slots=True)
class StageRun:
    """Everything that a stage needs, and :meth:`run`.

    Attributes:
        recipe, name: which stage of which recipe.
        settings: of the stage.
        run: the run's folder.
        tokenizer, template: of the run.
        first_step: steps of the run before this stage.
        world: the processes that train together.
        device: of the model.
        journal: is told of samples, and knows the step.
        loop_watcher: is told of every step: the journal, the reporters, the person's display.
        watcher: is told of what lies between.
    """

    recipe: Recipe
    name: str
    settings: StageSettings
    run: RunFolder
    tokenizer: Tokenizer
    template: ChatTemplate
    first_step: int
    world: World
    device: torch.device
    journal: Journal
    loop_watcher: Watcher
    watcher: RunWatcher

    def run_to_end(self, checkpoint: Path | None) -> StageRecord:
        """Train, and write the result.

        Args:
            checkpoint: of this stage, to go on from.
        """
        return replace(self, settings=self._completed())._learn(checkpoint)

    def _learn(self, checkpoint: Path | None) -> StageRecord:
        data = self._data()
        self.watcher.entered("model", self.name)
        model = self._start_model()
        check_context(model.config, self.settings, self.name)
        return replace(self, settings=self._scaled(model, data))._train(model, data, checkpoint)

    def _train(self, model: GPT, data: StageData | None, checkpoint: Path | None) -> StageRecord:
        prepare_model(model, self.settings, seed=self.seed)
        goal = self._objective(model)
        feed = self._feed(goal, data)
        held_out = self._held_out(data)
        stage = Stage(
            name=self.name,
            settings=self.settings,
            model=model,
            objective=goal,
            feed=feed,
            total_steps=total_steps(self.settings, feed, self.name),
            first_step=self.first_step,
            seed=self.seed,
            evaluate=self._evaluation(model, goal, held_out),
            held_out=held_out,
            save_extra=self._save_extra,
            save_model=lambda folder: save_weights(model, folder),
        )
        facts = self._facts(model, feed, data)
        result = run_stage(
            stage, run=self.run.path, watcher=self.loop_watcher, resume_from=checkpoint, world=self.world
        )
        return first_alone(self.world, lambda: self._finish(stage, result, facts), self._record)

    @property
    def kind(self) -> type[Objective]:
        """The stage's objective."""
        return objective(self.recipe.objective_of(self.name))

    @property
    def seed(self) -> int:
        """Another one for each stage, so that none repeats the order of the one before."""
        return self.recipe.seed + list(self.recipe.stages).index(self.name)

    @property
    def _makes_its_own_batches(self) -> bool:
        return self.kind.feed is not Objective.feed

    def _completed(self) -> StageSettings:
        """With what the data tells."""
        rows = stage_rows(self.recipe, self.name, self.kind)
        return self.kind.completed(self.settings, itertools.chain(rows.train, rows.validation))

    def _data(self) -> StageData | None:
        if self._makes_its_own_batches:
            return None
        self.watcher.entered("data", self.name)
        folder = self.run.data(self.name)
        return first_alone(
            self.world,
            lambda: prepare_stage_data(
                self.recipe,
                self.name,
                self.kind,
                self.template,
                folder,
                settings=self.settings,
                seed=self.seed,
                progress=lambda rows, tokens: self.watcher.tokenised(self.name, rows, tokens),
                answered=lambda rows, tokens: self.watcher.answered(self.name, rows, tokens),
            ),
            lambda: open_stage_data(folder),
        )

    def _start_model(self) -> GPT:
        """The result of the stage before, or the recipe's model; in float32."""
        before = start_of(self.recipe, self.name)
        if before is not None:
            return load_folder(self.run.stage(before), dtype=torch.float32, device=self.device)
        return first_model(self.recipe.model, self.tokenizer, seed=self.recipe.seed, device=self.device)

    def _objective(self, model: GPT) -> Objective:
        context = StageContext(
            settings=self.settings,
            model=model,
            tokenizer=self.tokenizer,
            template=self.template,
            folder=self.run.work(self.name),
            seed=self.seed,
            device=self.device,
            rank=self.world.rank,
            world_size=self.world.size,
        )
        return self.kind(context)

    def _scaled(self, model: GPT, data: StageData | None) -> StageSettings:
        """With what the recipe leaves open for a model from scratch: batch, steps, learning rate."""
        from_scratch = self.recipe.model.from_scratch and start_of(self.recipe, self.name) is None
        if not from_scratch or data is None or Text not in self.kind.rows:
            return self.settings
        return scaled(self.settings, model.config, data.train.num_tokens)

    def _feed(self, goal: Objective, data: StageData | None) -> Feed:
        if data is None:
            own = goal.feed(stage_rows(self.recipe, self.name, self.kind).train)
            assert own is not None
            return own
        if (drawn := goal.draw(data.train)) is not None:
            return drawn
        rows = rows_per_step(self.settings, self.world.size, self.name)
        return feed_of(data.train, self.settings, self.kind, rows_per_step=rows, seed=self.seed, world=self.world)

    def _evaluation(
        self, model: GPT, goal: Objective, held_out: Sequence[Batch]
    ) -> Callable[[], dict[str, float]] | None:
        wishes = self.recipe.evaluation
        is_text = issubclass(self.kind, Likelihood)
        validation = Validation(goal, held_out, self.tokenizer if is_text else None, self.world) if held_out else None
        samples = bool(wishes.samples) and self.kind.chats and self.world.rank == 0
        tasks = bool(wishes.tasks) and wishes.during and self.kind.chats and Text not in self.kind.rows
        tasks = tasks and self.world.rank == 0
        if not (validation or samples or tasks):
            return None
        left_out = "samples and tasks take a whole model, and this one is sharded: they wait for the end of the run"
        told_once = [left_out] if samples or tasks else []

        def evaluate() -> dict[str, float]:
            figures = {} if validation is None else validation.measure(model)
            if is_sharded_model(model):
                while told_once:
                    self.loop_watcher.warned(told_once.pop())
                return figures
            if samples:
                self._sample(model)
            if tasks:
                figures |= task_figures(model, self.tokenizer, self.template, wishes.tasks, wishes.eval_limit)
            return figures

        return evaluate

    def _held_out(self, data: StageData | None) -> list[Batch]:
        """Batches of the validation data, the same ones at each evaluation."""
        if data is None or data.validation is None:
            return []
        rows = max(_EVAL_TOKENS // self.settings.max_length, 1)
        feed = feed_of(
            data.validation, self.settings, self.kind, rows_per_step=rows, seed=self.seed, world=self.world
        ).with_micro_batch(rows)
        return list(itertools.islice(feed.epoch_batches(), self.recipe.evaluation.max_batches))

    def _sample(self, model: GPT) -> None:
        wishes = self.recipe.evaluation
        samples = take_samples(
            model,
            self.tokenizer,
            self.template,
            wishes.samples,
            max_tokens=wishes.sample_tokens,
            as_chat=Text not in self.kind.rows,
        )
        self.journal.sampled(self.name, samples)
        self.watcher.sampled(self.name, samples)

    def _save_extra(self, folder: Path) -> None:
        self.tokenizer.save(folder)

    def _record(self) -> StageRecord:
        record = self.run.finished(self.name)
        assert record is not None
        return record

    def _finish(self, stage: Stage, result: StageResult, facts: Mapping[str, Any]) -> StageRecord:
        record = StageRecord(
            name=self.name,
            objective=self.recipe.objective_of(self.name),
            first_step=self.first_step,
            steps=result.steps,
            tokens=result.tokens,
            seconds=round(result.seconds, 3),
            figures=final_figures(self.run, self.name),
            facts={**facts, "stopped_early": result.stopped_early, "skipped_steps": result.skipped_steps},
        )
        with self.run.finishing(self.name) as folder:
            base = self._start_model() if self.settings.lora is not None else None
            save_result(stage.model, base, folder, advice(self.recipe.model, self.tokenizer, self.template))
            stage.objective.save(folder)
            self._save_extra(folder)
            record.write(folder)
        return record

    def _facts(self, model: GPT, feed: Feed, data: StageData | None) -> dict[str, Any]:
        facts: dict[str, Any] = {
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
            "trainable_parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
            "start": start_of(self.recipe, self.name) or "the recipe's model",
        }
        if isinstance(feed, RowFeed):
            facts |= {"rows_per_step": feed.rows_per_step, "learning_rate": self.settings.learning_rate}
        if data is not None:
            facts["data"] = data.report
        return facts


def start_of(recipe: Recipe, stage: str) -> str | None:
    """The stage whose result a stage starts from; None for the recipe's own model."""
    given = recipe.stage_settings(stage).start_from
    names = list(recipe.stages)
    index = names.index(stage)
    return given if given is not None or index == 0 else names[index - 1]


def settings_in(run: RunFolder, recipe: Recipe, stage: str) -> StageSettings:
    """The settings of a stage, in which a model may be named by the stage that makes it: its folder takes the place."""
    settings = recipe.stage_settings(stage)
    names = list(recipe.stages)
    earlier = {name: str(run.stage(name)) for name in names[: names.index(stage)]}
    changes: dict[str, Any] = {}
    for field in _MODEL_FIELDS & settings.model_fields_set:
        value = getattr(settings, field)
        if isinstance(value, tuple):
            changes[field] = tuple(earlier.get(entry, entry) for entry in value)
        else:
            changes[field] = earlier.get(value, value)
    return settings.model_copy(update=changes)


def rows_per_step(settings: StageSettings, world_size: int, name: str) -> int:
    """Packed rows in an optimiser step, over all processes.

    Raises:
        ConfigError: the three numbers that decide it contradict each other.
    """
    total, per_device, count = (
        settings.train_batch_size,
        settings.per_device_train_batch_size,
        settings.gradient_accumulation_steps,
    )
    if per_device != "auto" and count != "auto":
        product = per_device * count * world_size
        if total not in (None, product):
            raise ConfigError(
                f"stage {name}: per_device_train_batch_size {per_device} x gradient_accumulation_steps {count} x "
                f"{world_size} processes is {product}, but train_batch_size is {total}; leave one of them out"
            )
        return product
    if total is None and per_device != "auto":
        return max(per_device * world_size, _DEFAULT_ROWS)
    return total or _DEFAULT_ROWS


def total_steps(settings: StageSettings, feed: Feed, name: str) -> int:
    """Optimiser steps of a stage.

    Raises:
        ConfigError: nothing says when it ends.
    """
    if settings.max_steps is not None:
        return settings.max_steps
    if feed.steps_per_epoch is None:
        raise ConfigError(f"stage {name} makes its data as it goes and has no end; give it max_steps")
    return max(math.ceil(settings.num_train_epochs * feed.steps_per_epoch), 1)


def final_figures(run: RunFolder, stage: str) -> dict[str, float | None]:
    """The loss over the last steps, and the last evaluation, as they were recorded: a resumed run has them all."""
    losses: list[float] = []
    evaluated: dict[str, float | None] = {}
    for record in run.metrics:
        if record["stage"] != stage or record.get("skipped"):
            continue
        if "eval_loss" in record:
            evaluated = {name: value for name, value in record.items() if name.startswith("eval_")}
        elif isinstance(record.get("loss"), (int, float)):
            losses.append(record["loss"])
    last = losses[-_LAST_STEPS:]
    return {"loss": sum(last) / len(last) if last else None, **evaluated}


def task_figures(
    model: GPT, tokenizer: Tokenizer, template: ChatTemplate, tasks: tuple[str, ...], limit: int
) -> dict[str, float]:
    """``eval_TASK_METRIC`` of a model in training, on the first examples of each task."""
    from chatwright.eval import evaluate
    from chatwright.loaded import LoadedModel

    loaded = LoadedModel.of(model, tokenizer, template)
    try:
        report = evaluate(loaded, tasks, limit=limit)
    finally:
        loaded.close()
    return {
        f"eval_{task}_{metric}": value for task, figures in report.figures.items() for metric, value in figures.items()
    }
