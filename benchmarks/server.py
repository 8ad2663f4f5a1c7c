"""A Chatwright server in a process of its own, as ``chatwright serve`` starts it, for benchmarks to talk to."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

START_S = 300.0
MODEL = "benchmark"  # by which clients ask for it
# What a benchmark measures is the machine, not what somebody may take.
UNLIMITED = {
    "CHATWRIGHT_LIMITS": json.dumps(
        dict.fromkeys(("requests_per_minute", "requests_per_hour", "concurrent_generations"))
    ),
    "CHATWRIGHT_METRICS": "open",
    "CHATWRIGHT_MODERATION": "off",
    "CHATWRIGHT_LOG_LEVEL": "warning",
}


@dataclass(frozen=True, slots=True)
class Server:
    """A running server: its port on 127.0.0.1, its process, and the file with its log."""

    port: int
    pid: int
    log: Path

    def get(self, path: str) -> str:
        """The body of an answer, whatever its status."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            return error.read().decode()

    def metric(self, name: str) -> float:
        """The sum of a figure over its labels."""
        lines = [line for line in self.get("/metrics").splitlines() if line.startswith((f"{name} ", f"{name}{{"))]
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


@contextmanager
def running_server(model: str | None, threads: int | None = None) -> Iterator[Server]:
    """Start a server without accounts, wait until its model is loaded, and stop it in the end.

    Raises:
        RuntimeError: it did not start.
    """
    with tempfile.TemporaryDirectory(prefix="chatwright-benchmark-") as folder, socket.create_server(("", 0)) as probe:
        port = probe.getsockname()[1]
        probe.close()
        log = Path(folder) / "log"
        command = [sys.executable, "-m", "chatwright", "serve", "--no-accounts", "--port", str(port), "--home", folder]
        command += ["--served-model-name", MODEL]
        command += [] if model is None else ["--model", model]
        environment = {**os.environ, **UNLIMITED}
        if "CHATWRIGHT_CACHE" not in environment:  # compiling again would be measured as well
            environment["CHATWRIGHT_CACHE"] = str(_usual_cache())
        if threads is not None:
            environment["OMP_NUM_THREADS"] = str(threads)
        with log.open("wb") as output:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment)
        server = Server(port, process.pid, log)
        try:
            _wait(server, process)
            yield server
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _usual_cache() -> Path:
    from chatwright.paths import cache_dir

    return cache_dir()


def _wait(server: Server, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if json.loads(server.get("/health"))["status"] == "ok":
                return
        except (OSError, ValueError):
            pass
        time.sleep(0.2)
    raise RuntimeError(f"the server did not start: {server.log.read_text('utf-8', 'replace')[-2000:]}")
