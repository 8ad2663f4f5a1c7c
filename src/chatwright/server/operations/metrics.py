"""Figures for Prometheus. With several worker processes they are kept in files, and a scrape adds them up."""

import os
import tempfile
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from chatwright.server.backends.base import TokenUsage

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_SHARED_DIR: Final = "PROMETHEUS_MULTIPROC_DIR"  # prometheus_client looks for it when it is imported

_registry = CollectorRegistry()
ProcessCollector(registry=_registry)
PlatformCollector(registry=_registry)

requests = Counter(
    "chatwright_http_requests", "Requests by route and status.", ("method", "route", "status"), registry=_registry
)
first_byte = Histogram(
    "chatwright_http_first_byte_seconds",
    "From a request to the first byte of its answer.",
    ("method", "route"),
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
    registry=_registry,
)
duration = Histogram(
    "chatwright_http_duration_seconds",
    "From a request to the end of its answer; a stream ends with its last event.",
    ("method", "route"),
    buckets=(0.005, 0.025, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600),
    registry=_registry,
)
open_requests = Gauge(
    "chatwright_http_open_requests", "Requests in progress.", registry=_registry, multiprocess_mode="livesum"
)
answers = Counter("chatwright_answers", "Answers of a model that ended.", ("model",), registry=_registry)
open_answers = Gauge(
    "chatwright_open_answers",
    "Answers of a model in progress.",
    ("model",),
    registry=_registry,
    multiprocess_mode="livesum",
)
tokens = Counter("chatwright_tokens", "Tokens read and written.", ("model", "kind"), registry=_registry)


def answer_began(model: str) -> None:
    """A model begins an answer; :func:`answer_ended` follows."""
    open_answers.labels(model).inc()


def answer_ended(model: str, usage: TokenUsage) -> None:
    """An answer is over, however it ended."""
    open_answers.labels(model).dec()
    answers.labels(model).inc()
    tokens.labels(model, "prompt").inc(usage.prompt)
    tokens.labels(model, "cached").inc(usage.cached)
    tokens.labels(model, "completion").inc(usage.completion)


def exposition() -> bytes:
    """Everything in Prometheus' text form."""
    if _SHARED_DIR not in os.environ:
        return generate_latest(_registry)
    together = CollectorRegistry()
    MultiProcessCollector(together)  # type: ignore[no-untyped-call]
    return generate_latest(together)


def share_between_processes() -> "tempfile.TemporaryDirectory[str]":
    """Make processes that are started from now on keep their figures together; the folder must outlive them."""
    folder = tempfile.TemporaryDirectory(prefix="chatwright-metrics-")
    os.environ[_SHARED_DIR] = str(Path(folder.name))
    return folder
