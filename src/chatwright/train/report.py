"""What became of a run: ``report.json`` for programs, ``report.html`` for people."""

import json
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from chatwright import __version__
from chatwright.model.describe import describe
from chatwright.train.objectives import objective
from chatwright.train.recipe import Recipe
from chatwright.train.report_page import report_page
from chatwright.train.run_folder import RECIPE_FILE, RunFolder, StageRecord, write_text

JSON_FILE = "report.json"
PAGE_FILE = "report.html"


def write_report(
    run: RunFolder,
    recipe: Recipe,
    stages: Sequence[StageRecord],
    evaluation: dict[str, Any] | None,
    conversation: Sequence[dict[str, str]],
    *,
    language: str = "en",
) -> None:
    """Write both files.

    Args:
        run: where they go, and where curves and samples are.
        recipe: of the run.
        stages: the finished ones, in order.
        evaluation: of the result, as :meth:`EvalReport.to_json` gives it; None without tasks.
        conversation: with the result, as ``{"role", "content"}``.
        language: of the page, "en" or "zh".

    Raises:
        StorageError: the folder cannot be written.
    """
    report = {
        "name": recipe.name,
        "seed": recipe.seed,
        "model": _model(run, stages[-1]),
        "stages": {record.name: _stage(record) for record in stages},
        "evaluation": evaluation,
        "conversation": list(conversation),
        "samples": _last_samples(run),
        "machine": _machine(recipe),
    }
    write_text(run.path / JSON_FILE, json.dumps(report, ensure_ascii=False, indent=2) + "\n")
    curves = run.path / "curves.png"
    page = report_page(
        report,
        curves=curves.read_bytes() if curves.is_file() else None,
        recipe_yaml=(run.path / RECIPE_FILE).read_text("utf-8"),
        language=language,
    )
    write_text(run.path / PAGE_FILE, page)


def read_report(folder: Path) -> dict[str, Any]:
    """The content of a run's ``report.json``."""
    report: dict[str, Any] = json.loads((folder / JSON_FILE).read_text("utf-8"))
    return report


def _model(run: RunFolder, last: StageRecord) -> dict[str, Any]:
    """Facts about the result; its place is the run's folder, wherever that is moved."""
    return describe(run.model) | {"path": run.model.name, "chats": objective(last.objective).chats}


def _stage(record: StageRecord) -> dict[str, Any]:
    speed = record.tokens / record.seconds if record.seconds else None
    return {
        "objective": record.objective,
        "steps": record.steps,
        "tokens": record.tokens,
        "seconds": record.seconds,
        "tokens_per_s": None if speed is None else round(speed, 1),
        **record.figures,
        **record.facts,
    }


def _last_samples(run: RunFolder) -> list[dict[str, Any]]:
    """Of each stage the answers of its last evaluation."""
    last: dict[str, list[dict[str, Any]]] = {}
    for sample in run.samples:
        before = last.get(sample["stage"], [])
        same_step = bool(before) and before[0]["step"] == sample["step"]
        last[sample["stage"]] = [*before, sample] if same_step else [sample]
    return [sample for samples in last.values() for sample in samples]


def _machine(recipe: Recipe) -> dict[str, Any]:
    return {
        "chatwright": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(terse=True),
        "device": recipe.device,
        "threads": torch.get_num_threads(),
    }
