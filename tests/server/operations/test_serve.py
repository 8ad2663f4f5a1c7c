"""``chatwright serve`` as a process: where its settings come from, how it ends, and what survives ``kill -9``."""

import asyncio
import json
import logging
import os
import signal
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from typer.testing import CliRunner

from chatwright.cli.app import app
from chatwright.server.settings import ServerSettings
from tests.server.real_servers import free_port
from tests.server.serve_process import ServeProcess

Start = Callable[..., ServeProcess]


@pytest.fixture
def start(tiny_model_dir: Path, tmp_path: Path) -> Iterator[Start]:
    """``start("--no-accounts", CHATWRIGHT_X="y")``: a server with the tiny model, always in the same home."""
    started: list[ServeProcess] = []

    def start_(*arguments: str, **environment: str) -> ServeProcess:
        usual = ["--home", str(tmp_path / "home"), "--port", str(free_port()), "--device", "cpu", "--dtype", "float32"]
        model = [] if "CHATWRIGHT_ENGINE_URL" in environment else ["--model", str(tiny_model_dir)]
        running = ServeProcess(
            [*usual, *model, "--served-model-name", "tiny", *arguments], environment, tmp_path / "log"
        )
        started.append(running)
        return running.wait_until_ready()

    yield start_
    for running in started:
        if running.process.poll() is None:
            running.process.terminate()
    for running in started:
        try:
            running.process.wait(30)
        except subprocess.TimeoutExpired:
            running.kill()


@pytest.fixture(autouse=True)
def logging_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """``serve`` logs to the stderr of the moment, which is closed when the test is over.

    And what configures logging closes every handler that there was. That of absl, which comes with ROUGE, then closes
    its stream: the stderr that the whole test run is captured by.
    """
    monkeypatch.setattr(logging, "_handlerList", [])
    root, ours = logging.getLogger(), logging.getLogger("chatwright")
    handlers, levels = root.handlers[:], (root.level, ours.level)
    yield
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    ours.setLevel(levels[1])


def printed(*arguments: str) -> dict[str, Any]:
    """What ``serve --print-config`` prints."""
    result = CliRunner().invoke(app, ["serve", "--print-config", *arguments])
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = yaml.safe_load(result.stdout)
    return found


def test_the_command_line_wins_over_the_environment_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "server.yaml").write_text("port: 1111\nsign_up: open\nmax_queue: 11\nlimits: {requests_per_hour: 7}\n")
    monkeypatch.setenv("CHATWRIGHT_PORT", "2222")
    monkeypatch.setenv("CHATWRIGHT_MAX_QUEUE", "22")
    monkeypatch.setenv("CHATWRIGHT_ALLOWED_HOSTS", "a.example, b.example")
    monkeypatch.setenv("CHATWRIGHT_PUBLIC_URL", "")  # as a compose file writes what it does not know
    monkeypatch.setenv("CHATWRIGHT_LIMITS__REQUESTS_PER_MINUTE", "none")
    config = printed("--home", str(tmp_path), "--port", "3333")
    assert (config["port"], config["max_queue"], config["sign_up"]) == (3333, 22, "open")
    assert config["allowed_hosts"] == ["a.example", "b.example"]
    assert config["public_url"] is None
    assert (config["limits"]["requests_per_hour"], config["limits"]["requests_per_minute"]) == (7, None)
    assert config.keys() == ServerSettings.model_fields.keys()


def test_case_18_settings_are_printed_without_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://chat:geheim-1@db.example/chat?password=geheim-2")
    monkeypatch.setenv("REDIS_URL", "redis://:geheim-3@redis.example:6379/0")
    monkeypatch.setenv("CHATWRIGHT_ENGINE_KEY", "geheim-4-geheim-4")
    monkeypatch.setenv("CHATWRIGHT_ENGINE_URL", "http://u:geheim-5@engine.example")
    monkeypatch.setenv("CHATWRIGHT_API_KEY", "geheim-6-geheim-6")
    (tmp_path / "server.yaml").write_text("oidc_client_secret: geheim-7\nwatermark_key: geheim-8-geheim-8\n")
    result = CliRunner().invoke(app, ["serve", "--print-config", "--home", str(tmp_path)])
    assert result.exit_code == 0
    assert "geheim" not in result.output
    assert "postgresql://chat:**********@db.example/chat" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "file", "words"),
    [
        (["--port", "99999"], "", ["port", "99999"]),
        ([], "prot: 1\n", ["prot", "port"]),
        ([], "port: [1\n", ["server.yaml"]),
        ([], "sign_up: sometimes\n", ["sign_up", "sometimes", "invitation"]),
        (["--served-model-name", "../x"], "", ["served_model_name", "../x", "path"]),
        (["--host", "0.0.0.0", "--no-accounts"], "", ["0.0.0.0"]),
        (["--host", "203.0.113.1", "--port", "0"], "", ["203.0.113.1", "--host"]),
        (["--workers", "2", "--port", "0"], "", ["CHATWRIGHT_ENGINE_URL"]),
        ([], "engine_url: http://127.0.0.1:1\nengine_key: geheim\n", ["16 characters"]),
    ],
)
def test_a_setting_that_is_wrong_is_one_sentence(
    arguments: list[str], file: str, words: list[str], tmp_path: Path
) -> None:
    (tmp_path / "server.yaml").write_text(file)
    result = CliRunner().invoke(app, ["serve", "--home", str(tmp_path), *arguments])
    assert result.exit_code == 2, result.output
    assert result.output.count("\n") == 1
    assert "Traceback" not in result.output
    assert "geheim" not in result.output
    assert [word for word in words if word not in result.output] == []


def test_a_model_that_is_not_there_is_said_before_anything_starts(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["serve", "--home", str(tmp_path), "--port", "0", "--model", "nobody/nothing"])
    assert result.exit_code == 1
    assert "nobody/nothing" in result.output
    assert not (tmp_path / "chatwright.db").exists()


def test_a_variable_that_is_no_setting_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATWRIGHT_API_KEYY", "x")
    result = CliRunner().invoke(app, ["serve", "--print-config", "--home", str(tmp_path)])
    assert "did you mean CHATWRIGHT_API_KEY?" in result.stderr


async def _read_until(http: httpx.AsyncClient, url: str, characters: int) -> str:
    """The text of an answer, as far as its events have told it."""
    text = ""
    async with http.stream("GET", url) as stream:
        async for line in stream.aiter_lines():
            if line.startswith("data: "):
                text += json.loads(line[6:]).get("text", "")
            if len(text) >= characters:
                break
    return text


@pytest.mark.anyio
async def test_kill_9_in_mid_answer_loses_nothing_that_was_acknowledged(start: Start, tmp_path: Path) -> None:
    server = start("--no-accounts", CHATWRIGHT_LIMITS__CONCURRENT_GENERATIONS="none")
    asked: dict[str, tuple[str, str]] = {}
    async with httpx.AsyncClient(base_url=server.address, timeout=60) as http:

        async def ask(number: int) -> None:
            conversation = (await http.post("/api/conversations", json={})).json()["id"]
            body = {"content": f"question {number}", "sampling": {"temperature": 0}}
            answer = await http.post(f"/api/conversations/{conversation}/messages", json=body)
            assert answer.status_code == 201, answer.text
            asked[conversation] = (f"question {number}", answer.json()["messages"][0]["id"])

        await asyncio.gather(*(ask(number) for number in range(30)))
        conversation, (_, watched) = next(iter(asked.items()))
        seen = await _read_until(http, f"/api/messages/{watched}/events", 220)
        # What is shown is stored twice a second.
        with closing(sqlite3.connect(tmp_path / "home" / "chatwright.db")) as stored:
            async with asyncio.timeout(60):
                while stored.execute("SELECT content FROM messages WHERE id = ?", (watched,)).fetchone() == ("",):
                    await asyncio.sleep(0.01)
    os.kill(server.process.pid, signal.SIGKILL)
    server.process.wait()

    again = start("--no-accounts")
    statuses = []
    async with httpx.AsyncClient(base_url=again.address, timeout=60) as http:
        for conversation, (question, answer_id) in asked.items():
            messages = (await http.get(f"/api/conversations/{conversation}/messages")).json()["data"]
            assert [message["content"] for message in messages if message["role"] == "user"] == [question]
            async with asyncio.timeout(60):
                while (answer := (await http.get(f"/api/messages/{answer_id}")).json())["status"] == "generating":
                    await asyncio.sleep(0.1)
            statuses.append(answer["status"])
            if answer_id == watched:
                assert answer["content"]
                assert answer["content"].startswith(seen) or seen.startswith(answer["content"])
        assert set(statuses) <= {"interrupted", "complete"}
        assert "interrupted" in statuses
        index = statuses.index("interrupted")
        conversation, (_, answer_id) = list(asked.items())[index]
        url = f"/api/conversations/{conversation}/messages/{answer_id}/continue"
        continued = await http.post(url)
        # The tiny model's context is so short that an answer may leave too little of it to go on.
        assert continued.status_code == 200 or continued.json()["error"]["code"] == "context_length_exceeded"
    assert again.stop() == 0


@pytest.mark.anyio
async def test_sigterm_lets_an_answer_end_and_exits_with_0(start: Start) -> None:
    server = start("--no-accounts")
    body = {"model": "tiny", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 300, "stream": True}
    async with httpx.AsyncClient(base_url=server.address, timeout=60) as http:
        async with http.stream("POST", "/v1/chat/completions", json={**body, "ignore_eos": True}) as stream:
            lines = stream.aiter_lines()
            assert (await anext(lines)).startswith("data: ")
            server.process.terminate()
            rest = [line async for line in lines if line]
        assert rest[-1] == "data: [DONE]"
        assert json.loads(rest[-2][6:])["choices"][0]["finish_reason"] == "length"
    assert await asyncio.to_thread(server.process.wait, 60) == 0
    log = server.log.read_text()
    assert "Traceback" not in log
    assert "hello" not in log


# A model that is never loaded completely.
LOADS_FOR_EVER = """
import time
from chatwright.cli.app import app
from chatwright.server.backends.local import LocalBackend

LocalBackend.open = lambda *args, **options: time.sleep(3600)
app()
"""


@pytest.mark.anyio
async def test_sigterm_ends_a_server_that_still_loads_its_model(tiny_model_dir: Path, tmp_path: Path) -> None:
    arguments = ["--home", str(tmp_path / "home"), "--port", str(free_port()), "--no-accounts"]
    server = ServeProcess(
        [*arguments, "--model", str(tiny_model_dir), "--served-model-name", "tiny"],
        {"CHATWRIGHT_SHUTDOWN_SECONDS": "1000", "CHATWRIGHT_METRICS": "open"},  # so long for answers, of which none is
        tmp_path / "log",
        program=["-c", LOADS_FOR_EVER],
    )
    try:
        server.wait_until_ready(status=503)
        body = {"model": "tiny", "messages": [{"role": "user", "content": "hello"}]}
        async with httpx.AsyncClient(base_url=server.address, timeout=60) as http:
            waiting = asyncio.create_task(http.post("/v1/chat/completions", json=body))
            async with asyncio.timeout(60):
                while "chatwright_http_open_requests 2.0" not in (await http.get("/metrics")).text:  # it, and ours
                    await asyncio.sleep(0.05)
            server.process.terminate()
            answer = await waiting
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "server_stopping")
        assert await asyncio.to_thread(server.process.wait, 60) == 0
    finally:
        server.kill()
    assert "Traceback" not in server.log.read_text()


@pytest.mark.anyio
async def test_several_processes_share_database_limits_and_one_engine(
    start: Start, postgres_url: str, redis_url: str, tmp_path: Path
) -> None:
    key = "a-key-that-both-share"
    engine = start("--no-accounts", "--home", str(tmp_path / "engine"), CHATWRIGHT_ENGINE_KEY=key)
    shared = {
        "DATABASE_URL": postgres_url,
        "REDIS_URL": redis_url,
        "CHATWRIGHT_ENGINE_URL": engine.address,
        "CHATWRIGHT_ENGINE_KEY": key,
        "CHATWRIGHT_LIMITS__REQUESTS_PER_MINUTE": "8",
        "CHATWRIGHT_METRICS": "open",
    }
    server = start("--no-accounts", "--workers", "2", **shared)
    body = {"model": "tiny", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 4}

    async def ask(http: httpx.AsyncClient) -> int:
        # A connection of its own: the next process may take it.
        headers = {"Connection": "close"}
        return (await http.post("/v1/chat/completions", json=body, headers=headers)).status_code

    async with httpx.AsyncClient(base_url=server.address, timeout=60) as http:
        statuses = await asyncio.gather(*(ask(http) for _ in range(20)))
        assert sorted(statuses) == [200] * 8 + [429] * 12
        figures = (await http.get("/metrics")).text
        assert 'chatwright_answers_total{model="tiny"} 8.0' in figures  # of both processes together
        created = (await http.post("/api/conversations", json={"title": "seen by both"})).json()["id"]
        for _ in range(6):
            found = await http.get(f"/api/conversations/{created}", headers={"Connection": "close"})
            assert found.json()["title"] == "seen by both"
    assert server.stop() == 0
    assert engine.stop() == 0
