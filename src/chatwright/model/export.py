"""``export``: any model we can load, as a Hugging Face folder or one GGUF file for other programs."""

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal, cast

from chatwright.errors import ChatwrightError, InvalidParameterError, StorageError
from chatwright.model.conversion import converted
from chatwright.model.resolve import resolve_model

ExportFormat = Literal["hf", "gguf"]
Progress = Callable[[int, int], None]

FORMATS: dict[str, tuple[str, ...]] = {"hf": ("f32", "f16", "bf16"), "gguf": ("f32", "f16", "bf16", "q8_0")}
_TORCH_NAMES = {"f32": "float32", "f16": "float16", "bf16": "bfloat16"}
_WEIGHTS = (".safetensors", ".safetensors.index.json", ".bin", ".pt", ".pth", ".gguf")
_OWN_FILES = ("config.json", "generation_config.json", "conversion.json")


def export_model(
    source: str | Path | None,
    out: str | Path,
    *,
    format: str = "hf",
    dtype: str | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Write a model in another format or precision, with its tokenizer, chat template and defaults.

    The result appears under its name only when it is complete.

    Args:
        source: what :func:`chatwright.load_model` takes: a folder, a ``.gguf``, a name, or None for the default.
        out: the folder ("hf") or file ("gguf") to write.
        format: "hf" or "gguf".
        dtype: "f32", "f16", "bf16"; for GGUF also "q8_0". None keeps a folder's own in a folder, and takes bf16 where
            the source or the result is a GGUF.
        overwrite: replace what is there. A folder that is no model is never replaced.
        progress: called with (bytes done, bytes in all); for a folder once at the end.
    Returns:
        ``out`` as a path.
    Raises:
        InvalidParameterError: an unknown format or dtype, values that the dtype cannot hold, or an ``out`` that exists
            and may not be replaced.
        StorageError: the space does not suffice, or the place cannot be written.
        ModelNotFoundError, ModelFormatError, UnsupportedModelError: the source cannot be read, or the format cannot
            express it.
    """
    if format not in FORMATS:
        raise InvalidParameterError("format", f"format is {format!r}; allowed are {', '.join(FORMATS)}")
    if dtype is not None and dtype not in FORMATS[format]:
        allowed = f"allowed for {format} are {', '.join(FORMATS[format])}"
        hint = ", or use --format gguf" if dtype in FORMATS["gguf"] else ""
        raise InvalidParameterError("dtype", f"dtype is {dtype!r}; {allowed}{hint}")
    target = Path(out).expanduser()
    _check_target(target, format, overwrite)
    path = resolve_model(source)
    if target.resolve() == path.resolve():
        raise InvalidParameterError("out", f"{target} is the model that is to be exported; choose another place")
    folder = converted(path, "float32") if path.is_file() else path  # exact: rounded once, when written
    if format == "gguf":
        from chatwright.model.gguf_write import GGUFDtype, gguf_bytes, write_gguf

        kind = cast(GGUFDtype, dtype or "bf16")
        _check_space(target, gguf_bytes(folder, kind))
        write_gguf(folder, target, dtype=kind, name=path.stem if path.is_file() else path.name, progress=progress)
    else:
        _export_folder(folder, target, dtype or ("bf16" if path.is_file() else None), progress)
    return target


def _check_target(target: Path, format: str, overwrite: bool) -> None:
    if not target.exists() or (target.is_dir() and not any(target.iterdir()) and format == "hf"):
        return
    if target.is_dir() != (format == "hf"):
        kind = "a folder" if target.is_dir() else "a file"
        raise InvalidParameterError("out", f"{target} is {kind}, but a {format} export is not; choose another name")
    if not overwrite:
        raise InvalidParameterError("out", f"{target} exists already; choose another name, or add --overwrite")
    if format == "hf" and not (target / "config.json").is_file():
        raise InvalidParameterError(
            "out", f"{target} is a folder that holds no model, and is not replaced; choose another name"
        )


def _check_space(target: Path, needed: int) -> None:
    place = next(parent for parent in target.absolute().parents if parent.exists())
    free = shutil.disk_usage(place).free
    if free < needed:
        raise StorageError(
            f"{target} needs {needed / 1e6:.0f} MB, but {place} has {free / 1e6:.0f} MB free; free some space or "
            "choose another place"
        )


def _export_folder(folder: Path, target: Path, dtype: str | None, progress: Progress | None) -> None:
    from chatwright.model.generation import read_generation_defaults
    from chatwright.model.load import load_folder, parse_dtype
    from chatwright.model.save import save_model

    model = load_folder(folder)
    torch_dtype = parse_dtype(_TORCH_NAMES[dtype]) if dtype else model.embed.weight.dtype
    assert torch_dtype is not None
    size = sum(tensor.numel() for tensor in model.state_dict().values()) * torch_dtype.itemsize
    others = [
        path
        for path in folder.iterdir()
        if path.is_file() and path.name not in _OWN_FILES and not path.name.endswith(_WEIGHTS)
    ]
    _check_space(target, size + sum(path.stat().st_size for path in others) + (1 << 20))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        try:
            os.chmod(partial, 0o755)
            save_model(model, partial, dtype=torch_dtype, generation=read_generation_defaults(folder), own_format=True)
            for path in others:
                shutil.copy(path, partial)
            _replace_folder(partial, target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        if isinstance(error, ChatwrightError):
            raise
        raise StorageError(f"{target} cannot be written: {error.strerror or error}; choose another place") from None
    if progress is not None:
        progress(size, size)


def _replace_folder(partial: Path, target: Path) -> None:
    """Put a finished folder in the place of an old one, which is removed last."""
    old = partial.with_name(partial.name + ".old")
    if target.exists():
        os.rename(target, old)
    try:
        os.rename(partial, target)
    except OSError:
        if old.exists():
            os.rename(old, target)
        raise
    shutil.rmtree(old, ignore_errors=True)
