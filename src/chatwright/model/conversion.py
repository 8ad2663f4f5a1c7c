"""GGUF files as ordinary model folders: converted once, kept in the cache by content, found again in milliseconds.

    <cache>/converted/v1/<sha256 of the file>/<dtype>/    config.json, model.safetensors, tokenizer.json, …

A folder is built under another name beside its place and renamed when it is whole, so it is there completely or not
at all: a crash, a full disk or a second process converting the same file leaves no half folder for others to read.
Where the cache cannot be written, the folder is made among the temporary files and removed when the program ends.
"""

import atexit
import errno
import json
import logging
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Literal

from chatwright.errors import ChatwrightError, ModelNotFoundError, StorageError
from chatwright.model.digest import file_sha256
from chatwright.model.gguf_file import GGUFFile, open_gguf
from chatwright.paths import cache_dir

ConvertedDtype = Literal["float32", "bfloat16"]

# Part of every folder's path: raise it whenever the same file would give another folder than before.
LAYOUT = "v1"
MANIFEST = "conversion.json"  # names and sizes of the other files; written last
_PARTIAL = ".partial-"
_ABANDONED_AFTER_S = 24 * 3600  # a partial folder of this age belongs to a process that was killed

_LOG = logging.getLogger(__name__)
_temporary: dict[tuple[str, str], Path] = {}  # this process's conversions outside the cache


def converted(source: str | Path, dtype: ConvertedDtype = "float32") -> Path:
    """The model folder that holds what a GGUF file holds.

    Args:
        source: a ``.gguf`` file.
        dtype: of the stored weights: "float32" is exactly what dequantisation gives, "bfloat16" rounds it.
    Returns:
        A folder that :func:`chatwright.model.load_model`, ``transformers`` and others open. Do not write to it.
    Raises:
        ModelNotFoundError, ModelFormatError, UnsupportedModelError: as :func:`~chatwright.model.gguf_file.open_gguf`
            and the readers of its parts.
        StorageError: there is no space for the folder; says how much is needed and how to put the cache elsewhere.
    """
    source = Path(source)
    if not source.is_file():
        raise ModelNotFoundError(f"{source} is not a file; give the path of a .gguf file")
    digest = file_sha256(source)
    home = cache_dir() / "converted" / LAYOUT / digest
    if _is_whole(home / dtype):
        return home / dtype
    if (digest, dtype) in _temporary:
        return _temporary[digest, dtype]
    with open_gguf(source) as file:
        try:
            home.mkdir(parents=True, exist_ok=True)
            partial = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=home))
        except OSError as error:
            return _convert_aside(file, digest, dtype, error)
        try:
            _remove_abandoned(home)
            _fill(partial, file, dtype)
            return _put_in_place(partial, home / dtype)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def _is_whole(folder: Path) -> bool:
    """Whether every file that the manifest names is there in full length."""
    try:
        sizes = json.loads((folder / MANIFEST).read_text("utf-8"))["sizes"]
        return all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _convert_aside(file: GGUFFile, digest: str, dtype: ConvertedDtype, reason: OSError) -> Path:
    """Convert into a temporary folder that lives as long as the process, because the cache cannot be written."""
    try:
        folder = Path(tempfile.mkdtemp(prefix="chatwright-"))
    except OSError:
        raise _cannot_convert(file.path, cache_dir(), reason) from None
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    try:
        _fill(folder, file, dtype)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    _LOG.warning(
        "the cache %s cannot be written (%s), so %s is converted anew at each start; set CHATWRIGHT_CACHE to a folder "
        "that can be written",
        cache_dir(),
        reason.strerror or reason,
        file.path.name,
    )
    _temporary[digest, dtype] = folder
    return folder


def _put_in_place(partial: Path, folder: Path) -> Path:
    """Rename a finished folder to its place; where another process was faster, its folder stays."""
    if folder.exists() and not _is_whole(folder):  # somebody removed a file from it
        shutil.rmtree(folder, ignore_errors=True)
    try:
        os.rename(partial, folder)
    except OSError as error:
        if not _is_whole(folder):
            raise StorageError(f"{folder} cannot be made: {error.strerror or error}; remove what is there") from None
    return folder


def _remove_abandoned(home: Path) -> None:
    for leftover in home.glob(f"{_PARTIAL}*"):
        try:
            if time.time() - leftover.stat().st_mtime > _ABANDONED_AFTER_S:
                shutil.rmtree(leftover, ignore_errors=True)
        except OSError:
            continue  # its process has just finished


def _fill(folder: Path, file: GGUFFile, dtype: ConvertedDtype) -> None:
    """Write all files of the converted model, the manifest last."""
    import torch

    from chatwright.model.gguf_import import folder_bytes, write_folder

    torch_dtype = torch.float32 if dtype == "float32" else torch.bfloat16
    started = time.monotonic()
    try:
        needed, free = folder_bytes(file, torch_dtype), shutil.disk_usage(folder).free
        if free < needed:
            raise OSError(errno.ENOSPC, f"{needed / 1e6:.0f} MB are needed and {free / 1e6:.0f} MB are free")
        write_folder(file, folder, torch_dtype)
        sizes = {path.name: path.stat().st_size for path in folder.iterdir()}
        (folder / MANIFEST).write_text(json.dumps({"source": file.path.name, "sizes": sizes}), encoding="utf-8")
    except StorageError as error:
        # It names the partial folder, which is gone by the time this is read: take the system's word for the reason.
        reason = error.__context__ if isinstance(error.__context__, OSError) else error
        raise _cannot_convert(file.path, folder.parent, reason) from None
    except ChatwrightError:
        raise  # some of them are OSErrors too
    except OSError as error:
        raise _cannot_convert(file.path, folder.parent, error) from None
    _LOG.info("converted %s in %.1f s", file.path.name, time.monotonic() - started)


def _cannot_convert(source: Path, place: Path, error: OSError) -> StorageError:
    return StorageError(
        f"{source} cannot be converted in {place}: {error.strerror or error}; free some space, or set "
        "CHATWRIGHT_CACHE to a folder on another disk"
    )
