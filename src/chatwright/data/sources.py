"""Rows of training data from where they are: files, folders, hubs, what Chatwright makes itself, and mixtures of them.

Everything streams: a row is read, understood, cleaned and handed on before the next one is read.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from chatwright.data.builtin import PREFIX, builtin_rows
from chatwright.data.clean import Cleaner
from chatwright.data.contamination import EvaluationTexts
from chatwright.data.dataset_info import FILE_NAME, entry_settings, is_dataset_info
from chatwright.data.dedup import duplicates
from chatwright.data.finding import find_files, hub_name
from chatwright.data.formats import KIND_KEYS, Kinds, parse_row
from chatwright.data.hub import hub_records
from chatwright.data.mixture import mixed
from chatwright.data.records import Reading, Record, read_records
from chatwright.data.renaming import renamed
from chatwright.data.report import DataReport
from chatwright.data.row_texts import is_empty, with_texts
from chatwright.data.rows import Row, Text
from chatwright.data.settings import DataSettings
from chatwright.errors import ConfigError, InputError

_LOG = logging.getLogger(__name__)
_PATIENCE = 1000  # lines before a share of malformed ones says anything

Redact = Callable[[str], str]
"""Takes personal data out of a text; :func:`chatwright.safety.pii.redact` is ours."""


def read_rows(
    settings: DataSettings, *, kinds: Kinds, report: DataReport | None = None, redact: Redact | None = None
) -> Iterator[Row]:
    """The rows that ``settings`` describe, in an order that depends on nothing else.

    Args:
        settings: where they come from and what is done to them.
        kinds: the kinds of rows that are wanted; where a record can mean several things, they decide.
        report: is filled while rows are drawn; without one, lines that could not be used are logged.
        redact: what ``pii: true`` applies to every text.

    Raises:
        ConfigError: the settings contradict themselves or have an option without effect.
        InputError: a source is missing or unreadable, a row is of a kind that is not wanted, or more than
            ``max_malformed`` of the lines are unusable. Raised while rows are drawn.
        DownloadError: a hub's dataset cannot be fetched.
    """
    if settings.weight is not None:
        raise ConfigError(f"weight of {settings.label} has no effect: it is no part of a mixture")
    if redact is None and _wants_redaction(settings):
        raise ConfigError(f"pii is set for {settings.label}, but nothing here can find personal data; leave it out")
    own = DataReport() if report is None else report
    for row in _rows(settings, kinds, own, redact):
        own.kept += 1
        yield row
    if report is None and own.malformed:
        _LOG.warning("%s: %d of %d lines are unusable: %s", settings.label, own.malformed, own.read, own.places[0])


def source_records(settings: DataSettings) -> Iterator[Mapping[str, Any] | Row]:
    """The records of a source as they stand, under our names where ``columns`` says so; rows where it makes rows.

    For data of no known format, evaluation tasks above all; so every line must be usable, and nothing is cleaned.

    Raises:
        InputError: a source is missing or unreadable, or a line is not an object.
        ConfigError: ``settings`` is a mixture.
    """
    if not isinstance(settings.path, str):
        raise ConfigError("a mixture has no records of its own; read its parts")
    report = DataReport()
    for record in islice(_records(settings, (Text,), report), settings.limit):
        if record.error or not isinstance(record.value, Mapping | Row):
            raise InputError(f"{record.place}: {record.error or 'it must be an object with named values'}")
        yield renamed(record.value, settings)


def _rows(settings: DataSettings, kinds: Kinds, report: DataReport, redact: Redact | None) -> Iterator[Row]:
    if isinstance(settings.path, str):
        rows = _parsed(_resolved(settings), kinds, report)
    else:
        weights = [part.weight for part in settings.path if part.weight is not None]
        parts = [partial(_rows, part, kinds, report, redact) for part in settings.path]
        rows = mixed(parts, weights or None, weigh_by=settings.weigh_by, stopping=settings.stopping)
    return islice(_refined(rows, settings, report, redact), settings.limit)


def _refined(rows: Iterator[Row], settings: DataSettings, report: DataReport, redact: Redact | None) -> Iterator[Row]:
    """Rows mended, filtered, without personal data, without duplicates: in this order, so that what has become equal
    by mending counts as equal, and nothing of the evaluation data hides behind a placeholder."""
    cleaner = Cleaner(settings.clean, report) if settings.clean else None
    evaluation = EvaluationTexts(_evaluation_items(settings.contamination)) if settings.contamination else None
    with duplicates(settings.dedup) if settings.dedup else nullcontext() as is_duplicate:
        for row in rows:
            kept = cleaner(row) if cleaner else row
            if kept is None:
                continue
            if evaluation is not None and kept in evaluation:
                report.dropped["in the evaluation data"] += 1
                continue
            if settings.pii:
                assert redact is not None
                scrubbed = with_texts(kept, redact)
                report.changed["redacted"] += scrubbed is not kept
                kept = scrubbed
            if is_duplicate is not None and is_duplicate(kept):
                report.duplicates += 1
                continue
            yield kept


def _evaluation_items(sources: Iterable[DataSettings]) -> Iterator[Mapping[str, Any] | Row]:
    for source in sources:
        if isinstance(source.path, str):
            yield from source_records(source)
        else:
            yield from _evaluation_items(source.path)


def _resolved(settings: DataSettings) -> DataSettings:
    """Settings that lead to the data itself, where they lead to a ``dataset_info.json``."""
    assert isinstance(settings.path, str)
    path = Path(settings.path).expanduser()
    info = next((file for file in (path, path / FILE_NAME) if is_dataset_info(file)), None)
    return settings if info is None else entry_settings(info, settings)


def _parsed(settings: DataSettings, kinds: Kinds, report: DataReport) -> Iterator[Row]:
    read = malformed = 0
    for record in _records(settings, kinds, report):
        read += 1
        report.read += 1
        try:
            row = _row(record, settings, kinds)
        except InputError as error:
            malformed += 1
            report.add_malformed(record.place, str(error))
            if read >= _PATIENCE and malformed > settings.max_malformed * read:
                raise _too_many(settings, malformed, read, report) from error
            continue
        if not isinstance(row, kinds):
            raise InputError(f"{record.place} is {_article(type(row))}; needed here is {_wanted(kinds)}")
        if is_empty(row):
            report.dropped["empty"] += 1
            continue
        yield row
    if malformed > settings.max_malformed * read:
        raise _too_many(settings, malformed, read, report)


def _row(record: Record, settings: DataSettings, kinds: Kinds) -> Row:
    if record.error:
        raise InputError(record.error)
    if isinstance(record.value, Row):
        return record.value
    return parse_row(renamed(record.value, settings), kinds, settings.format)


def _records(settings: DataSettings, kinds: Kinds, report: DataReport) -> Iterator[Record]:
    path = settings.path
    assert isinstance(path, str)
    if path.startswith(PREFIX):
        _refuse(settings, ("name", "split", "revision", "format", "columns", "tags", "sample_by"), "built-in data")
        yield from (Record(path, number, row) for number, row in enumerate(builtin_rows(path[len(PREFIX) :]), 1))
    elif name := hub_name(path):
        _refuse(settings, ("sample_by",), "a hub's dataset")
        yield from hub_records(name, settings)
    else:
        _refuse(settings, ("name", "revision"), "local files")
        yield from _file_records(settings, kinds, report)


def _file_records(settings: DataSettings, kinds: Kinds, report: DataReport) -> Iterator[Record]:
    assert isinstance(settings.path, str)
    reading = Reading(
        repair=settings.clean is not None and settings.clean.repair, sampling=settings.sample_by or "section"
    )
    for file in find_files(settings.path, split=settings.split, with_texts=Text in kinds, report=report):
        record = None
        for record in read_records(file, reading):
            yield record
        if record is None:
            report.add_note(f"{file} is empty")


def _wants_redaction(settings: DataSettings) -> bool:
    return settings.pii or (not isinstance(settings.path, str) and any(map(_wants_redaction, settings.path)))


def _refuse(settings: DataSettings, keys: tuple[str, ...], what: str) -> None:
    defaults = DataSettings(path="-")
    for key in keys:
        if getattr(settings, key) != getattr(defaults, key):
            raise ConfigError(f"{key} of {settings.label} has no effect on {what}; leave it out")


def _too_many(settings: DataSettings, malformed: int, read: int, report: DataReport) -> InputError:
    return InputError(
        f"{settings.label}: {malformed} of {read} lines are unusable, more than max_malformed = "
        f"{settings.max_malformed:.2%} allows. The first: {'; '.join(report.places[:3])}"
    )


def _article(kind: type) -> str:
    return f"{'an' if kind.__name__[0] in 'AEIOU' else 'a'} {kind.__name__.lower()} row"


def _wanted(kinds: Kinds) -> str:
    return ", or ".join(f"{_article(kind)} ({KIND_KEYS[kind]})" for kind in kinds)
