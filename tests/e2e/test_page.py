"""The page in a real browser: Playwright's tests in ``web/e2e``, against a real server with the tiny model."""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hatch_build import npm

from chatwright.server.page.routes import DIST
from tests.server.real_servers import free_port
from tests.server.serve_process import ServeProcess

ROOT = Path(__file__).parents[2]
MODULES = ROOT / "web" / "node_modules"
BROWSERS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
LONGEST_S = 1200  # four minutes where nothing else runs


@pytest.fixture
def chromium() -> str:
    """The browser of this machine; no other is fetched."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip("there is no Chromium on this machine: install it, or name it in the variable CHROMIUM")
    return found


@pytest.fixture
def server(tmp_path: Path, tiny_model_dir: Path) -> Iterator[ServeProcess]:
    """A fresh server that anybody may join and that limits nobody, since the tests are many people at one address."""
    if not (DIST / "index.html").is_file():
        pytest.skip("the page is not built: run `make page`")
    options = {
        "--home": str(tmp_path / "home"),
        "--port": str(free_port()),
        "--model": str(tiny_model_dir),
        "--served-model-name": "tiny",
        "--device": "cpu",
        "--dtype": "float32",
    }
    environment = {
        "CHATWRIGHT_SIGN_UP": "open",
        "CHATWRIGHT_LIMITS__REQUESTS_PER_MINUTE": "none",
        "CHATWRIGHT_LIMITS__REQUESTS_PER_HOUR": "none",
        "OMP_NUM_THREADS": "1",
    }
    process = ServeProcess([part for option in options.items() for part in option], environment, tmp_path / "log")
    try:
        yield process.wait_until_ready()
    finally:
        process.stop()


def test_the_page_in_a_browser(server: ServeProcess, chromium: str, request: pytest.FixtureRequest) -> None:
    """``make test ARGS="tests/e2e/test_page.py"``; the pictures of failures lie in ``web/test-results``."""
    done = npm(
        ROOT,
        *("run", "--silent", "e2e"),
        environment={"CHATWRIGHT_ADDRESS": server.address, "CHROMIUM": chromium, "FORCE_COLOR": "0"},
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
    )
    assert done.returncode == 0, readable(done.stdout + done.stderr)


def test_the_pages_units() -> None:
    """Vitest: what needs no server and no whole browser."""
    if not MODULES.is_dir():
        pytest.skip("the packages of the page are not installed: run `make page`")
    done = npm(
        ROOT, *("run", "--silent", "test"), environment={"NO_COLOR": "1"}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, readable(done.stdout + done.stderr)


def readable(output: str) -> str:
    """What went wrong, without the list of all that went right and without the terminal's colours."""
    plain = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", output)
    return "\n".join(line for line in plain.splitlines() if not line.lstrip().startswith(("✓", "ok ")))
