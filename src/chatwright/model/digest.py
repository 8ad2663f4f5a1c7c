"""SHA-256 of large files, computed once: a memo in the cache directory remembers it while the file is untouched."""

import hashlib
import json
import os
import tempfile
from pathlib import Path

from chatwright.errors import StorageError
from chatwright.paths import cache_dir


def file_sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's content.

    The answer is remembered under the file's path, size, modification time and inode; a file that was changed in
    place without a trace in any of these is not noticed, as with every such memo (git's index among them).

    Raises:
        StorageError: the file cannot be read.
    """
    try:
        stat = path.stat()
        identity = f"{path.resolve()}\0{stat.st_size}\0{stat.st_mtime_ns}\0{stat.st_ino}"
        memo = cache_dir() / "digests" / f"{hashlib.sha256(identity.encode()).hexdigest()}.json"
        known = _read_memo(memo)
        if known is None:
            with path.open("rb") as file:
                known = hashlib.file_digest(file, "sha256").hexdigest()
            _write_memo(memo, known)
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror or error}") from error
    return known


def weights_digest(model: Path) -> str:
    """What tells a model's weights from any other's: 32 hexadecimal digits.

    Args:
        model: a folder with ``*.safetensors``, or a single file such as ``.gguf``.

    Raises:
        StorageError: a file cannot be read.
    """
    files = sorted(model.glob("*.safetensors")) if model.is_dir() else [model]
    parts = "\n".join(f"{file.suffix} {file_sha256(file)}" for file in files)
    return hashlib.sha256(parts.encode()).hexdigest()[:32]


def _read_memo(memo: Path) -> str | None:
    try:
        value = json.loads(memo.read_text("utf-8"))["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return None  # absent or damaged: computed again
    return value if isinstance(value, str) and len(value) == 64 else None


def _write_memo(memo: Path, sha256: str) -> None:
    """Best effort: without a memo (full disk, read-only cache) the digest is only computed again next time."""
    try:
        memo.parent.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(dir=memo.parent)
        try:
            with open(handle, "w", encoding="utf-8") as file:
                json.dump({"sha256": sha256}, file)
            os.replace(partial, memo)
        except BaseException:
            os.unlink(partial)
            raise
    except OSError:
        pass
