"""Our description of the API is true: whatever is sent, the answer is one that it documents, and no bug."""

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from chatwright.server.app import create_app
from chatwright.server.settings import Limits, ServerSettings
from tests.server.conftest import live

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
UNLIMITED = Limits(requests_per_minute=None, requests_per_hour=None, concurrent_generations=None)

schema = schemathesis.openapi.from_dict(create_app(ServerSettings()).openapi())


@pytest.fixture(scope="module")
def address(tiny_model_dir: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server whose one user is an administrator, so that every route can be tried to its end."""
    given = ServerSettings(
        home=tmp_path_factory.mktemp("home"),
        model=str(tiny_model_dir),
        served_model_name="tiny",
        device="cpu",
        dtype="float32",
        models_memory_bytes=256 << 20,
        accounts=False,
        limits=UNLIMITED,
        metrics="open",
    )
    with live(given) as running:
        deadline = time.monotonic() + 60
        while httpx.get(f"{running}/health").status_code != 200:
            assert time.monotonic() < deadline, "the model was not loaded"
        yield running


@schema.parametrize()
@settings(
    max_examples=4,
    deadline=None,
    derandomize=True,  # the same cases in every run: what fails here fails on every machine
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_answers_are_those_that_are_documented(case: Any, address: str) -> None:
    response = case.call(base_url=address, timeout=30)
    case.validate_response(response, checks=CHECKS)
