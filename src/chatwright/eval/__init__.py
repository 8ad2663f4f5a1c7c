"""Tasks with right answers, graders, and reports with confidence intervals. Knows nothing of training."""

from chatwright.eval.report import EvalReport, TaskResult
from chatwright.eval.runner import evaluate
from chatwright.eval.tasks import Task, builtin_names, load_task

__all__ = ["EvalReport", "Task", "TaskResult", "builtin_names", "evaluate", "load_task"]
