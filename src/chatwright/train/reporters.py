"""TensorBoard, Weights & Biases and SwanLab: watchers that pass on every number of a run."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from chatwright.errors import ConfigError
from chatwright.train.recipe import Recipe, Reporter
from chatwright.train.watch import Record, SilentWatcher

_PROJECT = "chatwright"
_PLACE = ("stage", "step", "stage_step")


class Relay(SilentWatcher):
    """What the three have in common: records become named numbers at a step of the run."""

    def log(self, numbers: dict[str, float], step: int) -> None:
        """Pass them on."""
        raise NotImplementedError

    def close(self) -> None:
        """Send what is left. The run is over."""

    def stepped(self, record: Record) -> None:
        """A step's numbers, under the stage's name."""
        self.log(numbers_of(record), int(record["step"]))

    def evaluated(self, record: Record) -> None:
        """Those of an evaluation."""
        self.log(numbers_of(record), int(record["step"]))


class TensorBoard(Relay):
    """Event files in the run's folder: ``tensorboard --logdir runs/NAME``.

    Args:
        folder: of the run.
        first_step: what other processes recorded from this step on is forgotten; it is going to be done again.
    """

    def __init__(self, folder: Path, first_step: int) -> None:
        _library("tensorboard")
        writer = _library("torch.utils.tensorboard", extra="tensorboard").SummaryWriter
        self._writer = writer(str(folder / "tensorboard"), purge_step=first_step + 1 if first_step else None)

    def log(self, numbers: dict[str, float], step: int) -> None:
        """One scalar each."""
        for name, value in numbers.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Write the files to their end."""
        self._writer.close()


class WandB(Relay):
    """Weights & Biases, by its own environment variables (``WANDB_MODE=offline`` needs no account)."""

    def __init__(self, recipe: Recipe, folder: Path) -> None:
        wandb = _library("wandb")
        # A run that goes on is the same run there, too: found by the id that is kept in the folder.
        self._run = wandb.init(
            project=_PROJECT,
            name=recipe.name,
            dir=str(folder),
            id=_run_id(folder / ".wandb-id", wandb.util.generate_id),
            resume="allow",
            config=recipe.resolved(),
        )

    def log(self, numbers: dict[str, float], step: int) -> None:
        """One point of each curve."""
        self._run.log(numbers, step=step)

    def close(self) -> None:
        """Wait until everything is sent."""
        self._run.finish()


class SwanLab(Relay):
    """SwanLab, by its own environment variables (``SWANLAB_MODE=local`` needs no account)."""

    def __init__(self, recipe: Recipe, folder: Path) -> None:
        self._swanlab = _library("swanlab")
        self._swanlab.init(
            project=_PROJECT, experiment_name=recipe.name, logdir=str(folder / "swanlab"), config=recipe.resolved()
        )

    def log(self, numbers: dict[str, float], step: int) -> None:
        """One point of each curve."""
        self._swanlab.log(numbers, step=step)

    def close(self) -> None:
        """Wait until everything is sent."""
        self._swanlab.finish()


def open_reporters(recipe: Recipe, folder: Path, *, first_step: int) -> list[Relay]:
    """Those that the recipe names in ``report_to``.

    Raises:
        ConfigError: a library is not installed; says how to get it.
    """
    return [_open(name, recipe, folder, first_step) for name in recipe.report_to]


def check_reporters(names: Sequence[Reporter]) -> None:
    """Raise ConfigError if a library is missing: before the work begins, not after."""
    for name in names:
        _library(name)


def numbers_of(record: Record) -> dict[str, float]:
    """The numbers of a record under ``STAGE/NAME``."""
    stage = record["stage"]
    return {
        f"{stage}/{name}": value
        for name, value in record.items()
        if name not in _PLACE and isinstance(value, (int, float)) and not isinstance(value, bool)
    }


def _open(name: Reporter, recipe: Recipe, folder: Path, first_step: int) -> Relay:
    if name == "tensorboard":
        return TensorBoard(folder, first_step)
    return WandB(recipe, folder) if name == "wandb" else SwanLab(recipe, folder)


def _library(module: str, *, extra: str | None = None) -> Any:
    try:
        return import_module(module)
    except ImportError:
        extra = extra or module
        raise ConfigError(
            f"report_to names {extra}, which is not installed; install it with `pip install 'chatwright[{extra}]'`, "
            "or take it out of report_to"
        ) from None


def _run_id(path: Path, make: Any) -> str:
    if not path.is_file():
        path.write_text(make(), encoding="utf-8")
    return path.read_text("utf-8")
