"""A job's folder: what it is trained on and by, and what the training process has put there so far.

::

    RUNS/ftjob-…/
      training.jsonl  validation.jsonl   the files, checked and in the form that the recipe names
      recipe.yaml                        written last: with it the job is prepared
      train.log                          what the training process says
      run/                               the run's own folder, see ``chatwright train``
      checkpoints/checkpoint-N/          of a job that is done: adapters that can be served

Everything here blocks: call it in a thread.
"""

import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from chatwright.model.adapters import CONFIG_FILE, WEIGHTS_FILE

_CHECKPOINT: Final = re.compile(r"checkpoint-(\d+)")
_MANIFEST: Final = "manifest.json"
_LOG_TAIL_BYTES: Final = 16_384


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where training can go on from."""

    path: Path
    step: int
    created_ms: int
    eval_loss: float | None


class JobFolder:
    """Paths, and what the files say.

    Args:
        path: of the folder, which need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.training = path / "training.jsonl"
        self.validation = path / "validation.jsonl"
        self.recipe = path / "recipe.yaml"
        self.log = path / "train.log"
        self.run = path / "run"
        self.kept = path / "checkpoints"
        self.model = self.run / "model"
        self.metrics = self.run / "metrics.jsonl"
        self.samples = self.run / "samples.jsonl"

    @property
    def is_prepared(self) -> bool:
        """Whether everything is there that training needs."""
        return self.recipe.is_file()

    @property
    def is_finished(self) -> bool:
        """Whether training came to its end: the report is the last that a run writes."""
        return (self.run / "report.json").is_file() and self.model.is_dir()

    def write_recipe(self, recipe: Mapping[str, Any]) -> None:
        """Put the recipe in its place, whole."""
        partial = self.recipe.with_suffix(".partial")
        with partial.open("w", encoding="utf-8") as file:
            yaml.safe_dump(dict(recipe), file, allow_unicode=True, sort_keys=False)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, self.recipe)

    def trained_tokens(self) -> int:
        """Tokens that were learned from, over all stages."""
        records = (json.loads(path.read_text("utf-8")) for path in self.run.glob("stages/*/stage.json"))
        return sum(int(record["tokens"]) for record in records)

    def checkpoints(self) -> list[Checkpoint]:
        """Those that are complete, the oldest first."""
        found = []
        for folder in (*self.run.glob("checkpoint-*"), *self.kept.glob("checkpoint-*")):
            name, manifest = _CHECKPOINT.fullmatch(folder.name), folder / _MANIFEST
            if name is None:
                continue
            try:  # training removes old ones at any time
                loss = json.loads(manifest.read_text("utf-8")).get("eval_loss")
                created_ms = manifest.stat().st_mtime_ns // 1_000_000
            except (OSError, ValueError):
                continue
            found.append(Checkpoint(folder, int(name[1]), created_ms, loss))
        return sorted(found, key=lambda checkpoint: checkpoint.step)

    def last_words(self) -> str:
        """The last line that the training process said, without the folders of this machine."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(self.log.stat().st_size - _LOG_TAIL_BYTES, 0))
                lines = file.read().decode("utf-8", "replace").split("\n")
        except OSError:
            return ""
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return last.removeprefix("Error: ").replace(str(self.run), "the run").replace(str(self.path), "the job")

    def keep_checkpoints(self) -> list[Checkpoint]:
        """Of a run that is finished, keep the adapters of its checkpoints, each naming the model that it adapts.

        What it takes to go on training is removed: it is the larger part.
        """
        base = yaml.safe_load(self.recipe.read_text("utf-8"))["model"]["from"]
        for checkpoint in self.checkpoints():
            if checkpoint.path.parent == self.kept:
                continue
            target = self.kept / checkpoint.path.name
            target.mkdir(parents=True, exist_ok=True)
            for name in (_MANIFEST, WEIGHTS_FILE):
                shutil.copy2(checkpoint.path / name, target / name)
            config = json.loads((checkpoint.path / CONFIG_FILE).read_text("utf-8"))
            (target / CONFIG_FILE).write_text(json.dumps(config | {"base_model_name_or_path": base}, indent=2), "utf-8")
            shutil.rmtree(checkpoint.path)
        return self.checkpoints()

    def tidy(self) -> None:
        """Keep only what somebody may ask for when training is over: the model, checkpoints, metrics, report."""
        for path in (self.training, self.validation):
            path.unlink(missing_ok=True)
        shutil.rmtree(self.run / "data", ignore_errors=True)

    def remove_checkpoint(self, name: str) -> None:
        """Remove one that was kept."""
        assert _CHECKPOINT.fullmatch(name)
        shutil.rmtree(self.kept / name, ignore_errors=True)

    def remove(self) -> None:
        """Remove everything."""
        shutil.rmtree(self.path, ignore_errors=True)


@dataclass(slots=True)
class MetricsTail:
    """Reads what a run adds to its metrics, also where it takes some of it back.

    A training process that goes on from a checkpoint cuts the file back to it and takes those steps again. The last
    line that was read tells: where it is not in its place any more, reading begins anew, and what comes twice is for
    the reader to notice.
    """

    path: Path
    _offset: int = 0
    _last: bytes = field(default=b"", repr=False)

    def read(self) -> list[dict[str, Any]]:
        """Records that were added since the last call."""
        try:
            with self.path.open("rb") as file:
                file.seek(self._offset - len(self._last))
                if file.read(len(self._last)) != self._last:
                    self._offset = 0
                    file.seek(0)
                lines = file.read().splitlines(keepends=True)
        except FileNotFoundError:
            return []
        records = []
        for line in lines:
            if not line.endswith(b"\n"):  # in the middle of being written
                break
            self._offset += len(line)
            self._last = line
            try:
                records.append(json.loads(line))
            except ValueError:  # cut off when its writer was killed; it will be cut back
                continue
        return records
