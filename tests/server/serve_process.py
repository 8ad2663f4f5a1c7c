"""``chatwright serve`` as a process of its own, as people run it."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import httpx

START_S = 120.0


class ServeProcess:
    """A server in a process of its own."""

    def __init__(
        self,
        arguments: list[str],
        environment: dict[str, str],
        log: Path,
        *,
        program: Sequence[str] = ("-m", "chatwright"),
    ) -> None:
        self.address = f"http://127.0.0.1:{arguments[arguments.index('--port') + 1]}"
        self.log = log
        command = [sys.executable, *program, "serve", *arguments]
        with log.open("ab") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=output, env={**os.environ, **environment})

    def wait_until_ready(self, status: int = 200) -> Self:
        """Wait until ``/ready`` answers so; 503 while a model is being loaded."""
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                if httpx.get(f"{self.address}/ready", timeout=10).status_code == status:
                    return self
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        raise AssertionError(f"the server did not start:\n{self.log.read_text()}")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(60)
