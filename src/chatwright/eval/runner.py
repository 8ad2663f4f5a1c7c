"""Runs tasks on a model and gathers what they found."""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from chatwright.errors import ConfigError, InvalidParameterError
from chatwright.eval import likelihood
from chatwright.eval.answering import Progress, answer_questions
from chatwright.eval.choosing import choose
from chatwright.eval.heads import head_for, judge
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
    batch_tokens: int = 4096,
    progress: Callable[[str, int, int], None] = lambda task, done, total: None,
) -> EvalReport:
    """Evaluate a model. Nobody else may use its engine meanwhile.

    Args:
        loaded: the model; its weights are not changed. For one in training, :meth:`LoadedModel.of`.
        tasks: tasks, or what :func:`chatwright.eval.load_task` understands.
        limit: so many questions of each task (of each of its configurations) from the start.
        seed: of the bootstrap intervals; answers are greedy and need none.
        batch_tokens: tokens of a forward pass where likelihoods are computed.
        progress: called with the task's name, questions done, and all of them.
    Raises:
        ConfigError: a task does not exist, is wrong, has no data, or does not go with this model.
        InputError: data cannot be read, or does not fit its task.
        InvalidParameterError: ``limit`` or ``batch_tokens`` is out of bounds.
    """
    for name, value in (("limit", limit), ("batch_tokens", batch_tokens)):
        if value is not None and value < 1:
            raise InvalidParameterError(name, f"{name} is {value}; it must be at least 1")
    # Every task is read before the first runs: a mistake in the last shows at once.
    read = [task if isinstance(task, Task) else load_task(task) for task in tasks]
    if not read:
        raise ConfigError("no task is given; `chatwright eval --list` shows those there are")
    twice = next((task.name for index, task in enumerate(read) if task.name in {t.name for t in read[:index]}), None)
    if twice is not None:
        raise ConfigError(f"two tasks are called {twice}; give one of them another name")
    asked = [questions(task, limit=limit) for task in read]
    results = []
    for task, found in zip(read, asked, strict=True):
        started = time.perf_counter()
        report = partial(progress, task.name)
        report(0, len(found))
        result = _result(loaded, task, found, seed=seed, batch_tokens=batch_tokens, progress=report)
        results.append(result.after(time.perf_counter() - started))
    return new_report(loaded, results, limit=limit, seed=seed)


def new_report(loaded: LoadedModel, results: Sequence[TaskResult], *, limit: int | None, seed: int) -> EvalReport:
    """A report on a model, dated now."""
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


def _result(
    loaded: LoadedModel, task: Task, found: Sequence[Question], *, seed: int, batch_tokens: int, progress: Progress
) -> TaskResult:
    if task.kind == "generate":
        return answer_questions(loaded, task, found, seed=seed, progress=progress)
    head = head_for(loaded, task)
    if head is not None:
        model = scoring_model(loaded)
        return judge(loaded, model, head, task, found, batch_tokens=batch_tokens, seed=seed, progress=progress)
    score = partial(likelihood.score, scoring_model(loaded), batch_tokens=batch_tokens)
    if task.kind == "perplexity":
        return measure_texts(loaded, score, task, found, seed=seed, progress=progress)
    return choose(loaded, score, task, found, seed=seed, progress=progress)
