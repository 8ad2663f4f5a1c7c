"""From the path in a recipe to the files it means."""

import glob
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from chatwright.data.dataset_info import FILE_NAME
from chatwright.data.files import inner_suffix
from chatwright.data.records import ROW_SUFFIXES, TEXT_SUFFIXES
from chatwright.data.report import DataReport
from chatwright.errors import InputError

KNOWN = ", ".join((*ROW_SUFFIXES, *TEXT_SUFFIXES))

_HUB_NAME = re.compile(r"(?:hf:)?([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)")
_NOT_DATA = (FILE_NAME, "dataset_infos.json", "dataset_dict.json", "state.json", "metadata.json")


def hub_name(path: str) -> str | None:
    """The name of a hub's dataset, if ``path`` is one: ``owner/name``, or ``hf:owner/name``; files come first."""
    found = _HUB_NAME.fullmatch(path)
    if not found or (not path.startswith("hf:") and Path(path).exists()):
        return None
    is_file_name = inner_suffix(Path(path)) in (*ROW_SUFFIXES, *TEXT_SUFFIXES)
    return None if is_file_name else found[1]


def find_files(path: str, *, split: str | None, with_texts: bool, report: DataReport) -> list[Path]:
    """The files that a path, folder or glob means, in an order that does not depend on the file system.

    Args:
        path: as the recipe has it.
        split: take only files of this split from a folder: ``train`` in ``train-00000-of-00002.parquet``.
        with_texts: whether .txt and .md files are of use.
        report: told which files were passed over.

    Raises:
        InputError: there is no such file, or none of a known kind.
    """
    place = Path(path).expanduser()
    if place.is_dir():
        return _folder(place, split, with_texts, report)
    if split is not None:
        raise InputError(f"{path} is no folder and no hub's dataset, so it has no split {split!r}; leave split out")
    if place.exists():
        return [_known(place)]
    if place.is_symlink():
        raise InputError(f"{path} is a link to {os.readlink(place)}, which does not exist")
    if glob.has_magic(path):
        names = sorted(name for name in glob.iglob(str(place), recursive=True) if os.path.isfile(name))
        if not names:
            raise InputError(f"no file matches {path}")
        files = {os.path.realpath(name): Path(name) for name in reversed(names)}  # links may lead to one file twice
        return [_known(file) for file in reversed(files.values())]
    raise InputError(f"there is no file or folder {path}; give a path, a glob, a hub name (owner/name) or builtin:NAME")


def _known(file: Path) -> Path:
    if inner_suffix(file) not in (*ROW_SUFFIXES, *TEXT_SUFFIXES):
        raise InputError(f"{file} is not of a kind that is read; these are: {KNOWN}, each also compressed")
    return file


def _folder(folder: Path, split: str | None, with_texts: bool, report: DataReport) -> list[Path]:
    files = [file for file in _walk(folder, set()) if file.name not in _NOT_DATA]
    rows = [file for file in files if inner_suffix(file) in ROW_SUFFIXES]
    texts = [file for file in files if inner_suffix(file) in TEXT_SUFFIXES]
    others = len(files) - len(rows) - len(texts)
    if others:
        report.add_note(f"{folder}: {others} files of other kinds than {KNOWN} were passed over")
    if rows and texts:  # a README beside the data is no data
        report.add_note(
            f"{folder}: {len(texts)} .txt and .md files beside the data were passed over; a glob takes them"
        )
    found = rows or (texts if with_texts else [])
    if split is not None:
        found = list(_of_split(found, folder, split))
    if not found:
        what = f"files of the split {split!r}" if split else "files of a known kind"
        kinds = KNOWN if with_texts else ", ".join(ROW_SUFFIXES)
        raise InputError(f"{folder} has no {what} ({kinds})")
    return found


def _of_split(files: Iterable[Path], folder: Path, split: str) -> Iterator[Path]:
    """Files that have the split's name as a word of their path, as the hub names them."""
    word = re.compile(rf"(?<![A-Za-z0-9]){re.escape(split)}(?![A-Za-z0-9])")
    return (file for file in files if word.search(str(file.relative_to(folder))))


def _walk(folder: Path, seen: set[Path]) -> Iterator[Path]:
    """Files of a folder and those in it, by name. Links are followed, but into no folder twice."""
    real = folder.resolve()
    if real in seen:
        return
    seen.add(real)
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise InputError(f"cannot read {folder}: {error.strerror or error}") from error
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _walk(entry, seen)
        elif entry.exists():
            yield entry
        else:
            raise InputError(f"{entry} is a link to {os.readlink(entry)}, which does not exist")
