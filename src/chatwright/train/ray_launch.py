"""A run's processes, placed by Ray: each is the same command that torchrun would start, with torchrun's variables."""

import logging
import math
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from queue import SimpleQueue
from typing import IO, Any, Literal, NamedTuple

from chatwright.errors import ChatwrightError, ConfigError, InvalidParameterError, TrainingError
from chatwright.train.distributed import FailedElsewhere
from chatwright.train.stopping import StopRequest

Stream = Literal["stdout", "stderr"]

_POLL_S = 0.3
_GRACE_S = 10.0  # in which the others notice by themselves that one has failed, and close their files
_PLACEMENT_S = 120.0  # for others' work in the cluster to make room


class WorkerFailed(TrainingError):
    """One of the processes has failed, and the others have been ended.

    Attributes:
        exit_code: of the process that failed first, as a shell would give it.
    """

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Share(NamedTuple):
    """What each of some machines, all alike, has to give."""

    machines: int
    workers: int  # on each machine
    cpus: int  # for each worker
    gpus: int  # for each worker


class Report(NamedTuple):
    """What a worker's process has done since it was last asked; ``exit_code`` is None while it runs."""

    said: list[tuple[Stream, str]]
    exit_code: int | None


class Worker:
    """One process of the run, on the machine where Ray has put this actor."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._readers: list[threading.Thread] = []
        self._said: SimpleQueue[tuple[Stream, str]] = SimpleQueue()

    def address(self) -> str:
        """Of this machine."""
        import ray

        return str(ray.util.get_node_ip_address())  # type: ignore[no-untyped-call]

    def gpus(self) -> list[str]:
        """Those that Ray has set aside for this worker."""
        import ray

        return [str(number) for number in ray.get_gpu_ids()]

    def free_port(self) -> int:
        """A port of this machine where nobody listens."""
        with socket.socket() as probe:
            probe.bind(("", 0))
            return int(probe.getsockname()[1])

    def start(self, arguments: Sequence[str], environment: Mapping[str, str], folder: str) -> str | None:
        """Start ``python -m chatwright``; what stands in the way, if it cannot be started."""
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "chatwright", *arguments],
                cwd=folder,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                errors="replace",
            )
        except OSError as error:
            return str(error)
        pipes: tuple[tuple[Stream, Any], ...] = (("stdout", self._process.stdout), ("stderr", self._process.stderr))
        self._readers = [threading.Thread(target=self._read, args=pipe, daemon=True) for pipe in pipes]
        for reader in self._readers:
            reader.start()
        return None

    def poll(self) -> Report:
        """Wait a moment, and tell the news."""
        assert self._process is not None
        exit_code: int | None = None
        try:
            exit_code = self._process.wait(_POLL_S)
        except subprocess.TimeoutExpired:
            pass
        else:
            for reader in self._readers:
                reader.join(_POLL_S)  # a process that outlives its parent may keep the pipe open
        return Report([self._said.get() for _ in range(self._said.qsize())], exit_code)

    def signal(self, number: int) -> None:
        """Send a signal to the process, if it still runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def _read(self, stream: Stream, pipe: IO[str]) -> None:
        for line in pipe:
            self._said.put((stream, line))


def launch(
    arguments: Sequence[str],
    *,
    workers: int | None = None,
    address: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Run ``chatwright ARGUMENTS`` in several processes that know of each other, and show what the first one says.

    Args:
        arguments: of the program; the current folder has to exist on every machine.
        workers: how many; by default one for each GPU of the cluster, or for each machine where there are no GPUs.
        address: of the cluster (``ray://…``, ``HOST:PORT``), or ``local`` for one of this machine alone; by default
            the one that RAY_ADDRESS names or that runs on this machine, else a local one.
        environment: more variables for every process.

    Raises:
        ChatwrightError: Ray is not installed.
        ConfigError: the cluster has no place for so many workers.
        WorkerFailed: one failed, and the others have been ended.
    """
    with _connected(address) as ray:
        share = share_out([node["Resources"] for node in ray.nodes() if node["Alive"]], workers)
        with _placed(ray, share) as crew:
            _start(ray, crew, share, arguments, environment or {})
            _watch(ray, crew)


def share_out(machines: Sequence[Mapping[str, float]], workers: int | None) -> Share:
    """The fewest machines on which the workers find room, as many on each.

    Args:
        machines: Ray's resources of each: ``CPU`` and ``GPU``.
        workers: how many; None: as many as there is use for.

    Raises:
        ConfigError: they find no room.
    """
    with_gpus = [machine for machine in machines if machine.get("GPU", 0) >= 1]
    kind = "GPU" if with_gpus else "CPU"
    rooms = sorted((int(machine.get(kind, 0)) for machine in with_gpus or machines), reverse=True)
    if workers is None and not with_gpus and rooms and rooms[-1] > 0:
        return Share(len(rooms), 1, rooms[-1], 0)
    workers = sum(rooms) if workers is None else workers
    for count in range(1, len(rooms) + 1):
        each, rest = divmod(workers, count)
        room = rooms[count - 1]  # of the smallest of so many machines
        if rest == 0 and 0 < each <= room:
            return Share(count, each, 1, 1) if with_gpus else Share(count, each, room // each, 0)
    raise ConfigError(
        f"{workers} workers do not find room on the cluster, as many on each machine: its machines have "
        f"{' + '.join(map(str, rooms)) or 'no'} {kind}s; choose another --num-workers"
    )


@contextmanager
def _connected(address: str | None) -> Iterator[Any]:
    """Ray; a connection that the caller has already is used, and left open."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nobody has been asked
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # else it warns that this will be the default
    try:
        import ray
    except ImportError:
        raise ChatwrightError("--ray needs Ray: pip install 'chatwright[ray]'") from None
    if ray.is_initialized():
        yield ray
        return
    try:
        ray.init(address, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, ValueError, RuntimeError) as error:
        what = str(error).partition("\n")[0]
        raise InvalidParameterError("ray-address", f"no Ray cluster can be used at {address}: {what}") from error
    try:
        yield ray
    finally:
        ray.shutdown()


@contextmanager
def _placed(ray: Any, share: Share) -> Iterator[list[Any]]:
    """The actors, machine by machine; none is left in the end."""
    from ray.util.placement_group import placement_group, remove_placement_group
    from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy as Place

    one = {name: amount for name, amount in (("CPU", share.cpus), ("GPU", share.gpus)) if amount}
    machine = {name: amount * share.workers for name, amount in one.items()}
    group = placement_group([machine] * share.machines, strategy="STRICT_SPREAD")
    try:
        if not group.wait(_PLACEMENT_S):
            raise TrainingError(
                f"the cluster did not make room for {share.machines * share.workers} workers within "
                f"{_PLACEMENT_S:.0f} s; wait for what runs there, or choose fewer --num-workers"
            )
        actor = ray.remote(Worker)
        yield [
            actor.options(
                num_cpus=share.cpus,
                num_gpus=share.gpus,
                scheduling_strategy=Place(group, placement_group_bundle_index=bundle),
            ).remote()
            for bundle in range(share.machines)
            for _ in range(share.workers)
        ]
    finally:
        remove_placement_group(group)  # ends its actors, too


def _start(
    ray: Any, crew: Sequence[Any], share: Share, arguments: Sequence[str], environment: Mapping[str, str]
) -> None:
    addresses, gpus = (ray.get([getattr(worker, what).remote() for worker in crew]) for what in ("address", "gpus"))
    common = {
        **environment,
        "WORLD_SIZE": str(len(crew)),
        "LOCAL_WORLD_SIZE": str(share.workers),
        "MASTER_ADDR": addresses[0],
        "MASTER_PORT": str(ray.get(crew[0].free_port.remote())),
    }
    starts = []
    for rank, worker in enumerate(crew):
        local_rank = rank % share.workers
        own = {"RANK": str(rank), "LOCAL_RANK": str(local_rank)}
        if share.gpus:  # each process sees all GPUs of the run on its machine, as under torchrun
            neighbours = gpus[rank - local_rank : rank - local_rank + share.workers]
            own["CUDA_VISIBLE_DEVICES"] = ",".join(number for numbers in neighbours for number in numbers)
        starts.append(worker.start.remote(list(arguments), common | own, os.getcwd()))
    for address, objection in zip(addresses, ray.get(starts), strict=True):
        if objection is not None:
            _end(ray, crew)
            raise TrainingError(f"no process can be started on {address}: {objection}; all machines need this folder")


def _watch(ray: Any, crew: Sequence[Any]) -> None:
    """Show what the processes say until all have ended; after a failure, see to it that they do."""
    codes: dict[int, int] = {}  # in the order in which they ended
    deadline = math.inf
    passed_on = False
    try:
        with StopRequest() as stop:
            while len(codes) < len(crew) and time.monotonic() < deadline:
                running = [rank for rank in range(len(crew)) if rank not in codes]
                for rank, report in _reports(ray, crew, running):
                    _show(rank, report)
                    if report.exit_code is not None:
                        codes[rank] = report.exit_code
                if any(codes.values()):
                    deadline = min(deadline, time.monotonic() + _GRACE_S)
                if stop.name is not None and not passed_on:  # each saves a checkpoint, and ends
                    passed_on = True
                    for rank in running:
                        crew[rank].signal.remote(signal.SIGTERM)
    finally:
        _end(ray, crew)
    failed = [rank for rank, code in codes.items() if code]
    if failed:
        first = next((rank for rank in failed if codes[rank] != FailedElsewhere.exit_code), failed[0])
        raise _failure(first, codes[first], len(crew), stopped=passed_on)


def _reports(ray: Any, crew: Sequence[Any], ranks: Sequence[int]) -> Iterator[tuple[int, Report]]:
    asked = [(rank, crew[rank].poll.remote()) for rank in ranks]
    for rank, answer in asked:
        try:
            yield rank, ray.get(answer)
        except ray.exceptions.RayActorError:
            yield rank, Report([("stderr", "Ray has lost its machine or its actor\n")], -signal.SIGKILL)


def _show(rank: int, report: Report) -> None:
    """The first process speaks as if it were this one; the others have little to say but what went wrong."""
    for stream, line in report.said:
        if rank == 0:
            getattr(sys, stream).write(line)
        else:
            sys.stderr.write(f"[{rank}] {line}")
    sys.stdout.flush()


def _end(ray: Any, crew: Sequence[Any]) -> None:
    """Ray would end the actors alone, and leave their processes."""
    answers = [worker.signal.remote(signal.SIGKILL) for worker in crew]
    ray.wait(answers, num_returns=len(answers), timeout=_GRACE_S)


def _failure(rank: int, code: int, size: int, *, stopped: bool) -> WorkerFailed:
    how = f"with exit code {code}" if code > 0 else f"by signal {-code}"
    message = f"process {rank} of {size} ended {how}, and so all have been ended"
    if stopped:
        message = f"the {size} processes have been stopped; --resume goes on"
    return WorkerFailed(message, code if code > 0 else 128 - code)
