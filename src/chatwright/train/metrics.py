"""Files of one JSON object a line, each with a ``step``: written as a run goes, and cut back when it goes on."""

import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from chatwright.errors import StorageError


class JsonLines:
    """An append-only file that survives a process being killed at any moment.

    Args:
        path: of the file; made with the first record.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, record: Mapping[str, Any]) -> None:
        """Add one record; a number that JSON cannot say (NaN, infinity) becomes null.

        Raises:
            StorageError: it cannot be written.
        """
        line = json.dumps(_sayable(record), ensure_ascii=False, allow_nan=False) + "\n"
        try:
            with self.path.open("ab") as file:
                file.write(line.encode())
        except OSError as error:
            raise StorageError(f"{self.path} cannot be written: {error.strerror or error}; free some space") from None

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The records so far; a last line that was cut off in the middle is left out."""
        if not self.path.is_file():
            return
        with self.path.open("rb") as file:
            for line in file:
                try:
                    yield json.loads(line)
                except ValueError:
                    return

    def sync(self) -> None:
        """Make sure that the records are on the disk itself."""
        if self.path.is_file():
            with self.path.open("rb") as file:
                os.fsync(file.fileno())

    def truncate(self, step: int) -> None:
        """Drop every record after ``step``."""
        if not self.path.is_file():
            return
        kept = 0
        with self.path.open("rb+") as file:
            for line in file:
                try:
                    beyond = json.loads(line)["step"] > step
                except ValueError:
                    beyond = True
                if beyond:
                    break
                kept += len(line)
            file.truncate(kept)


def _sayable(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _sayable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_sayable(item) for item in value]
    return value
