"""Bytes on disk, each file under its id: no name that a person gave is ever a part of a path.

A file is written beside its place, flushed and renamed, so it is there whole or not at all. The functions here block:
call them in a thread.
"""

import hashlib
import os
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from chatwright.server.errors import ApiError

_CHUNK_BYTES: Final = 1 << 20
_ID: Final = re.compile(r"[0-9A-Za-z_-]{1,64}")
_PARTIAL: Final = ".partial"
# What is younger may belong to a transaction that is about to be committed.
_ORPHAN_AGE_S: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Kept:
    """What was written: its size and hashes in hexadecimal digits."""

    size_bytes: int
    sha256: str
    md5: str


class Vault:
    """A folder of files.

    Args:
        folder: made with the first file.
        max_bytes: largest file.
    """

    def __init__(self, folder: Path, *, max_bytes: int) -> None:
        self._folder = folder
        self.max_bytes = max_bytes

    def path(self, file_id: str) -> Path:
        """Where the bytes of a file lie."""
        assert _ID.fullmatch(file_id)
        return self._folder / file_id

    def put(self, file_id: str, source: IO[bytes]) -> Kept:
        """Keep what is left to be read of ``source``.

        Raises:
            ApiError: 413 when it is too large, 507 when the disk is full; nothing is kept then.
        """
        return self._write(file_id, [source])

    def join(self, file_id: str, part_ids: Iterable[str]) -> Kept:
        """Keep the parts, one after the other, as one file. Raises as :meth:`put`, and 404 when a part is gone."""
        try:
            return self._write(file_id, (self.path(part).open("rb") for part in part_ids))
        except FileNotFoundError:
            raise ApiError(404, "a part of the upload is gone; begin the upload anew", code="part_not_found") from None

    def remove(self, file_ids: Iterable[str]) -> None:
        """Remove files; one that is not there is no error."""
        for file_id in file_ids:
            self.path(file_id).unlink(missing_ok=True)

    def ids(self) -> set[str]:
        """Every file that is older than an hour, whoever it belongs to."""
        before = time.time() - _ORPHAN_AGE_S
        if not self._folder.is_dir():
            return set()
        return {entry.name for entry in os.scandir(self._folder) if entry.stat().st_mtime < before}

    def sweep(self, names: Iterable[str]) -> None:
        """Remove what :meth:`ids` found and nobody owns, what was left half written included."""
        for name in names:
            (self._folder / Path(name).name).unlink(missing_ok=True)

    def _write(self, file_id: str, sources: Iterable[IO[bytes]]) -> Kept:
        target = self.path(file_id)
        partial = target.with_name(file_id + _PARTIAL)
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with partial.open("wb") as file:
                kept = self._copy(sources, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, target)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise ApiError(
                507, f"the server cannot keep the file: {error.strerror or 'its disk failed'}", code="disk_full"
            ) from error
        finally:
            partial.unlink(missing_ok=True)
        return kept

    def _copy(self, sources: Iterable[IO[bytes]], file: IO[bytes]) -> Kept:
        sha256, md5, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
        for source in sources:
            with source:
                while chunk := source.read(_CHUNK_BYTES):
                    size += len(chunk)
                    if size > self.max_bytes:
                        raise ApiError(
                            413,
                            f"the file is larger than {self.max_bytes:,} bytes, the most that this server takes",
                            code="file_too_large",
                            param="file",
                        )
                    file.write(chunk)
                    sha256.update(chunk)
                    md5.update(chunk)
        return Kept(size, sha256.hexdigest(), md5.hexdigest())
