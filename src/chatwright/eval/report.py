"""What an evaluation found, as values, JSON and lines of a table."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from chatwright.errors import StorageError
from chatwright.eval.calibration import Bin
from chatwright.eval.intervals import Figure

SCHEMA = 1  # of the JSON; rises when a key changes its meaning or goes


@dataclass(frozen=True, slots=True)
class GroupResult:
    """The figures of a part of a task: a skill, a subject.

    Attributes:
        n: questions asked.
        figures: as those of the task.
    """

    n: int
    figures: dict[str, Figure]


@dataclass(frozen=True, slots=True)
class TaskResult:
    """What one task found.

    Attributes:
        name, kind: of the task.
        n: questions that were asked, or windows of text that were scored.
        figures: by name; the first is the one to look at.
        groups: figures of each group, where the task has groups.
        counts: what a reader has to know: ``truncated`` answers (cut at max_tokens), ``overlong`` questions (left
            out, since the context cannot hold them), ``dropped_shots``, ``unextracted`` answers; only those above 0.
        form: how it was asked: "chat", "plain", or "head" where a classifier or reward model judged.
        seconds: that it took.
        settings: the task itself, as in its file.
        reliability: confidence against accuracy, for choices and classes.
        signatures: how a library made a figure, by grader.
        samples: one object per question: what was asked, answered, and right.
    """

    name: str
    kind: str
    n: int
    figures: dict[str, Figure]
    form: str
    settings: dict[str, Any]
    seconds: float = 0.0
    groups: dict[str, GroupResult] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    reliability: list[Bin] = field(default_factory=list)
    signatures: dict[str, str] = field(default_factory=dict)
    samples: list[dict[str, Any]] = field(default_factory=list, repr=False)

    def after(self, seconds: float) -> Self:
        """The same, with the time that it took."""
        return replace(self, seconds=seconds)

    def to_json(self) -> dict[str, Any]:
        """Everything but the samples."""
        result: dict[str, Any] = {
            "kind": self.kind,
            "n": self.n,
            "figures": _plain(self.figures),
            "groups": {name: {"n": group.n, "figures": _plain(group.figures)} for name, group in self.groups.items()},
            "counts": self.counts,
            "form": self.form,
            "seconds": round(self.seconds, 3),
            "settings": self.settings,
        }
        if self.reliability:
            result["reliability"] = [bin_.to_json() for bin_ in self.reliability]
        if self.signatures:
            result["signatures"] = self.signatures
        return result


@dataclass(frozen=True, slots=True)
class EvalReport:
    """What an evaluation found.

    Attributes:
        model: what was evaluated: name, parameters, dtype, device.
        tasks: results in the order asked for.
        seed: of the confidence intervals.
        settings: of the run: ``limit``.
        versions: of Chatwright and of the libraries that figures depend on.
        created: date and time (ISO 8601, UTC).
    """

    model: dict[str, Any]
    tasks: tuple[TaskResult, ...]
    seed: int
    settings: dict[str, Any]
    versions: dict[str, str]
    created: str

    @property
    def figures(self) -> dict[str, dict[str, float]]:
        """task → figure → value; those of a group are named ``figure/group``."""
        found: dict[str, dict[str, float]] = {}
        for task in self.tasks:
            values = {name: figure.value for name, figure in task.figures.items()}
            for group, result in task.groups.items():
                values |= {f"{name}/{group}": figure.value for name, figure in result.figures.items()}
            found[task.name] = values
        return found

    def to_json(self) -> dict[str, Any]:
        """Plain values, ready for ``json.dumps``."""
        return {
            "schema": SCHEMA,
            "model": self.model,
            "created": self.created,
            "versions": self.versions,
            "seed": self.seed,
            "settings": self.settings,
            "tasks": {task.name: task.to_json() for task in self.tasks},
        }

    def with_tasks(self, results: Sequence[TaskResult]) -> Self:
        """The same, with further results."""
        return replace(self, tasks=(*self.tasks, *results))

    def rows(self) -> list[tuple[str, str, int, Figure]]:
        """Lines of a table: task (with its group), figure's name, n, figure."""
        lines = []
        for task in self.tasks:
            lines += [(task.name, name, task.n, figure) for name, figure in task.figures.items()]
            for group, result in task.groups.items():
                lines += [(f"{task.name}/{group}", name, result.n, figure) for name, figure in result.figures.items()]
        return lines

    def save(self, path: Path) -> None:
        """Write ``report.json``, ``report.png`` and ``samples/TASK.jsonl`` into a folder; or one file named ``*.json``.

        Raises:
            StorageError: it cannot be written.
        """
        is_file = path.suffix == ".json"
        text = json.dumps(self.to_json(), ensure_ascii=False, indent=2) + "\n"
        try:
            (path.parent if is_file else path / "samples").mkdir(parents=True, exist_ok=True)
            (path if is_file else path / "report.json").write_text(text, encoding="utf-8")
            if not is_file:
                self._save_details(path)
        except OSError as error:
            raise StorageError(f"the report cannot be written to {path}: {error.strerror or error}") from error

    def _save_details(self, folder: Path) -> None:
        from chatwright.eval.picture import draw

        for task in self.tasks:
            lines = (json.dumps(sample, ensure_ascii=False, default=str) + "\n" for sample in task.samples)
            (folder / "samples" / f"{task.name}.jsonl").write_text("".join(lines), encoding="utf-8")
        draw(self, folder / "report.png")


def _plain(figures: Mapping[str, Figure]) -> dict[str, dict[str, Any]]:
    return {name: figure.to_json() for name, figure in figures.items()}


def groups_of(names: Sequence[str | None]) -> dict[str, list[int]]:
    """Group → indices of its members, in order of appearance; empty where there is one group or none."""
    found: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        if name is not None:
            found.setdefault(name, []).append(index)
    return found if len(found) > 1 else {}
