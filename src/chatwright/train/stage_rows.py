"""The rows of a stage, and what an objective needs to make others of them before they are tokenised."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from chatwright.data.report import DataReport
from chatwright.data.rows import Row
from chatwright.train.settings import StageSettings


@dataclass(frozen=True, slots=True)
class StageRows:
    """The rows of a stage, each iterable any number of times.

    Attributes:
        train, validation: what is learned from and what is held out.
        source: equal where the rows are.
        reports: of the last reading, by key of the recipe's data.
    """

    train: Iterable[Row]
    validation: Iterable[Row]
    source: str
    reports: dict[str, DataReport]


@dataclass(frozen=True, slots=True)
class RowWork:
    """What it takes to make rows.

    Attributes:
        settings: of the stage.
        folder: of the stage's data, where what is made is kept.
        seed: of the stage.
        device: where models run, as recipes say it.
        progress: told how many conversations and tokens are written.
    """

    settings: StageSettings
    folder: Path
    seed: int
    device: str
    progress: Callable[[int, int], None]
