"""A recipe from beginning to end: tokenizer, one stage after the other, evaluation, report."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from chatwright.chat import ChatTemplate
from chatwright.eval.checking import check_tasks
from chatwright.loaded import LoadedModel
from chatwright.train.checkpoint import checkpoint_path, newest_checkpoint
from chatwright.train.journal import Journal
from chatwright.train.objectives import objective
from chatwright.train.recipe import Recipe
from chatwright.train.report import write_report
from chatwright.train.reporters import Relay, check_reporters, open_reporters
from chatwright.train.run_folder import RunFolder, StageRecord, open_run
from chatwright.train.run_watch import RunWatcher, Watchers
from chatwright.train.samples import converse
from chatwright.train.stage_model import servable_tokenizer
from chatwright.train.stage_run import StageRun, settings_in
from chatwright.train.tokenizer_stage import prepare_tokenizer
from chatwright.train.world import SingleProcess, World, agreed, first_alone

_LOG = logging.getLogger(__name__)


def run_recipe(
    recipe: Recipe,
    *,
    resume: bool = False,
    watcher: RunWatcher | None = None,
    language: str = "en",
    world: World | None = None,
) -> Path:
    """Train what a recipe describes.

    Args:
        recipe: see :func:`chatwright.train.recipe.load_recipe`.
        resume: go on with the run that its folder holds. What is finished is not done again, and the losses are those
            of a run that was never stopped.
        watcher: told how it goes.
        language: of the report page, "en" or "zh".
        world: the processes that train together, all of which call this; None: this one alone. The folder has to be
            one that all of them see.

    Returns:
        The run's folder; the model is in ``model/``.

    Raises:
        ConfigError: the recipe contradicts itself or the folder.
        InputError: the data cannot be used.
        StorageError: the disk is full, or another process is at the folder.
    """
    check_reporters(recipe.report_to)
    check_tasks(recipe.evaluation.tasks)
    world = world or SingleProcess()
    told = watcher if watcher is not None and world.rank == 0 else RunWatcher()
    with _entered(recipe, resume, world) as run:
        _Pipeline(recipe, run, told, world).run_to_end(language)
        return run.path


@contextmanager
def _entered(recipe: Recipe, resume: bool, world: World) -> Iterator[RunFolder]:
    """The run's folder, entered by rank 0 for all."""
    if world.rank != 0:
        world.barrier()
        yield RunFolder(recipe.folder)
        world.barrier()
        return
    with open_run(recipe.folder, recipe, resume=resume) as run:
        world.barrier()
        yield run
        world.barrier()


class _Pipeline:
    def __init__(self, recipe: Recipe, run: RunFolder, watcher: RunWatcher, world: World) -> None:
        self.recipe, self.run, self.watcher, self.world = recipe, run, watcher, world
        self.device = world.device(recipe.device)
        watcher.entered("tokenizer", None)
        tokenizer = first_alone(world, lambda: prepare_tokenizer(recipe, run.tokenizer, in_use=run.is_begun))
        self.tokenizer = servable_tokenizer(tokenizer)
        self.template = ChatTemplate(self.tokenizer)
        self.journal = Journal(run, recipe.name)

    def run_to_end(self, language: str) -> None:
        checkpoint, step = self._position()
        if self.world.rank != 0:
            self._train(checkpoint, [])
            return
        self.run.forget_after(step)
        reporters = open_reporters(self.recipe, self.run.path, first_step=step)
        try:
            records = self._train(checkpoint, reporters)
        finally:
            for reporter in reporters:
                reporter.close()
        self.run.publish(records[-1].name)
        evaluation, conversation = self._evaluate(records[-1])
        self.watcher.entered("report", None)
        write_report(self.run, self.recipe, records, evaluation, conversation, language=language)
        self.watcher.finished(self.run.path)

    def _position(self) -> tuple[Path | None, int]:
        """Where to go on: a checkpoint of the stage that was interrupted, and the run's steps until then."""
        finished = 0
        for name in self.recipe.stages:
            record = self.run.finished(name)
            if record is None:
                break
            finished = record.last_step
        else:
            return None, finished
        found = newest_checkpoint(self.run.path) if self.world.rank == 0 else None
        step = agreed(self.world, found.step if found is not None else 0)
        return (checkpoint_path(self.run.path, step), step) if step > finished else (None, finished)

    def _train(self, checkpoint: Path | None, reporters: list[Relay]) -> list[StageRecord]:
        loop_watcher = Watchers([self.journal, *reporters, self.watcher])
        records: list[StageRecord] = []
        for name in self.recipe.stages:
            record = self.run.finished(name)
            if record is not None:
                self.watcher.stage_reused(record)
            else:
                stage = StageRun(
                    recipe=self.recipe,
                    name=name,
                    settings=settings_in(self.run, self.recipe, name),
                    run=self.run,
                    tokenizer=self.tokenizer,
                    template=self.template,
                    first_step=records[-1].last_step if records else 0,
                    world=self.world,
                    device=self.device,
                    journal=self.journal,
                    loop_watcher=loop_watcher,
                    watcher=self.watcher,
                )
                record = stage.run_to_end(checkpoint)
                checkpoint = None  # it was that stage's
            records.append(record)
        return records

    def _evaluate(self, last: StageRecord) -> tuple[dict[str, Any] | None, list[dict[str, str]]]:
        """The tasks' figures and a conversation, by the model as its users will open it."""
        wishes = self.recipe.evaluation
        if not objective(last.objective).chats or not (wishes.tasks or wishes.samples):
            return None, []
        self.watcher.entered("evaluation", None)
        loaded = LoadedModel.open(self.run.model, device=self.recipe.device)
        try:
            report = None
            if wishes.tasks:
                from chatwright.eval import evaluate

                report = evaluate(loaded, wishes.tasks, limit=wishes.limit).to_json()
            return report, converse(loaded, wishes.samples, max_tokens=wishes.sample_tokens)
        finally:
            loaded.close()
