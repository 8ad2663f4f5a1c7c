"""From what a person calls a model to the place where it lies. Looks only at this machine's disk, never at a network.

Order: the embedded default · a path · the list of recommended models · a hub name, among pulled models and then in the
Hugging Face cache. What is found is either a Hugging Face folder (with ``config.json``) or a ``.gguf`` file.
"""

import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from chatwright.errors import ModelFormatError, ModelNotFoundError, UnsupportedModelError
from chatwright.model.catalog import CATALOG, CatalogEntry, EmbeddedFile, find_entry, similar_names
from chatwright.model.digest import file_sha256
from chatwright.model.names import HubName, is_safe_segment, parse_hub_name
from chatwright.paths import models_dir


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A model on this machine's disk.

    Attributes:
        name: what to give to :func:`resolve_model`.
        path: its folder or file.
        size_bytes: space that it takes.
    """

    name: str
    path: Path
    size_bytes: int


def resolve_model(name: str | Path | None = None) -> Path:
    """Find a model on disk.

    Args:
        name: None or "default" for the embedded model; a folder; a ``.gguf`` file; a name of the list of recommended
            models; ``owner/name`` or ``owner/name/file.gguf`` on a hub, optionally behind ``hf:`` or ``modelscope:``.

    Returns:
        A Hugging Face folder or a ``.gguf`` file.

    Raises:
        ModelNotFoundError: nothing by that name is on disk; the message says how to get it.
        ModelFormatError: there is something, but it holds no model that we can read.
        UnsupportedModelError: its weights are only there as a pickle.
    """
    if name is None or (isinstance(name, str) and name.strip().lower() == "default"):
        return _resolve_entry(CATALOG[0])
    text = str(name)
    if not text.strip() or "\0" in text:
        raise ModelNotFoundError("the model's name is empty; give a folder, a .gguf file or a name")
    path = Path(text).expanduser()
    if isinstance(name, Path) or _looks_like_path(text):
        return _resolve_path(path)
    entry = find_entry(text)
    if entry is not None:
        return _resolve_entry(entry)
    if path.exists():
        return _resolve_path(path)
    hub_name = parse_hub_name(text)
    if hub_name is not None:
        return _resolve_hub_name(hub_name)
    return _resolve_own(text)


def local_models() -> list[LocalModel]:
    """The embedded model, if present, and everything under the models folder, by name."""
    found = {}
    for entry in CATALOG:
        path = entry.embedded and find_embedded(entry.embedded)
        if path:
            found[entry.name] = LocalModel(entry.name, path, path.stat().st_size)
    root = models_dir()
    for config in sorted(root.glob("**/config.json")):
        folder = config.parent
        if _holds_weights(folder) and not _is_hidden(folder, root):
            size = sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
            name = folder.relative_to(root).as_posix()
            found[name] = LocalModel(name, folder, size)
    for file in sorted(root.glob("**/*.gguf")):
        if not _is_hidden(file, root):
            name = file.relative_to(root).as_posix()
            found[name] = LocalModel(name, file, file.stat().st_size)
    return sorted(found.values(), key=lambda model: model.name)


def find_embedded(file: EmbeddedFile) -> Path | None:
    """The embedded model's file: pulled into the models folder, or in its package's folder; None if in neither.

    The package is not imported: it would load an application that we do not need.
    """
    candidates = [embedded_target(file)]
    try:
        spec = find_spec(file.module)
    except (ImportError, ValueError):  # a half-removed package
        spec = None
    if spec is not None:
        candidates += [Path(folder) / file.filename for folder in spec.submodule_search_locations or ()]
    return next((path for path in candidates if path.is_file()), None)


def embedded_target(file: EmbeddedFile) -> Path:
    """Where a pull puts the embedded model's file."""
    return models_dir() / "embedded" / file.filename


def _looks_like_path(text: str) -> bool:
    return text.startswith((".", "/", "~")) or "\\" in text or Path(text).is_absolute()


def _resolve_path(path: Path) -> Path:
    if path.is_file():
        if path.suffix.lower() != ".gguf":
            raise ModelFormatError(
                f"{path} is not a model: give a folder with config.json and *.safetensors, or a .gguf file"
            )
        return path
    if not path.is_dir():
        raise ModelNotFoundError(f"{path} does not exist; `chatwright models list` shows the models on this machine")
    if (path / "config.json").is_file():
        if _holds_weights(path):
            return path
        _refuse_pickles(path)
        raise ModelFormatError(f"{path} has a config.json but no *.safetensors file; fetch the model again")
    ggufs = sorted(path.glob("*.gguf"))
    if len(ggufs) == 1:
        return ggufs[0]
    if ggufs:
        names = ", ".join(file.name for file in ggufs[:8])
        raise ModelFormatError(f"{path} holds {len(ggufs)} .gguf files; name one of them: {names}")
    raise ModelFormatError(
        f"{path} holds no model: neither config.json with *.safetensors nor a .gguf file; give the folder that does"
    )


def _resolve_entry(entry: CatalogEntry) -> Path:
    if entry.embedded:
        path = find_embedded(entry.embedded)
        if path is not None:
            return _verified(path, entry.embedded)
    for repo_id in dict.fromkeys((entry.hub_id, entry.modelscope_id)):
        owner, repo = repo_id.split("/")
        found = _find_pulled(HubName(owner, repo))
        if found is not None:
            return found
    what = "the embedded default model" if entry.embedded else "the model"
    raise ModelNotFoundError(
        f"{what} {entry.name} is not on this machine; get it with `chatwright models pull {entry.name}` "
        f"({human_size(entry.size_bytes)})"
    )


def _resolve_hub_name(name: HubName) -> Path:
    found = _find_pulled(name)
    if found is not None:
        return found
    target = name.path_under(Path())
    similar = similar_names(name.repo)
    hint = f" (did you mean {' or '.join(similar)}?)" if similar else ""
    raise ModelNotFoundError(
        f"no folder or pulled model {target.as_posix()} is on this machine{hint}; if it is a hub's name, get it with "
        f"`chatwright models pull {target.as_posix()}`"
    )


def _resolve_own(name: str) -> Path:
    """A folder or file that the user put straight into the models folder."""
    if is_safe_segment(name):
        for candidate in (models_dir() / name, models_dir() / f"{name}.gguf"):
            if candidate.exists():
                return _resolve_path(candidate)
    similar = similar_names(name)
    hint = f" (did you mean {' or '.join(similar)}?)" if similar else ""
    raise ModelNotFoundError(
        f"no model is called {name!r}{hint}; `chatwright models list` shows the names, and a folder or a .gguf file "
        "works too"
    )


def _find_pulled(name: HubName) -> Path | None:
    pulled = name.path_under(models_dir())
    if pulled.exists():
        return _resolve_path(pulled)
    return _find_in_hf_cache(name)


def _find_in_hf_cache(name: HubName) -> Path | None:
    """The snapshot that another program downloaded, if it is complete."""
    from huggingface_hub import try_to_load_from_cache

    wanted = name.filename or "config.json"
    found = try_to_load_from_cache(name.repo_id, wanted, cache_dir=_hf_cache_dir())
    if not isinstance(found, str):
        return None
    if name.filename:
        return Path(found)
    folder = Path(found).parent
    return folder if _holds_weights(folder) else None


def _hf_cache_dir() -> Path:
    """Asked of the environment at each call: huggingface_hub reads it only once, when it is imported."""
    if cache := os.environ.get("HF_HUB_CACHE"):
        return Path(cache).expanduser()
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
    return Path(home).expanduser() / "hub"


def _verified(path: Path, file: EmbeddedFile) -> Path:
    """The embedded file itself, once it is known to be the right one."""
    if path.stat().st_size != file.size_bytes or file_sha256(path) != file.sha256:
        raise ModelFormatError(
            f"{path} is damaged: its SHA-256 is not the announced one; remove it and run "
            f"`chatwright models pull {CATALOG[0].name}`"
        )
    return path


def _holds_weights(folder: Path) -> bool:
    return any(folder.glob("*.safetensors"))


def _refuse_pickles(folder: Path) -> None:
    pickled = sorted(path.name for pattern in ("*.bin", "*.pt", "*.pth") for path in folder.glob(pattern))
    if pickled:
        raise UnsupportedModelError(
            f"{folder} has its weights as a pickle ({pickled[0]}), and a pickle can run code, so none is ever opened; "
            "look for a revision with model.safetensors, or convert it with transformers' save_pretrained"
        )


def _is_hidden(path: Path, root: Path) -> bool:
    parts = path.relative_to(root).parts
    return any(part.startswith(".") for part in parts) or parts[0] == "embedded"


def human_size(size_bytes: int) -> str:
    """``98 MB``, ``1.5 GB``: decimal units, as the hubs show them."""
    return f"{size_bytes / 1e9:.1f} GB" if size_bytes >= 1e9 else f"{size_bytes / 1e6:.0f} MB"
