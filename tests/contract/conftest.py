"""One live server for everything that speaks to it as the world does: over a socket, with other people's clients."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from openai import AsyncOpenAI, OpenAI

from chatwright.server.settings import Limits, ServerSettings
from tests.conftest import write_tiny_model
from tests.server.conftest import live

UNLIMITED = Limits(requests_per_minute=None, requests_per_hour=None, concurrent_generations=None)


CONTEXT = 2048


@pytest.fixture(scope="session")
def long_model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with a context in which its letters make a description of tools."""
    folder = tmp_path_factory.mktemp("models") / "tiny-long"
    write_tiny_model(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"max_position_embeddings": CONTEXT}))
    return folder


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, long_model_dir: Path) -> Iterator[str]:
    """The address of a server without accounts that serves the tiny model as ``tiny``."""
    settings = ServerSettings(
        home=tmp_path_factory.mktemp("contract"),
        model=str(long_model_dir),
        served_model_name="tiny",
        device="cpu",
        dtype="float32",
        models_memory_bytes=256 << 20,
        accounts=False,
        limits=UNLIMITED,
    )
    with live(settings) as address:
        yield address


@pytest.fixture
def openai(server: str) -> Iterator[OpenAI]:
    """The official client; it repeats nothing, so that every error is seen."""
    with OpenAI(base_url=f"{server}/v1", api_key="not needed", max_retries=0, timeout=60) as client:
        yield client


@pytest.fixture
def async_openai(server: str) -> AsyncOpenAI:
    """The same for asynchronous programs."""
    return AsyncOpenAI(base_url=f"{server}/v1", api_key="not needed", max_retries=0, timeout=60)
