"""Whether tasks can be asked, before a training of hours ends with them."""

from collections.abc import Iterable

from chatwright.data.builtin import PREFIX, builtin_rows
from chatwright.data.finding import find_files, hub_name
from chatwright.data.report import DataReport
from chatwright.data.settings import DataSettings
from chatwright.eval.tasks import load_task


def check_tasks(tasks: Iterable[str]) -> None:
    """Check that tasks exist, with the files that they ask from. What lies on a hub is not looked for.

    Args:
        tasks: as :func:`chatwright.eval.tasks.load_task` takes them.

    Raises:
        ConfigError: there is no such task, or its file is wrong.
        InputError: the data that it asks from is not there.
    """
    for text in tasks:
        task = load_task(text)
        for data in (task.data, task.fewshot_data):
            if data is not None:
                _find(data)


def _find(data: DataSettings) -> None:
    if not isinstance(data.path, str):
        for part in data.path:
            _find(part)
    elif data.path.startswith(PREFIX):
        builtin_rows(data.path.removeprefix(PREFIX))
    elif hub_name(data.path) is None:
        find_files(data.path, split=data.split, with_texts=True, report=DataReport())
