"""The training process: a session of its own, so that it outlives the server that started it.

It is found again by its command line, which names the job's recipe: nothing that might have been written too late, or
belong to another process by now, is relied on. The functions block for moments: call them in a thread.
"""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from typing import Final, Self

import psutil  # type: ignore[import-untyped]

from chatwright.server.jobs.folder import JobFolder

_KEPT_VARIABLES: Final = frozenset({"CHATWRIGHT_HOME", "CHATWRIGHT_CACHE"})
_SECRET_NAMES: Final = ("DATABASE_URL", "REDIS_URL", "API_KEY", "TOKEN", "SECRET", "PASSWORD")
# Without the current folder among those that modules are imported from.
_PROGRAM: Final = ("-P", "-m", "chatwright", "train")
_NICENESS: Final = 10  # answers to people go before training


class TrainingProcess:
    """A process that trains.

    Args:
        process: as the system knows it.
        started: the handle by which its exit code is learned, of a process that this one started.
    """

    def __init__(self, process: psutil.Process, started: "subprocess.Popen[bytes] | None" = None) -> None:
        self._process = process
        self._started = started

    @property
    def pid(self) -> int:
        """Its number."""
        return int(self._process.pid)

    @classmethod
    def find(cls, folder: JobFolder) -> Self | None:
        """The process that trains a job, whoever started it; None where there is none."""
        recipe = str(folder.recipe)
        for process in psutil.process_iter(["cmdline"]):
            if recipe not in (process.info["cmdline"] or ()):
                continue
            with suppress(ProcessLookupError):  # its helpers have the same command line, and it leads them
                if os.getpgid(process.pid) == process.pid:
                    return cls(process)
        return None

    @classmethod
    def start(cls, folder: JobFolder) -> Self:
        """Train a job, or go on with it from its last checkpoint.

        Raises:
            OSError: the process cannot be started.
        """
        command = [sys.executable, *_PROGRAM, str(folder.recipe), "--out", str(folder.run)]
        with folder.log.open("ab") as log:
            started = subprocess.Popen(
                [*command, "--resume"],
                cwd=folder.path,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        process = psutil.Process(started.pid)
        with suppress(psutil.Error):
            process.nice(_NICENESS)
        return cls(process, started)

    @classmethod
    def end(cls, folder: JobFolder) -> None:
        """Kill whatever trains a job."""
        if (process := cls.find(folder)) is not None:
            process.kill()

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        if self._started is not None:
            return self._started.poll() is None
        with suppress(psutil.Error):
            return bool(self._process.is_running() and self._process.status() != psutil.STATUS_ZOMBIE)
        return False

    @property
    def exit_code(self) -> int | None:
        """How it ended, negative where a signal ended it; None of a process that this one did not start."""
        return self._started.poll() if self._started is not None else None

    def ask_to_stop(self) -> None:
        """Let it write a checkpoint and end."""
        if self.is_alive:
            with suppress(psutil.Error):
                self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it and its helpers at once; helpers may outlive it where something else killed it."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        if self._started is not None:
            self._started.wait()


def _environment() -> dict[str, str]:
    """This process' variables without settings of the server and without secrets, which training has no use for."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _KEPT_VARIABLES
        or not (name.startswith("CHATWRIGHT_") or any(secret in name.upper() for secret in _SECRET_NAMES))
    }
    return kept | {"CHATWRIGHT_LANG": "en"}
