"""A ZIP that is sent while it is made: nothing of it lies on disk, and little of it in memory."""

import zipfile
from contextlib import suppress
from datetime import UTC, datetime
from types import TracebackType
from typing import IO, Self, cast


class ZipStream:
    """Collects the bytes of a ZIP as files are added; :meth:`take` gives what there is.

    Compressing takes time: use it in a thread, by one at a time.
    """

    def __init__(self) -> None:
        self._sink = _Sink()
        self._zip = zipfile.ZipFile(cast(IO[bytes], self._sink), "w", zipfile.ZIP_DEFLATED)
        self._time = datetime.now(UTC).timetuple()[:6]

    def add(self, name: str, data: bytes) -> bytes:
        """Add a whole file; what of the ZIP has become ready."""
        self._zip.writestr(self._info(name), data)
        return self.take()

    def open(self, name: str) -> IO[bytes]:
        """A file that is written in parts; close it before the next is begun."""
        return self._zip.open(self._info(name), "w")

    def take(self) -> bytes:
        """What has become ready since the last time."""
        return self._sink.take()

    def finish(self) -> bytes:
        """The end of the ZIP."""
        self._zip.close()
        return self.take()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(ValueError):  # a file in it was still open: whoever wrote it has failed
            self._zip.close()

    def _info(self, name: str) -> zipfile.ZipInfo:
        info = zipfile.ZipInfo(name, self._time)
        info.compress_type = zipfile.ZIP_DEFLATED
        info.external_attr = 0o600 << 16
        return info


class _Sink:
    """Where the ZIP writes to: bytes wait here until they are sent."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def take(self) -> bytes:
        data = b"".join(self._parts)
        self._parts.clear()
        return data
