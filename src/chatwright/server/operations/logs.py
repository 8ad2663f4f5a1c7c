"""Logs by structlog: lines for people on a terminal, JSON elsewhere; never what people write, nor a secret.

A traceback shows where, and the type of the error. Its message may quote what a person wrote (``invalid literal for
int(): 'my diagnosis'``), so it is left out unless the error is one whose words are ours or the system's.
"""

import logging
import logging.config
import sys
import traceback
from collections.abc import Iterator
from typing import Any, Final, Literal

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from chatwright.errors import ChatwrightError

Format = Literal["auto", "text", "json"]
_SAFE: Final = (ChatwrightError, OSError, ImportError, MemoryError)


def logging_config(level: str, format: Format) -> dict[str, Any]:
    """What :func:`logging.config.dictConfig` takes; plain data, so that worker processes can be given it.

    Args:
        level: of Chatwright's own messages. Libraries speak from ``warning`` on, whatever it is: below that some of
            them write headers and rows.
        format: ``auto`` is text on a terminal and JSON elsewhere.
    """
    as_json = format == "json" or (format == "auto" and not sys.stderr.isatty())
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"structured": {"()": "chatwright.server.operations.logs.formatter", "as_json": as_json}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "structured"}},
        "root": {"handlers": ["stderr"], "level": "WARNING"},
        "loggers": {"chatwright": {"level": level.upper()}},
    }


def configure_logging(level: str, format: Format) -> None:
    """Log to stderr from now on."""
    logging.config.dictConfig(logging_config(level, format))


def formatter(as_json: bool) -> structlog.stdlib.ProcessorFormatter:
    """Renders a record of the standard library, with what is bound to the request (its id) beside it."""
    before: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _plain_exception,
    ]
    renderer: Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if as_json
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), pad_event_to=0, exception_formatter=structlog.dev.plain_traceback
        )
    )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=before,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
    )


def _plain_exception(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    info = event.pop("exc_info", None)
    record = event.get("_record")
    if record is not None:
        record.exc_info = record.exc_text = None  # or it would be rendered a second time, with its message
    error = info[1] if isinstance(info, tuple) else info
    if isinstance(error, BaseException):
        event["exception"] = "".join(_lines(error)).rstrip()
    return event


def _lines(error: BaseException) -> Iterator[str]:
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None:
        yield from _lines(before)
        yield "which led to\n"
    yield from traceback.format_tb(error.__traceback__)
    message = f": {error}" if isinstance(error, _SAFE) else ""
    yield f"{type(error).__qualname__}{message}\n"
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            yield from _lines(part)
