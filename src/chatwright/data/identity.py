"""What tells whether a source would still give the rows that it gave before, without reading it."""

import glob
import json
from pathlib import Path

from chatwright.data.builtin import PREFIX
from chatwright.data.finding import hub_name
from chatwright.data.settings import DataSettings


def identity_of(settings: DataSettings) -> str | None:
    """A text that is equal while the settings and every local file (size, time of change) stay as they are.

    None where that cannot be known: a hub's dataset, or what Chatwright makes, changes without a trace here.
    """
    states = [_state(part) for part in (settings, *(settings.contamination or ()))]
    if None in states:
        return None
    return json.dumps([settings.model_dump(mode="json"), states])


def _state(settings: DataSettings) -> list[object] | None:
    path = settings.path
    if not isinstance(path, str):
        states = [identity_of(part) for part in path]
        return None if None in states else list(states)
    if path.startswith(PREFIX) or hub_name(path) is not None:
        return None
    place = Path(path).expanduser()
    if place.is_dir():
        files = list(place.rglob("*"))
    elif place.exists():
        # A dataset_info.json names its files, which lie beside it.
        files = list(place.parent.rglob("*")) if place.suffix == ".json" and "dataset_info" in place.name else [place]
    else:
        files = [Path(name) for name in glob.iglob(str(place), recursive=True)]
    stats = [(str(file), file.stat()) for file in sorted(files) if file.is_file()]
    return [[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats]
