"""What tells whether a source would still give the rows that it gave before, without reading it."""

import glob
import json
from collections.abc import Iterator
from pathlib import Path

from chatwright.data.builtin import PREFIX
from chatwright.data.finding import hub_name
from chatwright.data.settings import DataSettings


def identity_of(settings: DataSettings) -> str | None:
    """A text that is equal while the settings and every local file (size, time of change) stay as they are.

    None where that cannot be known: a hub's dataset, or what Chatwright makes, changes without a trace here.
    """
    if not all(_is_local(str(part.path)) for part in _parts(settings)):
        return None
    return identity_within(settings)


def identity_within(settings: DataSettings) -> str:
    """The same of any source, as far as it can be known: to tell that what lies here has changed during a run."""
    paths = [str(part.path) for part in _parts(settings)]
    return json.dumps([settings.model_dump(mode="json"), [file_states(path) for path in paths if _is_local(path)]])


def file_states(path: str) -> list[tuple[str, int, int]]:
    """Name, size in bytes and time of change of each file that a local path stands for: file, folder or glob."""
    place = Path(path).expanduser()
    if place.is_dir():
        files = list(place.rglob("*"))
    elif place.exists():
        # A dataset_info.json names its files, which lie beside it.
        files = list(place.parent.rglob("*")) if place.suffix == ".json" and "dataset_info" in place.name else [place]
    else:
        files = [Path(name) for name in glob.iglob(str(place), recursive=True)]
    stats = [(str(file), file.stat()) for file in sorted(files) if file.is_file()]
    return [(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats]


def _parts(settings: DataSettings) -> Iterator[DataSettings]:
    """The sources that a source is mixed from, or itself; and those that it must not contain."""
    if isinstance(settings.path, str):
        yield settings
    else:
        for part in settings.path:
            yield from _parts(part)
    for other in settings.contamination or ():
        yield from _parts(other)


def _is_local(path: str) -> bool:
    return not path.startswith(PREFIX) and hub_name(path) is None
