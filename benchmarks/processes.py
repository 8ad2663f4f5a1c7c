"""Work in processes of their own: what crashes, hangs or is missing there becomes a sentence here."""

import json
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from benchmarks.contenders.harness import peak_mb

ROOT = Path(__file__).parents[1]


class ChildFailed(Exception):
    """A process ended without the result it owed; the message says why."""


@dataclass(frozen=True, slots=True)
class Start:
    """The first sign of life of a program.

    Attributes:
        seconds: from starting the process to its first output.
        rss_mb: its peak resident memory, MB.
    """

    seconds: float
    rss_mb: float


def run_json(
    command: Sequence[str], job: object = None, *, threads: int | None = None, timeout_s: float = 900
) -> dict[str, Any]:
    """Run a program that reads ``job`` as JSON from stdin, and return the JSON object of its last line of stdout.

    Raises:
        ChildFailed: it ended with an error or by a signal, took too long, or printed something else.
    """
    try:
        child = subprocess.run(
            command,
            input=json.dumps(job),
            capture_output=True,
            text=True,
            timeout=timeout_s,
            cwd=ROOT,
            env=_environment(threads),
        )
    except subprocess.TimeoutExpired:
        raise ChildFailed(f"no result within {timeout_s:.0f} s") from None
    except OSError as error:
        raise ChildFailed(f"{command[0]} cannot be started: {error.strerror or error}") from None
    _check_end(child.returncode, child.stderr)
    try:
        result = json.loads(child.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        result = None
    if not isinstance(result, dict):
        raise ChildFailed("its output does not end with a JSON object")
    if "error" in result:
        raise ChildFailed(str(result["error"]))
    return result


def time_to_first_output(
    command: Sequence[str], job: object = None, *, threads: int | None = None, timeout_s: float = 300
) -> Start:
    """Start a program and wait for its first byte on stdout, then for its end.

    Raises:
        ChildFailed: it ended with an error, by a signal or without output, or took too long.
    """
    with tempfile.TemporaryFile("w+") as stdin, tempfile.TemporaryFile("w+") as stderr:
        if job is not None:
            json.dump(job, stdin)
            stdin.seek(0)
        started = time.perf_counter()
        try:
            child = subprocess.Popen(
                command, stdin=stdin, stdout=subprocess.PIPE, stderr=stderr, cwd=ROOT, env=_environment(threads)
            )
        except OSError as error:
            raise ChildFailed(f"{command[0]} cannot be started: {error.strerror or error}") from None
        timer = threading.Timer(timeout_s, child.kill)
        timer.start()
        peak = _Peak(child.pid)
        try:
            assert child.stdout is not None
            first, seconds = child.stdout.read(1), time.perf_counter() - started
            child.stdout.read()
            child.stdout.close()
            _, status, usage = os.wait4(child.pid, 0)
        finally:
            timer.cancel()
            peak.stop()
        child.returncode = os.waitstatus_to_exitcode(status)
        _check_end(child.returncode, _all_of(stderr))
    if not first:
        raise ChildFailed("it printed nothing")
    return Start(seconds, peak.megabytes or peak_mb(usage.ru_maxrss))


class _Peak:
    """Watches the peak resident memory of a process, MB; 0 where the system does not tell it.

    What ``wait4`` tells counts the parent too, of which the child is a copy until it begins its own program.
    """

    def __init__(self, pid: int) -> None:
        self.megabytes = 0.0
        self._status = Path(f"/proc/{pid}/status")
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            try:
                values = dict(line.split(":", 1) for line in self._status.read_text().splitlines())
                self.megabytes = int(values["VmHWM"].split()[0]) * 1024 / 1e6
            except (OSError, KeyError):
                return  # there is no /proc, or the process has ended
            if self._ended.wait(0.002):
                return


def _environment(threads: int | None) -> Mapping[str, str]:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    return environment if threads is None else {**environment, "OMP_NUM_THREADS": str(threads)}


def _all_of(file: IO[str]) -> str:
    file.seek(0)
    return file.read()


def _check_end(code: int, stderr: str) -> None:
    if code < 0:
        raise ChildFailed(f"ended by {signal.Signals(-code).name}")
    if code > 0:
        lines = [line for line in stderr.splitlines() if line.strip()]
        raise ChildFailed(lines[-1].strip() if lines else f"ended with exit code {code}")
