"""Tasks that read the answer from likelihoods: multiple choice, classes, which of two answers is preferred."""

from collections.abc import Sequence

from chatwright.errors import ConfigError
from chatwright.eval.answering import Progress, check_some
from chatwright.eval.likelihood import Branches, Score
from chatwright.eval.prompts import Asked, PromptWriter
from chatwright.eval.questions import Question
from chatwright.eval.report import TaskResult
from chatwright.eval.tasks import Task
from chatwright.eval.verdicts import Verdict, summarise
from chatwright.loaded import LoadedModel


def choose(
    loaded: LoadedModel, score: Score, task: Task, questions: Sequence[Question], *, seed: int, progress: Progress
) -> TaskResult:
    """Run a task of kind ``choice``, ``classify`` or ``preference``.

    Raises:
        ConfigError: the task asks a classifier, and this model is none; or no question fits the context.
    """
    if task.kind == "classify" and task.prompt is None:
        raise ConfigError(
            f"task {task.name} has no prompt, so it asks a classifier, and {loaded.source.name} has no head for "
            "classes; train one (objective classify), or give prompt, choices and answer in a task file"
        )
    writer = PromptWriter(loaded, task)
    context = loaded.engine.max_model_len
    lay_out = _pair if task.kind == "preference" else _choices
    laid = [(question, lay_out(writer, question, context)) for question in questions]
    asked = [(question, *found) for question, found in laid if found is not None]
    check_some(task, len(asked), context)
    likelihoods = score([branches for _, _, branches in asked], progress=lambda done: progress(done, len(asked)))
    verdicts = [
        Verdict(
            prompt=prompt.text,
            options=question.choices or question.answers,
            correct=question.correct if question.choices else 0,
            scores=tuple(value.log_prob for value in found),
            group=question.group,
        )
        for (question, prompt, _), found in zip(asked, likelihoods, strict=True)
    ]
    counts = {
        "overlong": len(questions) - len(asked),
        "dropped_shots": sum(prompt.dropped_shots for _, prompt, _ in asked),
    }
    return summarise(task, verdicts, form="chat" if writer.chat else "plain", counts=counts, seed=seed)


def _choices(writer: PromptWriter, question: Question, context: int) -> tuple[Asked, Branches] | None:
    """One context with all choices, or None where it does not fit."""
    asked = writer.write(question, context)
    if asked is None:
        return None
    continuations = [writer.continuation(asked, choice) for choice in question.choices]
    room = context - max(map(len, continuations))
    if len(asked.ids) > room:
        asked = writer.write(question, room)
    return None if asked is None else (asked, Branches(asked.ids, continuations))


def _pair(writer: PromptWriter, question: Question, context: int) -> tuple[Asked, Branches] | None:
    """The two answers of a preference after their prompt."""
    (asked, preferred), (_, other) = (writer.turns(question, answer) for answer in question.answers)
    branches = Branches(asked.ids, [preferred, other])
    return None if branches.longest > context else (asked, branches)
