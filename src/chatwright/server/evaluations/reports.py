"""Reports of ``chatwright eval`` that lie in the server's folders."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

log = logging.getLogger(__name__)

_SCHEMA: Final = 1  # of the reports, see chatwright.eval.report
_MAX_REPORTS: Final = 200
_MAX_BYTES: Final = 4 << 20
# NAME.json and NAME/report.json of ``chatwright eval --out``, also one folder deeper.
_PLACES: Final = ("*.json", "*/*.json", "*/*/report.json")


class FigureInfo(BaseModel):
    """A number measured on a sample, with its 95 % confidence interval."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    value: float
    low: float
    high: float


class TaskInfo(BaseModel):
    """What one task found; the first figure is the one to look at."""

    model_config = ConfigDict(extra="ignore")

    kind: str
    n: int = Field(description="questions that were asked, or windows of text that were scored")
    figures: dict[str, FigureInfo]
    counts: dict[str, int] = {}
    seconds: float = 0.0


class EvaluatedModel(BaseModel):
    """What was evaluated."""

    model_config = ConfigDict(extra="ignore")

    name: str
    parameters: int | None = None
    dtype: str | None = None


class EvaluationInfo(BaseModel):
    """What an evaluation found."""

    model_config = ConfigDict(extra="ignore")

    id: str = Field(description="the report's place within the folder")
    created: str = Field(description="date and time, ISO 8601")
    model: EvaluatedModel
    tasks: dict[str, TaskInfo]


def evaluations(folder: Path) -> list[EvaluationInfo]:
    """The reports in a folder, the newest first; what is no report is passed over.

    It blocks: call it in a thread.
    """
    found = [report for path in _files(folder) if (report := _read(path, folder)) is not None]
    return sorted(found, key=lambda report: report.created, reverse=True)[:_MAX_REPORTS]


def _files(folder: Path) -> Iterator[Path]:
    for place in _PLACES:
        for path in sorted(folder.glob(place)):
            if path.is_file() and not path.is_symlink() and path.stat().st_size <= _MAX_BYTES:
                yield path


def _read(path: Path, folder: Path) -> EvaluationInfo | None:
    place = path.relative_to(folder)
    name = place.parent if place.name == "report.json" else place.with_suffix("")
    try:
        content = json.loads(path.read_text("utf-8"))
        if not isinstance(content, dict) or content.get("schema") != _SCHEMA or "tasks" not in content:
            return None
        return EvaluationInfo.model_validate(content | {"id": name.as_posix()})
    except (OSError, ValueError, RecursionError) as error:  # pydantic's errors are ValueErrors
        log.warning("%s is no report of an evaluation: %s", path.name, type(error).__name__)
        return None
