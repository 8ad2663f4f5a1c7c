"""What deploy/ says is what the program understands."""

import re
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from chatwright.cli.app import app
from chatwright.server.settings import ServerSettings

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "deploy"
SETTINGS = {f"CHATWRIGHT_{name}".upper() for name in ServerSettings.model_fields} | {"DATABASE_URL", "REDIS_URL"}
PAGES = [*DEPLOY.iterdir(), ROOT / "docs" / "how-to" / "serve.md", ROOT / "docs" / "how-to" / "serve.zh-CN.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_variable_that_is_named_is_a_setting(page: Path) -> None:
    named = set(re.findall(r"\bCHATWRIGHT_[A-Z_]+|\b(?:DATABASE|REDIS)_URL\b", page.read_text("utf-8")))
    assert named
    assert named <= SETTINGS


def test_the_compose_file_starts_what_the_server_needs() -> None:
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))["services"]
    server = services["chatwright"]
    assert server["environment"].keys() <= SETTINGS
    assert server["depends_on"].keys() == services.keys() - {"chatwright"}
    assert all("healthcheck" in services[name] for name in server["depends_on"])
    assert all(port.startswith("127.0.0.1:") for port in server["ports"])  # a proxy with HTTPS stands before it
    assert (ROOT / "deploy" / server["build"]["dockerfile"].removeprefix("deploy/")).exists()


@pytest.mark.parametrize("variable", ["CHATWRIGHT_PUBLIC_URL", "CHATWRIGHT_MODEL", "CHATWRIGHT_SIGN_UP"])
def test_what_compose_leaves_empty_counts_as_absent(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "")
    assert CliRunner().invoke(app, ["serve", "--print-config"]).exit_code == 0


def test_commands_of_the_unit_and_the_image_exist() -> None:
    unit = (DEPLOY / "chatwright.service").read_text("utf-8")
    image = (DEPLOY / "Dockerfile").read_text("utf-8")
    assert "ExecStart=/opt/chatwright/bin/chatwright serve\n" in unit
    assert 'CMD ["serve"]' in image
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", image, re.MULTILINE)
    assert [name for line in copied for name in line.split() if not (ROOT / name).exists()] == []


def test_the_image_builds_the_page_anew_and_gets_nothing_secret() -> None:
    ignored = (ROOT / ".dockerignore").read_text("utf-8").split("\n")
    assert ignored[0] == "*"  # what is not named stays outside: homes, databases, .env
    assert "src/chatwright/server/page/dist" in ignored


def test_the_proxy_does_not_hold_streams_back_and_tells_who_calls() -> None:
    text = (DEPLOY / "nginx.conf").read_text("utf-8")
    assert "proxy_buffering off;" in text
    assert "X-Forwarded-For $remote_addr;" in text  # not what a client wrote into it
    assert "location = /metrics { return 404; }" in text
