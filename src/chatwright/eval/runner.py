"""Runs tasks on a model and gathers what they found."""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from chatwright.errors import ConfigError, InvalidParameterError
from chatwright.eval.answering import Progress, answer_questions
from chatwright.eval.choosing import choose
from chatwright.eval.perplexity import measure_texts
from chatwright.eval.questions import Question, questions
from chatwright.eval.report import EvalReport, TaskResult
from chatwright.eval.tasks import Task, load_task
from chatwright.loaded import LoadedModel
from chatwright.model.gpt import GPT

_LIBRARIES = ("chatwright", "torch", "tokenizers", "sacrebleu", "rouge-score", "lm-eval")


def evaluate(
    loaded: LoadedModel,
    tasks: Sequence[Task | str],
    *,
    limit: int | None = None,
    seed: int = 0,
    progress: Callable[[str, int, int], None] = lambda task, done, total: None,
) -> EvalReport:
    """Evaluate a model. Nobody else may use its engine meanwhile.

    Args:
        loaded: the model; its weights are not changed. For one in training, :meth:`LoadedModel.of`.
        tasks: tasks, or what :func:`chatwright.eval.load_task` understands.
        limit: so many questions of each task (of each of its configurations) from the start.
        seed: of the bootstrap intervals; answers are greedy and need none.
        progress: called with the task's name, questions done, and all of them.
    Raises:
        ConfigError: a task does not exist, is wrong, has no data, or does not go with this model.
        InputError: data cannot be read, or does not fit its task.
        InvalidParameterError: ``limit`` is out of bounds.
    """
    if limit is not None and limit < 1:
        raise InvalidParameterError("limit", f"limit is {limit}; it must be at least 1")
    # Every task is read before the first runs: a mistake in the last shows at once.
    read = [task if isinstance(task, Task) else load_task(task) for task in tasks]
    if not read:
        raise ConfigError("no task is given; `chatwright eval --list` shows those there are")
    twice = next((task.name for index, task in enumerate(read) if task.name in {t.name for t in read[:index]}), None)
    if twice is not None:
        raise ConfigError(f"two tasks are called {twice}; give one of them another name")
    asked = [questions(task, limit=limit) for task in read]
    results = [_run(loaded, task, found, seed, progress) for task, found in zip(read, asked, strict=True)]
    return EvalReport(
        model=describe(loaded),
        tasks=tuple(results),
        seed=seed,
        settings={"limit": limit},
        versions=versions(),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def describe(loaded: LoadedModel) -> dict[str, Any]:
    """What identifies a model in a report."""
    model = loaded.engine.model
    facts: dict[str, Any] = {"name": loaded.source.name, "max_model_len": loaded.engine.max_model_len}
    if model is not None:
        weight = model.embed.weight
        facts["parameters"] = model.num_parameters()
        facts["dtype"] = str(weight.dtype).removeprefix("torch.")
        facts["device"] = str(weight.device)
    return facts


def versions() -> dict[str, str]:
    """Of the libraries that figures depend on, as far as they are installed."""
    found = {}
    for library in _LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found


def scoring_model(loaded: LoadedModel) -> GPT:
    """The weights, for likelihoods. Raises ConfigError where the engine has none at hand."""
    if loaded.engine.model is None:
        raise ConfigError("this engine gives no likelihoods of whole texts; evaluate with a model that is loaded here")
    return loaded.engine.model


def _run(
    loaded: LoadedModel,
    task: Task,
    found: Sequence[Question],
    seed: int,
    progress: Callable[[str, int, int], None],
) -> TaskResult:
    started = time.perf_counter()

    def report(done: int, total: int) -> None:
        progress(task.name, done, total)

    report(0, len(found))
    result = _result(loaded, task, found, seed, report)
    return result.after(time.perf_counter() - started)


def _result(loaded: LoadedModel, task: Task, found: Sequence[Question], seed: int, progress: Progress) -> TaskResult:
    match task.kind:
        case "generate":
            return answer_questions(loaded, task, found, seed=seed, progress=progress)
        case "perplexity":
            return measure_texts(loaded, scoring_model(loaded), task, found, seed=seed, progress=progress)
        case _:
            return choose(loaded, scoring_model(loaded), task, found, seed=seed, progress=progress)
