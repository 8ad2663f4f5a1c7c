"""The entries of an uploaded file: JSON, JSON lines, or a ZIP with files of conversations. Assumes the worst of it."""

import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, Final

from chatwright.data.json_stream import Readable, json_values
from chatwright.errors import InputError
from chatwright.server.portability.report import Skipped

MAX_UNPACKED_BYTES: Final = 2 << 30
MAX_RATIO: Final = 100  # text shrinks to a tenth; what shrinks to less than a hundredth is a bomb
MAX_ENTRY_CHARS: Final = 8 << 20  # as objects it takes ten to twenty times that memory, twice where it just passes
MAX_DIRECTORY_BYTES: Final = 16 << 20
_RATIO_MATTERS_FROM: Final = 16 << 20
_SHARD = re.compile(r"(?:.*/)?conversations(?:[-_](\d{1,6}))?\.jsonl?", re.IGNORECASE | re.DOTALL)
_END_RECORD = struct.Struct("<4s4H2LH")
_END_MARK: Final = b"PK\x05\x06"
_ZIP64_LOCATOR: Final = b"PK\x06\x07"


class Archive:
    """An uploaded file, read entry by entry. Use it in a thread.

    Attributes:
        total_bytes: of JSON, as far as the file says.
        read_bytes: of JSON, so far.

    Args:
        path: of the file.

    Raises:
        InputError: nothing can be imported from it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stack = ExitStack()
        self._zip: zipfile.ZipFile | None = None
        self._shards: list[zipfile.ZipInfo] = []
        self.read_bytes = 0
        self.total_bytes = path.stat().st_size
        with path.open("rb") as file:
            is_zip = file.read(4) in (b"PK\x03\x04", _END_MARK)
            if is_zip:
                _check_directory(file)
        if is_zip:
            self._open_zip()

    def _open_zip(self) -> None:
        try:
            self._zip = self._stack.enter_context(zipfile.ZipFile(self._path))
        except (zipfile.BadZipFile, UnicodeDecodeError, NotImplementedError) as error:
            raise InputError("the ZIP file is damaged") from error
        self._shards = sorted((info for info in self._zip.infolist() if _SHARD.fullmatch(info.filename)), key=_place)
        if not self._shards:
            raise InputError(
                "the ZIP file has no conversations.json; choose the file that ChatGPT or Chatwright exports"
            )
        self.total_bytes = sum(info.file_size for info in self._shards)
        if self.total_bytes > MAX_UNPACKED_BYTES:
            raise InputError("the ZIP file holds more than 2 GiB of conversations; import it in parts")

    def entries(self, skipped: Skipped) -> Iterator[Any]:
        """Every entry, one at a time. A part that cannot be read is counted, and the next is tried.

        Raises:
            InputError: what is unpacked is too much.
        """
        if self._zip is None:
            with self._path.open("rb") as file:
                yield from self._values(file, None, skipped)
            return
        for info in self._shards:
            if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                skipped.count("unreadable_file")  # encrypted, or a method whose memory the file itself decides
                continue
            try:
                with self._zip.open(info) as file:
                    yield from self._values(file, info, skipped)
            except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, struct.error, ValueError) as error:
                if isinstance(error, InputError):
                    raise
                skipped.count("unreadable_file")

    def _values(self, file: IO[bytes], info: zipfile.ZipInfo | None, skipped: Skipped) -> Iterator[Any]:
        metered = _Metered(file, self, info)
        values = json_values(metered, Path("conversations"), max_characters=MAX_ENTRY_CHARS)
        while True:
            try:
                _, value = next(values)
            except StopIteration:
                return
            except InputError as error:
                if metered.refused is error:
                    raise
                skipped.count("unreadable_file")  # what follows a broken place cannot be told apart
                return
            yield value

    def close(self) -> None:
        """Close the file."""
        self._stack.close()


class _Metered(Readable):
    """A file that refuses to be a bomb: sizes are counted as they come, whatever the ZIP's directory claims."""

    def __init__(self, file: IO[bytes], archive: Archive, info: zipfile.ZipInfo | None) -> None:
        self._file = file
        self._archive = archive
        self._packed_bytes = info.compress_size if info else None
        self._read_bytes = 0
        self.refused: InputError | None = None

    def read(self, size: int, /) -> bytes:
        data = self._file.read(size)
        self._read_bytes += len(data)
        self._archive.read_bytes += len(data)
        if self._archive.read_bytes > MAX_UNPACKED_BYTES:
            self.refused = InputError("the file holds more than 2 GiB of conversations; import it in parts")
        elif (
            self._packed_bytes is not None
            and self._read_bytes > _RATIO_MATTERS_FROM
            and self._read_bytes > MAX_RATIO * self._packed_bytes
        ):
            self.refused = InputError("the ZIP file unpacks to far more than conversations would; it is not imported")
        if self.refused:
            raise self.refused
        return data


def _place(info: zipfile.ZipInfo) -> tuple[int, str]:
    """Shards in the order of their numbers."""
    found = _SHARD.fullmatch(info.filename)
    assert found is not None
    return int(found[1] or -1), info.filename


def _check_directory(file: IO[bytes]) -> None:
    """Refuse a ZIP whose directory alone would fill the memory: Python reads all of it at once.

    Raises:
        InputError: it is too large, or not there.
    """
    size = file.seek(0, 2)
    file.seek(max(0, size - (1 << 16) - _END_RECORD.size - 20))
    tail = file.read()
    at = tail.rfind(_END_MARK)
    if at < 0 or len(tail) < at + _END_RECORD.size:
        raise InputError("the ZIP file is damaged or cut short")
    directory_bytes = _END_RECORD.unpack_from(tail, at)[5]
    if directory_bytes > MAX_DIRECTORY_BYTES or tail[max(0, at - 20) : at].startswith(_ZIP64_LOCATOR):
        raise InputError("the ZIP file has too many files; put only the files conversations*.json into one")
