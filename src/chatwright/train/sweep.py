"""Many runs of a recipe in search of better settings: Optuna proposes, each trial is a run of its own.

::

    runs/NAME-sweep/
      study.db       what was tried: an Optuna study in SQLite
      sweep.json     what is swept, and every trial with its values and its result
      best.yaml      the recipe with the best values
      sweep.png
      trials/0000/   a run folder each; trials/0000.log: what it printed

Source of the proposals: Bergstra et al. 2011, "Algorithms for Hyper-Parameter Optimization" (TPE); of stopping early:
Golovin et al. 2017, "Google Vizier" (median); Li et al. 2018, arXiv 1603.06560 (Hyperband).
"""

import json
import multiprocessing
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from filelock import FileLock, Timeout

from chatwright.errors import ChatwrightError, ConfigError, StorageError, TrainingError, TrainingStopped
from chatwright.train.recipe import Recipe, load_recipe
from chatwright.train.recipe_source import read_values
from chatwright.train.run_folder import STAGE_FILE, write_text
from chatwright.train.sweep_folder import BEST_FILE, PICTURE_FILE, SWEEP_FILE, as_json, open_sweep
from chatwright.train.sweep_picture import draw_sweep
from chatwright.train.sweep_result import Direction, Outcome, SweepResult, SweepSettings, SweepWatcher
from chatwright.train.sweep_space import Axis, number_of_choices, parse_axes, plain
from chatwright.train.sweep_study import importance_of, open_study, outcome_of
from chatwright.train.sweep_trial import TrialSpec, run_trial

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

    from optuna.trial import Trial

_LOCK_WAIT_S = 60.0  # for the trial of a sweep that was killed to save its checkpoint


def run_sweep(settings: SweepSettings, *, resume: bool = False, watcher: SweepWatcher | None = None) -> SweepResult:
    """Try settings of a recipe.

    Args:
        settings: what to sweep.
        resume: go on with the sweep that its folder holds, an interrupted trial from its last checkpoint.
        watcher: told how it goes.

    Raises:
        ConfigError: a key or range that the recipe does not take, or a folder that holds something else.
        TrainingError: no trial at all could be completed.
        TrainingStopped: Ctrl-C; the sweep can be resumed.
    """
    _require_optuna()
    axes = parse_axes(settings.over, settings.recipe, settings.overrides)
    recipe = load_recipe(settings.recipe, settings.overrides)
    folder = settings.folder or Path("runs") / f"{recipe.name}-sweep"
    stage, metric = _metric(settings, recipe)
    direction = settings.direction or _direction(metric)
    definition = _definition(settings, recipe, stage, metric, direction)
    with open_sweep(folder, definition, resume=resume):
        sweep = _Sweep(settings, axes, recipe, folder, stage, metric, direction, watcher or SweepWatcher())
        return sweep.run_to_end(definition)


class _Sweep:
    def __init__(
        self,
        settings: SweepSettings,
        axes: tuple[Axis, ...],
        recipe: Recipe,
        folder: Path,
        stage: str,
        metric: str,
        direction: Direction,
        watcher: SweepWatcher,
    ) -> None:
        self.settings, self.axes, self.recipe, self.folder = settings, axes, recipe, folder
        self.stage, self.metric, self.direction, self.watcher = stage, metric, direction, watcher
        self.study = open_study(settings, axes, folder, recipe.seed, direction)

    def run_to_end(self, definition: dict[str, Any]) -> SweepResult:
        from optuna.trial import Trial, TrialState

        result = self.result()
        for left in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            self._run(Trial(self.study, left._trial_id), again=True)
            result = self._note(definition)
        combinations = number_of_choices(self.axes)
        wanted = min(self.settings.trials, combinations) if combinations is not None else self.settings.trials
        while len(result.outcomes) < wanted:
            self._run(self.study.ask(), again=False)
            result = self._note(definition)
        if result.best is not None:
            draw_sweep(result, self.folder / PICTURE_FILE, title=f"{self.recipe.name}: {len(result.outcomes)} trials")
        else:
            first = next((outcome.error for outcome in result.outcomes if outcome.error), "every one was pruned")
            raise TrainingError(f"none of the {len(result.outcomes)} trials could be completed; the first: {first}")
        return result

    def result(self) -> SweepResult:
        """As the study has it now."""
        finished = [trial for trial in self.study.get_trials(deepcopy=False) if trial.state.is_finished()]
        outcomes = tuple(outcome_of(trial) for trial in finished)
        return SweepResult(self.folder, self.metric, self.direction, outcomes, importance_of(self.study))

    def _run(self, trial: "Trial", *, again: bool) -> None:
        from optuna.trial import TrialState

        values = {axis.key: axis.suggest(trial) for axis in self.axes}
        self.watcher.trial_started(trial.number, {key: plain(text) for key, text in values.items()}, again=again)
        started = time.monotonic()
        verdict = self._in_a_process(trial, values)
        trial.set_user_attr("seconds", round(time.monotonic() - started, 3))
        if verdict[0] == "done":
            self.study.tell(trial, verdict[1])
        elif verdict[0] == "pruned":
            self.study.tell(trial, state=TrialState.PRUNED)
        else:
            trial.set_user_attr("error", verdict[1])
            self.study.tell(trial, state=TrialState.FAIL)
        if verdict[0] == "no metric":
            raise ConfigError(str(verdict[1]))

    def _in_a_process(self, trial: "Trial", values: Mapping[str, str]) -> tuple[Any, ...]:
        folder = self._trial_folder(trial.number)
        folder.parent.mkdir(exist_ok=True)
        _wait_until_free(folder)
        overrides = [*self.settings.overrides, *(f"{key}={text}" for key, text in values.items())]
        spec = TrialSpec(
            recipe=str(self.settings.recipe),
            overrides=(*overrides, f"output={json.dumps(str(folder), ensure_ascii=False)}", "report_to=none"),
            folder=str(folder),
            log=str(folder.with_suffix(".log")),
            stage=self.stage,
            metric=self.metric,
            prepared=self._prepared(),
            directory=str(Path.cwd()),
        )
        with _trial_process(spec) as (process, pipe):
            return self._listen(trial, process, pipe)

    def _listen(self, trial: "Trial", process: "BaseProcess", pipe: "Connection") -> tuple[Any, ...]:
        """Until the trial says how it ended, or ends without a word."""
        known = set(self.study.trials[trial.number].intermediate_values)
        try:
            while True:
                message: tuple[Any, ...] = pipe.recv()
                if message[0] == "stopped":
                    raise self._stopped(trial.number)
                if message[0] != "report":
                    return message
                _, percent, value = message
                if percent not in known:
                    trial.report(value, percent)
                self.watcher.reported(trial.number, percent, value)
                pipe.send(self.settings.pruner != "none" and trial.should_prune())
        except (EOFError, OSError):
            process.join()
            return ("failed", _last_words(process.exitcode))
        except KeyboardInterrupt:
            process.join(_LOCK_WAIT_S)  # Ctrl-C reached it, too: it saves a checkpoint
            raise self._stopped(trial.number) from None

    def _stopped(self, number: int) -> TrainingStopped:
        return TrainingStopped(
            f"stopped in trial {number}; the same command with --resume goes on from there ({self.folder})", step=0
        )

    def _note(self, definition: dict[str, Any]) -> SweepResult:
        """Write down how it stands after a trial."""
        result = self.result()
        best = result.best
        if best is not None:
            self._write_best(best)
        self._drop_weights(best)
        write_text(self.folder / SWEEP_FILE, as_json({"definition": definition, **result.to_json()}))
        self.watcher.trial_ended(result.outcomes[-1], best)
        return result

    def _write_best(self, best: Outcome) -> None:
        texts = [f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in best.values.items()]
        values = read_values(self.settings.recipe, [*self.settings.overrides, *texts])
        values = {"name": f"{self.recipe.name}-best"} | values | {"name": f"{self.recipe.name}-best"}
        values.pop("output", None)
        head = f"# Trial {best.number} of the sweep in {self.folder}: {self.metric} {best.value:.6g}\n"
        text = yaml.safe_dump(values, allow_unicode=True, sort_keys=False)
        write_text(self.folder / BEST_FILE, head + text)

    def _drop_weights(self, best: Outcome | None) -> None:
        """Of trials that are over nobody resumes; and the models of twenty trials would fill a disk."""
        for folder in self._ended_folders():
            for checkpoint in folder.glob("checkpoint-*"):
                shutil.rmtree(checkpoint, ignore_errors=True)
            if self.settings.keep_models or (best is not None and folder == self._trial_folder(best.number)):
                continue
            shutil.rmtree(folder / "model", ignore_errors=True)
            for path in folder.glob("stages/*/*"):
                if path.name != STAGE_FILE:
                    shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink()

    def _prepared(self) -> str:
        return next((str(folder) for folder in reversed(self._ended_folders()) if (folder / "data").is_dir()), "")

    def _ended_folders(self) -> list[Path]:
        ended = (trial.number for trial in self.study.get_trials(deepcopy=False) if trial.state.is_finished())
        return [folder for number in ended if (folder := self._trial_folder(number)).is_dir()]

    def _trial_folder(self, number: int) -> Path:
        return self.folder / "trials" / f"{number:04}"


@contextmanager
def _trial_process(spec: TrialSpec) -> "Iterator[tuple[BaseProcess, Connection]]":
    """A process that runs a trial; a fork of one that has imported everything and computed nothing, where there are."""
    kind = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    context = multiprocessing.get_context(kind)
    if kind == "forkserver":
        context.set_forkserver_preload(["chatwright.train.sweep_trial", "torch._dynamo"])
    ours, theirs = context.Pipe()
    process = context.Process(target=run_trial, args=(spec, theirs))  # type: ignore[attr-defined]
    process.start()
    theirs.close()
    try:
        yield process, ours
    finally:
        ours.close()
        process.join(_LOCK_WAIT_S)
        if process.is_alive():
            process.kill()
            process.join()


def _metric(settings: SweepSettings, recipe: Recipe) -> tuple[str, str]:
    """Stage and figure."""
    stage, _, figure = settings.metric.rpartition(".")
    stage = stage or list(recipe.stages)[-1]
    if stage not in recipe.stages:
        raise ConfigError(f"--metric {settings.metric}: the stages are {', '.join(recipe.stages)}")
    if figure != "loss" and not figure.startswith("eval_"):
        raise ConfigError(f"--metric {settings.metric}: give loss, eval_loss or another eval_… figure of a stage")
    return stage, figure


def _direction(metric: str) -> Direction:
    less_is_better = ("loss", "perplexity", "bits_per_byte", "error")
    return "minimize" if any(word in metric for word in less_is_better) else "maximize"


def _definition(
    settings: SweepSettings, recipe: Recipe, stage: str, metric: str, direction: Direction
) -> dict[str, Any]:
    values = {key: value for key, value in recipe.resolved().items() if key not in ("output", "report_to", "device")}
    return {
        "over": sorted(settings.over),
        "metric": f"{stage}.{metric}",
        "direction": direction,
        "pruner": settings.pruner,
        "recipe": json.loads(json.dumps(values)),
    }


def _wait_until_free(folder: Path) -> None:
    """The trial of a sweep that was killed may still be saving its checkpoint."""
    if not folder.is_dir():
        return
    lock = FileLock(folder / ".lock")
    try:
        with lock.acquire(timeout=_LOCK_WAIT_S):
            pass
    except Timeout:
        raise StorageError(f"another process is training in {folder}; end it first") from None


def _last_words(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        memory = "; memory may have run out" if exit_code == -9 else ""
        return f"its process was ended by signal {-exit_code}{memory}"
    return f"its process ended with code {exit_code}"


def _require_optuna() -> None:
    try:
        import optuna  # noqa: F401
    except ImportError:
        raise ChatwrightError("a sweep needs Optuna: pip install 'chatwright[sweep]'") from None
