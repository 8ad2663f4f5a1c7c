"""A run's metrics as a table for people: the result file of a job."""

import csv
import io
from collections.abc import Iterable, Mapping
from typing import Any, Final

_COLUMNS: Final = {
    "step": "step",
    "train_loss": "loss",
    "train_accuracy": "accuracy",
    "valid_loss": "eval_loss",
    "valid_accuracy": "eval_accuracy",
    "learning_rate": "learning_rate",
}


def metrics_csv(records: Iterable[Mapping[str, Any]]) -> bytes:
    """One line for each step, with the evaluation after it where there was one."""
    steps: dict[int, dict[str, Any]] = {}
    for record in records:
        if not record.get("skipped"):
            steps.setdefault(int(record["step"]), {}).update(record)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(_COLUMNS)
    for _, record in sorted(steps.items()):
        writer.writerow([record.get(name, "") for name in _COLUMNS.values()])
    return text.getvalue().encode()
