"""A server as a process: its socket, its life from start to the last answer, and several processes on one socket."""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from types import FrameType
from typing import Any, Final, NoReturn

import uvicorn
from fastapi import FastAPI
from uvicorn.supervisors.multiprocess import Multiprocess

from chatwright.errors import ConfigError
from chatwright.server.app import create_app
from chatwright.server.operations.logs import logging_config
from chatwright.server.operations.metrics import share_between_processes
from chatwright.server.services import Services, open_services
from chatwright.server.settings import ServerSettings

_BACKLOG: Final = 2048
# A worker that loads a large model may not answer its supervisor for a while.
_WORKER_SILENCE_S: Final = 120


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        ConfigError: the address is not this machine's, or the port is taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(
            f"cannot listen on {host}, port {port}: {reason}; choose another with --host or --port"
        ) from error
    listener.set_inheritable(True)
    return listener


def address_of(listener: socket.socket) -> str:
    """``http://host:port`` by which programs on this machine reach it."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(settings: ServerSettings, listener: socket.socket, on_ready: Callable[[], None]) -> None:
    """Serve until SIGINT or SIGTERM; answers then get ``settings.shutdown_seconds`` to end.

    Args:
        settings: of the server.
        listener: accepts connections once everything is open.
        on_ready: called when it does.

    Raises:
        ChatwrightError: something cannot be opened; the message says what to do.
    """
    app = create_app(settings)
    config = _uvicorn_config(app, settings, lifespan="off")
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(_serve(app, config, listener, on_ready))
    if app.state.services.models.is_loading_in_vain:
        _leave_threads_behind()


async def _serve(app: FastAPI, config: uvicorn.Config, listener: socket.socket, on_ready: Callable[[], None]) -> None:
    """The application's start and end stand here rather than in uvicorn, which would make a traceback of a refusal."""
    server = _Server(config, on_ready)
    with server.signals():
        async with app.router.lifespan_context(app):
            services: Services = app.state.services
            server.on_end = services.models.stop_loading
            services.readiness.begin()
            await server.serve([listener])


def _leave_threads_behind() -> NoReturn:
    """End the process although a thread reads a model: nothing can stop it, and Python would wait for it.

    All that has to be closed is closed by now. A daemon thread would not do: one that is in native code while the
    interpreter is torn down crashes the process.
    """
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready
        self.on_end: Callable[[], None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self.should_exit:
            self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # Before the requests get their time to end: none of them gets an answer of a model that is not there yet.
        if self.on_end is not None:
            self.on_end()
        await super().shutdown(sockets)

    @contextmanager
    def signals(self) -> Iterator[None]:
        """Obey signals from before the services open until after they are closed.

        uvicorn itself listens only while it serves, and raises the signal again at the end of that: the process would
        be gone before anything is closed.
        """
        handlers = {}
        for number in (signal.SIGINT, signal.SIGTERM):
            with suppress(ValueError):  # not the main thread: whoever runs us there stops us otherwise
                handlers[number] = signal.signal(number, self.handle_exit)
        try:
            yield
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit and not self.started and sig == signal.SIGINT:
            raise KeyboardInterrupt  # asked twice while something was still opening
        super().handle_exit(sig, frame)


def serve_workers(
    settings: ServerSettings, listener: socket.socket, workers: int, on_ready: Callable[[], None]
) -> None:
    """Serve by several processes that share the socket; one that dies is replaced.

    The database is opened, and migrated, before the first of them starts.

    Raises:
        ConfigError: they would each load the models, or each count requests for itself.
        ChatwrightError: as for :func:`serve`.
    """
    if settings.engine_url is None:
        raise ConfigError(
            "several workers need one process that runs the models: start it with `chatwright serve --no-accounts "
            "--port 8001` and a CHATWRIGHT_ENGINE_KEY, and give these workers its address as CHATWRIGHT_ENGINE_URL"
        )
    if settings.redis_url is None:
        raise ConfigError("several workers count requests together in Redis: set REDIS_URL, such as redis://127.0.0.1")

    asyncio.run(_open_once(settings))
    figures = share_between_processes()
    config = _uvicorn_config(partial(create_app, settings), settings, factory=True, workers=workers)
    on_ready()
    with figures:
        Multiprocess(config, [listener]).run()


async def _open_once(settings: ServerSettings) -> None:
    async with open_services(settings):
        pass


def _uvicorn_config(app: Any, settings: ServerSettings, **changes: Any) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        log_config=logging_config(settings.log_level, settings.log_format),
        access_log=False,  # ours has the request's id and no query, which may be a search
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        ws="none",
        timeout_graceful_shutdown=round(settings.shutdown_seconds),
        timeout_worker_healthcheck=_WORKER_SILENCE_S,
        **changes,
    )
