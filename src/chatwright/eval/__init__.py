"""Tasks with right answers, graders, and reports with confidence intervals. Knows nothing of training."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chatwright.eval.report import EvalReport, TaskResult
    from chatwright.eval.runner import evaluate
    from chatwright.eval.tasks import Task, builtin_names, load_task

# Imported when first used: tasks are read and listed where no model is, and must not load one's libraries.
_HOME_OF = {
    "EvalReport": "report",
    "Task": "tasks",
    "TaskResult": "report",
    "builtin_names": "tasks",
    "evaluate": "runner",
    "load_task": "tasks",
}

__all__ = ["EvalReport", "Task", "TaskResult", "builtin_names", "evaluate", "load_task"]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'chatwright.eval' has no attribute {name!r}")
    return getattr(import_module(f"chatwright.eval.{_HOME_OF[name]}"), name)
