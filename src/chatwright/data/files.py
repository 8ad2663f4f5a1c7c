"""Bytes of files, whatever they are packed in, as lines of text with their numbers."""

import bz2
import codecs
import gzip
import io
import lzma
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from chatwright.errors import InputError

MAX_LINE_BYTES = 64 << 20
COMPRESSIONS = (".gz", ".xz", ".bz2", ".zst")

_CHINESE = re.compile("[\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]")
_WIDE_BOMS = (
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16: its mark starts with that of UTF-16
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def inner_suffix(path: Path) -> str:
    """The extension that says what is in a file, without that of a compression: ``.jsonl`` of ``a.jsonl.gz``."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in COMPRESSIONS:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


@contextmanager
def open_bytes(path: Path) -> Iterator[io.BufferedReader]:
    """A file's content, decompressed, without a UTF-8 byte order mark.

    Raises:
        InputError: it cannot be opened or read, is damaged, or its compression is not supported here.
    """
    try:
        with _opened(path) as raw:
            file = cast(io.BufferedReader, raw)  # the decompressors' readers have the same methods
            if file.peek(3)[:3] == codecs.BOM_UTF8:
                file.read(3)
            yield file
    except (EOFError, lzma.LZMAError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path} is damaged or cut short ({error}); fetch or make it again") from error
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error


def _opened(path: Path) -> IO[bytes]:
    match path.suffix.lower():
        case ".gz":
            return cast(IO[bytes], gzip.open(path))
        case ".xz":
            return cast(IO[bytes], lzma.open(path))
        case ".bz2":
            return cast(IO[bytes], bz2.open(path))
        case ".zst":
            return _open_zstd(path)
    return path.open("rb")


def _open_zstd(path: Path) -> IO[bytes]:
    try:
        import pyarrow
    except ImportError as error:
        raise InputError(f"{path} needs pyarrow to be read: pip install 'chatwright[hf]'") from error
    return cast(IO[bytes], io.BufferedReader(pyarrow.input_stream(str(path), compression="zstd")))


def numbered_lines(file: io.BufferedReader) -> Iterator[tuple[int, bytes | None]]:
    """Lines with their numbers from 1; None in place of a line longer than 64 MiB, which is never held in memory."""
    wide = next((name for mark, name in _WIDE_BOMS if file.peek(4)[: len(mark)] == mark), None)
    if wide:
        for number, text in enumerate(io.TextIOWrapper(file, encoding=wide), 1):
            yield number, text.encode()
        return
    number = 0
    while line := file.readline(MAX_LINE_BYTES):
        number += 1
        if len(line) < MAX_LINE_BYTES or line.endswith(b"\n"):
            yield number, line
            continue
        while (rest := file.readline(MAX_LINE_BYTES)) and not rest.endswith(b"\n"):
            pass
        yield number, None


def decoded(line: bytes, *, repair: bool) -> str:
    """Text from bytes: UTF-8, or with ``repair`` also the encodings that Windows wrote.

    Raises:
        InputError: it is not UTF-8; the message says at which byte, and what to do.
    """
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        if repair:
            return _decoded_otherwise(line)
        raise InputError(
            f"not UTF-8 (byte {error.start + 1} is 0x{line[error.start]:02x}); "
            "save the file as UTF-8, or set clean: true to have it mended"
        ) from error


def _decoded_otherwise(line: bytes) -> str:
    """GB18030 where that gives mostly Chinese, else Windows' Western encoding, where stray UTF-8 stays what it is."""
    try:
        text = line.decode("gb18030")
    except UnicodeDecodeError:
        text = ""
    foreign = sum(char > "\x7f" for char in text)
    if text and len(_CHINESE.findall(text)) > 0.9 * foreign:
        return text
    return line.decode("utf-8", "windows_1252_for_strays")


def _stray_bytes(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    stray = bytes(error.object[error.start : error.end])
    return stray.decode("cp1252", "replace"), error.end


codecs.register_error("windows_1252_for_strays", _stray_bytes)
