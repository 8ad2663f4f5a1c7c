"""An adapter merged into its model, as an ordinary model folder in the cache: made once, found again by content.

    <cache>/merged/v1/<sha256 of base and adapter>/

The folder is built beside its place and renamed when it is whole.
"""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from chatwright.errors import ChatwrightError, ConfigError, ModelFormatError, StorageError
from chatwright.model.adapters import CONFIG_FILE, WEIGHTS_FILE, load_adapter, read_adapter_config
from chatwright.model.conversion import converted
from chatwright.model.digest import file_sha256
from chatwright.model.generation import read_generation_defaults
from chatwright.model.resolve import resolve_model
from chatwright.paths import cache_dir

LAYOUT = "v1"  # raise it whenever the same two would give another folder than before
_WRITTEN_ANEW = ("config.json", "generation_config.json", "conversion.json")


def merged_folder(adapter: str | Path, source: str | Path | None = None) -> Path:
    """The folder of a model with an adapter merged into it.

    Args:
        adapter: a folder in the form of peft.
        source: the model that it belongs to; None takes the one that the adapter names.
    Returns:
        A folder that :func:`chatwright.model.load_model` and others open. Do not write to it.
    Raises:
        ConfigError: nobody says which model it is.
        ModelNotFoundError, ModelFormatError, UnsupportedModelError: model or adapter cannot be used, or do not fit.
        StorageError: the cache cannot be written.
    """
    adapter = Path(adapter).expanduser()
    named = read_adapter_config(adapter).get("base_model_name_or_path")
    if source is None and not named:
        raise ConfigError(f"{adapter} does not say which model it adapts; give the model too")
    path = resolve_model(named if source is None else source)
    folder = converted(path, "bfloat16") if path.is_file() else path
    place = cache_dir() / "merged" / LAYOUT / _digest(folder, adapter)
    if (place / "config.json").is_file():
        return place
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=place.parent))
        try:
            _fill(partial, folder, adapter)
            os.rename(partial, place)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        if (place / "config.json").is_file():  # another process was faster
            return place
        if isinstance(error, ChatwrightError):
            raise
        raise StorageError(f"{place} cannot be made: {error.strerror or error}; set CHATWRIGHT_CACHE") from None
    return place


def _fill(partial: Path, folder: Path, adapter: Path) -> None:
    import torch

    from chatwright.model.load import load_folder
    from chatwright.model.lora import merge_adapters
    from chatwright.model.save import save_model

    stored = load_folder(folder).embed.weight.dtype
    model = load_folder(folder, dtype=torch.float32)  # rounded once, when it is written
    load_adapter(model, adapter)
    merge_adapters(model)
    for file in folder.iterdir():
        weights = file.name.endswith((".safetensors", ".safetensors.index.json"))
        if file.is_file() and not weights and file.name not in _WRITTEN_ANEW:
            shutil.copy(file, partial)
    save_model(model, partial, dtype=stored, generation=read_generation_defaults(folder), own_format=True)


def _digest(folder: Path, adapter: Path) -> str:
    files = [*sorted(folder.glob("*.safetensors")), folder / "config.json"]
    files += [file for file in sorted(folder.glob("*token*.json")) if file.is_file()]
    if not (adapter / WEIGHTS_FILE).is_file():
        raise ModelFormatError(f"{adapter} holds no {WEIGHTS_FILE}; fetch the adapter again")
    parts = [file_sha256(file) for file in [*files, adapter / WEIGHTS_FILE, adapter / CONFIG_FILE]]
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()
