"""A model written in another form: a Hugging Face folder or a GGUF file, complete with tokenizer and template."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Literal, get_args

from chatwright.errors import InvalidParameterError, StorageError
from chatwright.model.conversion import converted
from chatwright.model.generation import read_generation_defaults
from chatwright.model.gguf_write import write_gguf
from chatwright.model.load import load_folder, parse_dtype
from chatwright.model.resolve import resolve_model
from chatwright.model.save import save_model
from chatwright.tokenizer import Tokenizer

ExportFormat = Literal["hf", "gguf"]
ExportDtype = Literal["f32", "f16", "bf16", "q8_0"]

_TORCH_NAMES = {"f32": "float32", "f16": "float16", "bf16": "bfloat16"}


def export_model(
    source: str | Path | None,
    out: str | Path,
    *,
    format: ExportFormat = "hf",
    dtype: ExportDtype | None = None,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write a model as a Hugging Face folder or as a GGUF file.

    Args:
        source: as for :func:`chatwright.resolve_model`.
        out: the folder or file to make; appears under its name only when it is complete.
        format: "hf" or "gguf".
        dtype: how weights are stored. None keeps a folder's own, and takes bf16 where the source or the result is a
            GGUF file. "q8_0" is for GGUF only.
        overwrite: replace what is at ``out``.
        progress: for GGUF, called with (bytes written, bytes in all).

    Returns:
        ``out``.

    Raises:
        InvalidParameterError: format and dtype do not go together, or ``out`` exists already.
        ModelNotFoundError, ModelFormatError, UnsupportedModelError: the source cannot be read, or not expressed so.
        StorageError: it cannot be written.
    """
    out = Path(out).expanduser()
    _check_options(format, dtype)
    path = resolve_model(source)
    if out.exists() and not overwrite:
        raise InvalidParameterError("out", f"{out} exists already; choose another place, or add --overwrite")
    if format == "gguf":
        folder = converted(path, "float32") if path.is_file() else path  # exact: rounded once, when written
        write_gguf(folder, out, dtype=dtype or "bf16", progress=progress)
        return out
    stored = _TORCH_NAMES[dtype or "bf16"] if dtype or path.is_file() else None
    folder = converted(path, "bfloat16" if stored == "bfloat16" else "float32") if path.is_file() else path
    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    try:
        model = load_folder(folder, dtype=parse_dtype(stored) if stored else None)
        save_model(model, partial, generation=read_generation_defaults(folder))
        Tokenizer.from_folder(folder).save(partial)
        _replace(partial, out)
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        raise StorageError(f"{out} cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return out


def _check_options(format: str, dtype: str | None) -> None:
    if format not in get_args(ExportFormat):
        raise InvalidParameterError("format", f"format is {format!r}; allowed are {', '.join(get_args(ExportFormat))}")
    if dtype is not None and dtype not in get_args(ExportDtype):
        raise InvalidParameterError("dtype", f"dtype is {dtype!r}; allowed are {', '.join(get_args(ExportDtype))}")
    if format == "hf" and dtype == "q8_0":
        raise InvalidParameterError(
            "dtype", "dtype q8_0 exists in GGUF files only; use --format gguf, or f32, f16, bf16"
        )


def _replace(partial: Path, out: Path) -> None:
    if out.is_dir() and not out.is_symlink():
        shutil.rmtree(out)
    elif out.exists():
        out.unlink()
    os.replace(partial, out)
