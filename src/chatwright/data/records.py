"""The records in a file, each with the place where it stands: JSON lines, JSON, CSV, Parquet, text."""

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chatwright.data.files import MAX_LINE_BYTES, decoded, inner_suffix, numbered_lines, open_bytes
from chatwright.data.json_stream import json_values, parse_json
from chatwright.data.text_files import Sampling, text_documents
from chatwright.errors import InputError

_BATCH_ROWS = 512


@dataclass(frozen=True, slots=True)
class Record:
    """One record as it stands in a file.

    Attributes:
        file: path or name of the source.
        number: line in the file, from 1; the row, where the file has no lines.
        value: the record; a row already, where the source makes rows; None where it could not be read.
        error: why it could not be read.
    """

    file: str
    number: int
    value: Any
    error: str = ""

    @property
    def place(self) -> str:
        """``file:line``."""
        return f"{self.file}:{self.number}"


@dataclass(frozen=True, slots=True)
class Reading:
    """How files are read: whether encodings are mended, and what a document of a text file is."""

    repair: bool = False
    sampling: Sampling = "section"


def read_records(path: Path, reading: Reading) -> Iterator[Record]:
    """Every record of one file, in order.

    Raises:
        InputError: the file cannot be read at all, or not beyond some point.
    """
    return _READERS[inner_suffix(path)](path, reading)


def _json_lines(path: Path, reading: Reading) -> Iterator[Record]:
    with open_bytes(path) as file:
        for number, line in numbered_lines(file):
            if line is None:
                yield Record(str(path), number, None, "the line is longer than 64 MiB")
            elif line.strip():
                yield _json_record(path, number, line, reading)


def _json_record(path: Path, number: int, line: bytes, reading: Reading) -> Record:
    try:
        return Record(str(path), number, parse_json(decoded(line, repair=reading.repair)))
    except InputError as error:
        return Record(str(path), number, None, str(error))


def _json(path: Path, reading: Reading) -> Iterator[Record]:
    """A list of records, one record, or, as often under this name, JSON lines."""
    with open_bytes(path) as file:
        head = b"\n"
        while head.isspace():
            head = file.readline(MAX_LINE_BYTES)
    if _is_object(head):
        yield from _json_lines(path, reading)
        return
    with open_bytes(path) as file:
        for number, value in json_values(file, path):
            yield Record(str(path), number, value)


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _csv(path: Path, reading: Reading) -> Iterator[Record]:
    csv.field_size_limit(1 << 30)  # its default refuses texts beyond 128 KiB
    with open_bytes(path) as file:
        lines = (_csv_line(line, number, path, reading) for number, line in numbered_lines(file))
        delimiter = "\t" if inner_suffix(path) == ".tsv" else ","
        rows = csv.reader(lines, delimiter=delimiter, strict=False)
        try:
            header = next(rows, [])
            start = rows.line_num
            for fields in rows:
                number, start = start + 1, rows.line_num
                if len(fields) == len(header):
                    yield Record(str(path), number, dict(zip(header, fields, strict=True)))
                elif fields:
                    yield Record(str(path), number, None, f"{len(fields)} fields, where the header has {len(header)}")
        except csv.Error as error:
            raise InputError(f"{path}:{rows.line_num} cannot be read as CSV: {error}") from error


def _csv_line(line: bytes | None, number: int, path: Path, reading: Reading) -> str:
    if line is None:
        raise InputError(f"{path}:{number} is longer than 64 MiB; is it CSV?")
    try:
        return decoded(line, repair=reading.repair)
    except InputError as error:  # a field may go on over lines, so there is no telling where the next record starts
        raise InputError(f"{path}:{number}: {error}") from error


def _parquet(path: Path, reading: Reading) -> Iterator[Record]:
    try:
        import pyarrow
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise InputError(f"{path} needs pyarrow to be read: pip install 'chatwright[hf]'") from error
    number = 0
    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_BATCH_ROWS):
                for value in batch.to_pylist():
                    number += 1
                    yield Record(str(path), number, value)
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read after row {number}: {error}") from error


def _text(path: Path, reading: Reading) -> Iterator[Record]:
    with open_bytes(path) as file:
        for number, text in text_documents(file, reading.sampling, repair=reading.repair):
            if isinstance(text, InputError):
                yield Record(str(path), number, None, str(text))
            else:
                yield Record(str(path), number, {"text": text})


_READERS: Mapping[str, Callable[[Path, Reading], Iterator[Record]]] = {
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".json": _json,
    ".csv": _csv,
    ".tsv": _csv,
    ".parquet": _parquet,
    ".txt": _text,
    ".md": _text,
}
TEXT_SUFFIXES = (".txt", ".md")
ROW_SUFFIXES = tuple(suffix for suffix in _READERS if suffix not in TEXT_SUFFIXES)
