"""What a model chose, question by question, and the figures over many of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chatwright.eval.calibration import Bin, brier_score, expected_calibration_error, probabilities, reliability
from chatwright.eval.intervals import Figure, bootstrap, share
from chatwright.eval.metrics import macro_f1
from chatwright.eval.report import GroupResult, TaskResult, groups_of
from chatwright.eval.tasks import Task


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a model judged the options of one question.

    Attributes:
        prompt: what was asked.
        options: what there was to choose from.
        correct: index of the right one; of a preference, the preferred answer comes first.
        scores: of each option: log-likelihood in nats, or what a reward model says.
        group: which part of the task it belongs to.
    """

    prompt: str
    options: tuple[str, ...]
    correct: int
    scores: tuple[float, ...]
    group: str | None = None

    @property
    def taken(self) -> int:
        """Index of the option with the highest score."""
        return int(np.argmax(self.scores))

    @property
    def is_right(self) -> bool:
        """Whether the right option scores above all others; a tie is no merit, wherever the right one stands."""
        return _wins(self.scores, self.correct)

    @property
    def is_right_by_byte(self) -> bool:
        """As ``is_right``, scores divided by the options' lengths: else long options would lose for their length."""
        by_byte = [score / max(1, len(text.encode())) for score, text in zip(self.scores, self.options, strict=True)]
        return _wins(by_byte, self.correct)

    def to_json(self) -> dict[str, Any]:
        """For a file of samples."""
        sample: dict[str, Any] = {
            "prompt": self.prompt,
            "choices": list(self.options),
            "right": self.correct,
            "taken": self.taken,
            "scores": [round(score, 4) for score in self.scores],
        }
        return sample if self.group is None else {**sample, "group": self.group}


def summarise(
    task: Task, verdicts: Sequence[Verdict], *, form: str, counts: dict[str, int], seed: int, by_byte: bool = True
) -> TaskResult:
    """A task's result from its verdicts.

    Args:
        task: of kind ``choice``, ``classify`` or ``preference``.
        verdicts: at least one.
        form: how it was asked.
        counts: as in the result; those that are 0 are left out.
        seed: of the intervals.
        by_byte: whether scores are likelihoods, which also are compared by byte.
    """
    groups = groups_of([verdict.group for verdict in verdicts])
    figures = _Figures(task, verdicts, seed=seed, by_byte=by_byte)
    return TaskResult(
        name=task.name,
        kind=task.kind,
        n=len(verdicts),
        figures=figures.of(range(len(verdicts))),
        form=form,
        settings=task.model_dump(mode="json", exclude_defaults=True),
        groups={name: GroupResult(len(members), figures.of(members)) for name, members in groups.items()},
        counts={name: count for name, count in counts.items() if count},
        reliability=figures.reliability(),
        samples=[verdict.to_json() for verdict in verdicts],
    )


class _Figures:
    """Figures over any part of the verdicts."""

    def __init__(self, task: Task, verdicts: Sequence[Verdict], *, seed: int, by_byte: bool) -> None:
        self._kind, self._seed = task.kind, seed
        self._by_byte = by_byte and task.kind != "classify"
        # Two answers are not all that could be said, so their shares are no probabilities.
        self._calibrated = task.kind != "preference"
        self._correct = np.array([verdict.correct for verdict in verdicts])
        self._taken = np.array([verdict.taken for verdict in verdicts])
        self._right = np.array([verdict.is_right for verdict in verdicts], dtype=np.float64)
        self._right_by_byte = np.array([verdict.is_right_by_byte for verdict in verdicts], dtype=np.float64)
        self._probabilities = probabilities([verdict.scores for verdict in verdicts])
        self._confidence = np.array([row.max() for row in self._probabilities])

    def of(self, members: Sequence[int]) -> dict[str, Figure]:
        """The figures of these verdicts."""
        index = np.array(members)
        figures = {"acc": share(self._right[index].tolist())}
        if self._kind == "classify":
            figures["macro_f1"] = self._macro_f1(index)
        if self._by_byte:
            figures["acc_norm"] = share(self._right_by_byte[index].tolist())
        if self._calibrated:
            rows, answers = [self._probabilities[i] for i in members], [int(self._correct[i]) for i in members]
            figures["brier"] = brier_score(rows, answers, seed=self._seed)
            figures["ece"] = expected_calibration_error(self._confidence[index], self._right[index], seed=self._seed)
        return figures

    def reliability(self) -> list[Bin]:
        """Confidence against accuracy over all verdicts."""
        return reliability(self._confidence, self._right) if self._calibrated else []

    def _macro_f1(self, index: np.ndarray) -> Figure:
        predicted, true = self._taken[index], self._correct[index]
        return bootstrap(len(index), lambda drawn: macro_f1(predicted[drawn], true[drawn]), seed=self._seed)


def _wins(scores: Sequence[float], index: int) -> bool:
    return all(scores[index] > score for other, score in enumerate(scores) if other != index)
