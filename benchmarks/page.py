"""Writes the tables of docs/benchmarks.md from the results that are kept beside it.

    python -m benchmarks.page

A page's tables stand between ``<!-- table: NAME -->`` and ``<!-- end -->``; the text around them is written by hand.
"""

import json
import re
from pathlib import Path
from typing import Any

from benchmarks import learning, report, serving, training

RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
_NAMES = ("speed", "limits", "perplexity", "agreement", "pretrain", "learning", "sft", "dpo", "serving")
_TABLE = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def tables() -> dict[str, str]:
    """Every table in Markdown, by the name that the page uses."""
    made = dict.fromkeys(_NAMES, "Not measured yet.\n")
    if (speed := _read("inference.json")) is not None:
        figures = {name: found for name, found in speed["figures"].items() if found}
        made["speed"] = report.markdown(report.rows(figures, speed["unavailable"])) + _where(speed)
        made["limits"] = report.markdown(report.limit_rows(speed))
    if (quality := _read("quality.json")) is not None:
        made["perplexity"] = report.markdown(report.perplexity_rows(quality))
        made["agreement"] = report.markdown(report.agreement_rows(quality)) + _where(quality)
    for name in ("training.json", "tuning.json"):
        if (result := _read(name)) is not None:
            for task, found in result["tasks"].items():
                made[task] = report.markdown(training.rows(found)) + _where(result)
    if (learned := _read("learning.json")) is not None:
        made["learning"] = report.markdown(learning.rows(learned)) + _where(learned)
    if (served := _read("serving.json")) is not None:
        tables = (f"{title}:\n\n{report.markdown(cells)}" for title, cells in serving.rows(served).items())
        made["serving"] = "\n".join(tables) + _where(served)
    return made


def written(page: str) -> str:
    """The page with its tables made anew."""
    made = tables()
    return _TABLE.sub(lambda match: f"{match[1]}\n{made[match[2]]}\n{match[3]}", page)


def _read(name: str) -> dict[str, Any] | None:
    path = RESULTS / name
    return json.loads(path.read_text("utf-8")) if path.exists() else None


def _where(result: dict[str, Any]) -> str:
    about = result["machine"]
    text = (
        f"{about['cpu']}, {about['cores']} cores, {about['threads']} threads, {about['memory_gb']:.0f} GB; "
        f"Python {about['python']}, torch {about['torch']}, transformers {about['transformers']}; {about['date']}, "
        f"commit {about['commit']}, load before {about['load_before']}."
    )
    return f"\n{text}\n"


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text("utf-8")), "utf-8")
