"""Tasks that read the answer from likelihoods: multiple choice, classes, which of two answers is preferred."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from chatwright.eval.answering import Progress, check_some
from chatwright.eval.calibration import Bin, brier_score, expected_calibration_error, probabilities, reliability
from chatwright.eval.intervals import Figure, bootstrap, share
from chatwright.eval.likelihood import Branches, Likelihood, Score
from chatwright.eval.metrics import macro_f1
from chatwright.eval.prompts import Asked, PromptWriter
from chatwright.eval.questions import Question
from chatwright.eval.report import GroupResult, TaskResult, groups_of
from chatwright.eval.tasks import Task
from chatwright.loaded import LoadedModel


def choose(
    loaded: LoadedModel, score: Score, task: Task, questions: Sequence[Question], *, seed: int, progress: Progress
) -> TaskResult:
    """Run a task of kind ``choice``, ``classify`` or ``preference``."""
    writer = PromptWriter(loaded, task)
    context = loaded.engine.max_model_len
    lay_out = _pair if task.kind == "preference" else _choices
    laid = [(question, lay_out(writer, question, context)) for question in questions]
    asked = [(question, *found) for question, found in laid if found is not None]
    check_some(task, len(asked), context)
    likelihoods = score([branches for _, _, branches in asked], progress=lambda done: progress(done, len(asked)))
    kept = [question for question, _, _ in asked]
    counts = {
        "overlong": len(questions) - len(asked),
        "dropped_shots": sum(prompt.dropped_shots for _, prompt, _ in asked),
    }
    summary = _Summary(task, kept, likelihoods, seed)
    groups = groups_of([question.group for question in kept])
    return TaskResult(
        name=task.name,
        kind=task.kind,
        n=len(kept),
        figures=summary.figures(range(len(kept))),
        form="chat" if writer.chat else "plain",
        settings=task.model_dump(mode="json", exclude_defaults=True),
        groups={name: GroupResult(len(members), summary.figures(members)) for name, members in groups.items()},
        counts={name: count for name, count in counts.items() if count},
        reliability=summary.reliability(),
        samples=[
            _sample(question, prompt, found) for (question, prompt, _), found in zip(asked, likelihoods, strict=True)
        ],
    )


def options(question: Question) -> tuple[str, ...]:
    """What is compared: the choices, or the two answers of a preference."""
    return question.choices or question.answers


def right_option(question: Question) -> int:
    """Index of the right one; of a preference, the preferred answer comes first."""
    return question.correct if question.choices else 0


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


class _Summary:
    """Figures over any part of the questions."""

    def __init__(
        self, task: Task, questions: Sequence[Question], likelihoods: Sequence[Sequence[Likelihood]], seed: int
    ) -> None:
        self._kind, self._seed = task.kind, seed
        self._correct = np.array([right_option(question) for question in questions])
        log_probs = [[value.log_prob for value in row] for row in likelihoods]
        by_byte = [
            [value / max(1, len(text.encode())) for value, text in zip(row, options(question), strict=True)]
            for row, question in zip(log_probs, questions, strict=True)
        ]
        self._taken = np.array([int(np.argmax(row)) for row in log_probs])
        self._right = np.array([_wins(row, at) for row, at in zip(log_probs, self._correct, strict=True)], float)
        self._right_by_byte = np.array([_wins(row, at) for row, at in zip(by_byte, self._correct, strict=True)], float)
        self._probabilities = probabilities(log_probs)
        self._confidence = np.array([row.max() for row in self._probabilities])

    def figures(self, members: Sequence[int]) -> dict[str, Figure]:
        """Of these questions."""
        index = np.array(members)
        figures = {"acc": share(self._right[index].tolist())}
        if self._kind == "classify":
            figures["macro_f1"] = self._macro_f1(index)
        else:
            figures["acc_norm"] = share(self._right_by_byte[index].tolist())
        if self._kind != "preference":  # two answers are not all there is, so their shares are no probabilities
            rows, answers = [self._probabilities[i] for i in members], [int(self._correct[i]) for i in members]
            figures["brier"] = brier_score(rows, answers, seed=self._seed)
            figures["ece"] = expected_calibration_error(self._confidence[index], self._right[index], seed=self._seed)
        return figures

    def reliability(self) -> list[Bin]:
        """Confidence against accuracy over all questions."""
        return [] if self._kind == "preference" else reliability(self._confidence, self._right)

    def _macro_f1(self, index: np.ndarray) -> Figure:
        predicted, true = self._taken[index], self._correct[index]
        return bootstrap(len(index), lambda drawn: macro_f1(predicted[drawn], true[drawn]), seed=self._seed)


def _wins(values: Sequence[float], index: int) -> bool:
    """Whether one value is above all others; a tie is no merit, wherever the right answer stands."""
    return all(values[index] > value for other, value in enumerate(values) if other != index)


def _sample(question: Question, prompt: Asked, likelihoods: Sequence[Likelihood]) -> dict[str, Any]:
    log_probs = [value.log_prob for value in likelihoods]
    sample: dict[str, Any] = {
        "prompt": prompt.text,
        "choices": list(options(question)),
        "right": right_option(question),
        "taken": int(np.argmax(log_probs)),
        "log_probs": [round(value, 4) for value in log_probs],
    }
    if question.group is not None:
        sample["group"] = question.group
    return sample
