"""Names of models on the hubs, and the proof that such a name cannot lead out of the models' folder.

A name becomes part of a path and of a URL, and may come from a configuration file or, later, from a network request.
So it is taken apart and checked here, once, before anything is joined to it.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from chatwright.errors import InvalidParameterError

HubSource = Literal["hf", "modelscope"]

# What both hubs allow in a segment. The first character is never a dot or a dash: no "..", no hidden file, no option.
_SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_WINDOWS_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class HubName:
    """A repository on a hub, and one file of it where that is what is wanted.

    Attributes:
        owner, repo: the two halves of ``owner/repo``.
        filename: a ``.gguf`` file at the repository's top level, or None for the repository as a whole.
        source: the hub that a prefix (``hf:``, ``modelscope:``) asked for, or None.
    """

    owner: str
    repo: str
    filename: str | None = None
    source: HubSource | None = None

    @property
    def repo_id(self) -> str:
        """``owner/repo``."""
        return f"{self.owner}/{self.repo}"

    def path_under(self, root: Path) -> Path:
        """Where this model lies below ``root``."""
        folder = root / self.owner / self.repo
        return folder / self.filename if self.filename else folder


def is_safe_segment(segment: str) -> bool:
    """Whether ``segment`` can be one part of a path on every system without leading anywhere else."""
    return (
        _SEGMENT.fullmatch(segment) is not None
        and not segment.endswith(".")
        and _WINDOWS_DEVICES.fullmatch(segment) is None
    )


def parse_hub_name(name: str) -> HubName | None:
    """Take ``[hf:|modelscope:]owner/repo[/file.gguf]`` apart.

    Returns:
        The parts, or None if ``name`` does not have the form of a hub name at all.

    Raises:
        InvalidParameterError: a hub was named by its prefix, but what follows is not a repository's name.
    """
    source: HubSource | None = None
    rest = name
    for prefix, hub in _PREFIXES.items():
        if name.lower().startswith(prefix):
            source, rest = hub, name[len(prefix) :]
            break
    parts = rest.split("/")
    is_file = len(parts) == 3 and parts[2].lower().endswith(".gguf")
    if all(is_safe_segment(part) for part in parts) and (len(parts) == 2 or is_file):
        return HubName(parts[0], parts[1], parts[2] if is_file else None, source)
    if source is None:
        return None
    raise InvalidParameterError(
        "model", f"{rest!r} is not a hub name: write owner/name, or owner/name/file.gguf, in letters, digits, . _ and -"
    )


_PREFIXES: dict[str, HubSource] = {"hf:": "hf", "huggingface:": "hf", "modelscope:": "modelscope", "ms:": "modelscope"}
