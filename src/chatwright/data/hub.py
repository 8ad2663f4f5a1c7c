"""Datasets of the Hugging Face hub or a mirror, row by row as they are needed.

``HF_ENDPOINT`` (a mirror), ``HF_TOKEN``, ``HF_HOME`` and ``HF_HUB_OFFLINE`` are honoured by the library itself.
"""

import os
from collections.abc import Iterator, Mapping
from typing import Any

from chatwright.data.records import Record
from chatwright.data.settings import DataSettings
from chatwright.errors import ChatwrightError, DownloadError, InputError

_ON = {"1", "true", "yes", "on"}


def hub_records(name: str, settings: DataSettings) -> Iterator[Record]:
    """The records of a dataset; nothing is downloaded ahead, unless offline, where what was downloaded before serves.

    Raises:
        DownloadError: it cannot be reached, or is not on this machine and the hub is off limits.
        InputError: there is no such dataset, configuration or split, or the library for it is missing.
    """
    try:
        import datasets
    except ImportError as error:
        raise InputError(f"{name} is on the hub, which needs a library: pip install 'chatwright[hf]'") from error
    is_offline = os.environ.get("HF_HUB_OFFLINE", "").lower() in _ON
    split = settings.split or "train"
    number = 0
    try:
        data = datasets.load_dataset(
            name, settings.name, split=split, revision=settings.revision, streaming=not is_offline
        )
        classes = _class_names(data)
        for value in data:
            number += 1
            yield Record(f"{name}[{split}]", number, _with_names(value, classes))
    except ChatwrightError:
        raise
    except Exception as error:  # the library lets through what HTTP, file formats and its own checks raise
        raise _explained(error, name, number, is_offline=is_offline) from error


def _explained(error: Exception, name: str, number: int, *, is_offline: bool) -> ChatwrightError:
    reason = " ".join(str(error).split())[:300] or type(error).__name__
    if is_offline:
        return DownloadError(
            f"{name} is not on this machine, and HF_HUB_OFFLINE forbids to fetch it; unset it, or give a local path"
        )
    if number:
        return DownloadError(f"{name} broke off after row {number}: {reason}")
    if isinstance(error, ValueError | FileNotFoundError):
        return InputError(f"{name} cannot be opened as a dataset of the hub, and there is no such path here: {reason}")
    return DownloadError(f"cannot reach {name} at {os.environ.get('HF_ENDPOINT', 'https://huggingface.co')}: {reason}")


def _class_names(data: Any) -> Mapping[str, Any]:
    """Columns that hold numbers of named classes."""
    features = getattr(data, "features", None) or {}
    return {key: feature for key, feature in features.items() if hasattr(feature, "int2str")}


def _with_names(value: Mapping[str, Any], classes: Mapping[str, Any]) -> Mapping[str, Any]:
    numbers = {key: value[key] for key in classes if isinstance(value.get(key), int) and value[key] >= 0}
    return {**value, **{key: classes[key].int2str(number) for key, number in numbers.items()}}
