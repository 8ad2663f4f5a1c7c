"""The models that this server serves, by name: found, loaded within the memory there is, and closed at the end."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import anyio.to_thread

from chatwright.errors import EngineError
from chatwright.model.adapters import CONFIG_FILE as ADAPTER_CONFIG
from chatwright.model.catalog import DEFAULT_NAME
from chatwright.model.merged import merged_folder
from chatwright.model.resolve import resolve_model
from chatwright.safety.watermark import Watermark
from chatwright.server.accounts.runtime import RuntimeSettings
from chatwright.server.answering import Served
from chatwright.server.backends.base import Backend, Health
from chatwright.server.backends.local import LocalBackend
from chatwright.server.backends.upstream import UpstreamBackend
from chatwright.server.backends.upstream_client import UpstreamClient
from chatwright.server.backends.wire import WireModel
from chatwright.server.database import Database
from chatwright.server.database.tables import ServedModel, Upstream
from chatwright.server.errors import ApiError, not_found
from chatwright.server.identifiers import now_ms
from chatwright.server.models.local_model import LocalModel
from chatwright.server.models.memory import NoRoom, needs
from chatwright.server.models.registry import ModelRegistry
from chatwright.server.models.remote_model import RemoteModel
from chatwright.server.principal import Principal
from chatwright.server.settings import ServerSettings

log = logging.getLogger(__name__)
_LOCAL_OPTIONS: Final = ("device", "dtype", "max_model_len")

_RETIRED: Final = "\0"  # begins the keys of models that nobody can find by name any more

_FOR_OTHERS: Final = "\1"  # begins the keys of models that other servers' entries name

OnRemove = Callable[[ServedModel], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class ModelState:
    """A model as administrators see it.

    Attributes:
        row: its entry; that of the model which the settings name is made up.
        health: whether it is in memory or can be reached.
        memory_bytes: that it takes now.
        context_length: tokens of prompt and answer, where known.
        is_default: it answers requests that name none.
        is_fixed: the settings name it, so it can be neither changed nor removed here.
    """

    row: ServedModel
    health: Health
    memory_bytes: int
    context_length: int | None
    is_default: bool
    is_fixed: bool


@dataclass(slots=True)
class _Upstream:
    """A connection to another server; ``made_of`` is what it was made of, to notice a change by another process."""

    client: UpstreamClient
    made_of: tuple[Any, ...]


class ModelPool:
    """Implements :class:`~chatwright.server.answering.Models`.

    Args:
        settings: name the first model and how models are loaded.
        database: holds further ones.
        runtime: may name another default.

    Attributes:
        fixed_name: the model that the settings name.
        registry: the rows of the others.
        on_remove: called with every model that is removed, so that its files go too.
        watermark: marks what models of this server sample; None where that is off.
    """

    def __init__(self, settings: ServerSettings, database: Database, runtime: RuntimeSettings) -> None:
        self.fixed_name = served_name(settings)
        self.registry = ModelRegistry(database)
        self.on_remove: list[OnRemove] = []
        key = settings.watermark_key
        self.watermark = Watermark(key.get_secret_value().encode()) if key is not None else None
        self._settings = settings
        self._runtime = runtime
        self._fixed_row = ServedModel(
            name=self.fixed_name,
            kind="local",
            source=settings.model or DEFAULT_NAME,
            options={},
            enabled=True,
            version="",
            created_ms=now_ms(),
        )
        self._local: dict[str, tuple[tuple[Any, ...], LocalModel]] = {}
        self._engine = _engine_client(settings)
        self._in_engine: dict[str, RemoteModel] = {}
        self._upstreams: dict[str, _Upstream] = {}
        self._remote: dict[tuple[str, str], tuple[_Upstream, UpstreamBackend]] = {}
        self._making_room = asyncio.Lock()

    @property
    def fixed_source(self) -> str:
        """What the model that the settings name is made of."""
        return self._fixed_row.source

    async def default_name(self) -> str:
        """The model for requests that name none."""
        return await self._runtime.get("default_model") or self.fixed_name

    async def find(self, name: str | None, principal: Principal) -> Served:
        """See :class:`~chatwright.server.answering.Models`."""
        if name is None:
            name = await self.default_name()
            if name != self.fixed_name and await self.registry.find(name, principal) is None:
                name = self.fixed_name  # the default was removed, or is somebody's own
        backend = await self.backend(name, principal)
        if isinstance(backend, LocalModel | RemoteModel):
            await backend.load()
        return Served(name, backend, is_upstream=isinstance(backend, UpstreamBackend))

    async def backend(self, name: str, principal: Principal) -> Backend:
        """A model that is not necessarily loaded. Raises ApiError 404."""
        if name == self.fixed_name:
            return self._own_model(self._fixed_row)
        found = await self.registry.find(name, principal)
        if found is None:
            raise _no_model(name, principal)
        row, upstream = found
        return self._own_model(row) if upstream is None else self._upstream_model(row, upstream)

    async def row(self, name: str, principal: Principal) -> ServedModel:
        """The entry of a model that somebody may use. Raises ApiError 404."""
        if name == self.fixed_name:
            return self._fixed_row
        found = await self.registry.find(name, principal)
        if found is None:
            raise _no_model(name, principal)
        return found[0]

    async def list(self, principal: Principal) -> Sequence[ServedModel]:
        """The models that somebody may use."""
        return [self._fixed_row, *(row for row in await self.registry.usable(principal) if row.name != self.fixed_name)]

    async def states(self) -> Sequence[ModelState]:
        """Every model, as administrators see it."""
        default = await self.default_name()
        rows = [self._fixed_row, *(row for row in await self.registry.all() if row.name != self.fixed_name)]
        upstreams = {row.id: row for row in await self.registry.upstreams()}
        states = (self._state(row, upstreams.get(row.upstream_id or ""), default) for row in rows)
        return await asyncio.gather(*states)

    async def state(self, name: str) -> ModelState:
        """One model, as administrators see it. Raises ApiError 404."""
        row = self._fixed_row if name == self.fixed_name else await self.registry.one(name)
        upstream = None if row.upstream_id is None else await self.registry.upstream(row.upstream_id)
        return await self._state(row, upstream, await self.default_name())

    async def load(self, name: str) -> None:
        """Load a model now. Raises ApiError 404, 503; no effect on a model of another server."""
        row = self._fixed_row if name == self.fixed_name else await self.registry.one(name)
        if row.kind == "local":
            await self._own_model(row).load(again=True)

    async def unload(self, name: str) -> None:
        """Give a model's memory back. Raises ApiError 404; 409 while it is used."""
        row = self._fixed_row if name == self.fixed_name else await self.registry.one(name)
        if row.kind == "local" and not await self._own_model(row).unload():
            raise ApiError(409, f"the model {name!r} is in use; try again later", code="model_in_use")

    async def remove(self, name: str, principal: Principal) -> None:
        """Serve a model no longer, and tell those who keep its files.

        Answers in flight end with an error.

        Raises:
            ApiError: 404 for what does not exist, 403 for what is not the caller's own.
        """
        found = await self.registry.find(name, principal)
        row = found[0] if found is not None else None
        if row is None and principal.is_admin and name != self.fixed_name:
            row = await self.registry.one(name)  # one that is switched off
        if row is None and name != self.fixed_name:
            raise _no_model(name, principal)
        if row is None or (row.owner_id is None and not principal.is_admin):
            raise ApiError(
                403,
                principal.say("only fine-tuned models of your own can be deleted", "只能删除您自己的微调模型"),
                code="model_not_deletable",
                param="model",
            )
        await self.registry.remove(name)
        held = self._local.pop(name, None)
        if held is not None:
            await held[1].close()
        remote = self._in_engine.pop(name, None)
        if remote is not None:
            await remote.unload()
        for tell in self.on_remove:
            await tell(row)

    def client(self, upstream: Upstream) -> UpstreamClient:
        """A connection to another server, shared by its models."""
        return self._connection(upstream).client

    async def close(self) -> None:
        """Free every model; answers in flight end with EngineError."""
        for _, model in self._local.values():
            await model.close()
        for remote in self._in_engine.values():
            await remote.close()
        if self._engine is not None:
            await self._engine.close()
        for _, backend in self._remote.values():
            await backend.close()
        for upstream in self._upstreams.values():
            await upstream.client.close()

    async def _state(self, row: ServedModel, upstream: Upstream | None, default: str) -> ModelState:
        if upstream is None:
            model = self._own_model(row)
            health, memory, context = await model.health(), model.memory_bytes, model.context_length
        else:
            backend = self._upstream_model(row, upstream)
            health, memory, context = await backend.health(), 0, backend.context_length
        return ModelState(row, health, memory, context, row.name == default, row is self._fixed_row)

    def _own_model(self, row: ServedModel) -> "LocalModel | RemoteModel":
        """A model that runs here, or in the engine process where there is one."""
        if self._engine is None:
            return self._local_model(row)
        source = None if row is self._fixed_row else row.source
        wire = WireModel(name=row.name, source=source, options=row.options)
        held = self._in_engine.get(row.name)
        if held is None or held.model != wire:
            held = self._in_engine[row.name] = RemoteModel(self._engine, wire)
        return held

    def for_server(self, name: str, source: str | None, options: dict[str, Any]) -> LocalModel:
        """A model for another server, whose entries name it: this is the engine process of several servers.

        Args:
            name: by which that server's clients ask for it.
            source: as in its entry; None is the model that this process was started with, whatever its name.
            options: as in its entry.
        """
        if source is None:
            return self._local_model(self._fixed_row)
        return self._local_model(ServedModel(name=f"{_FOR_OTHERS}{name}", source=source, options=options))

    def _local_model(self, row: ServedModel) -> LocalModel:
        made_of = (row.source, row.options, row.version, row.created_ms)
        held = self._local.get(row.name)
        if held is None or held[0] != made_of:
            if held is not None:
                self._retire(held[1])
            held = self._local[row.name] = (made_of, LocalModel(row.name, partial(self._open, row)))
        return held[1]

    def _retire(self, model: LocalModel) -> None:
        """A model whose entry was changed: answers in flight go on, then its memory is taken back."""
        self._local[f"{_RETIRED}{id(model)}"] = ((), model)

    def _upstream_model(self, row: ServedModel, upstream: Upstream) -> UpstreamBackend:
        connection = self._connection(upstream)
        held = self._remote.get((row.name, row.source))
        if held is None or held[0] is not connection:
            version = f"{upstream.name}/{row.source}"[:255]
            backend = UpstreamBackend(
                connection.client, row.source, version=version, context_length=row.options.get("context_length")
            )
            held = self._remote[row.name, row.source] = (connection, backend)
        return held[1]

    def _connection(self, upstream: Upstream) -> _Upstream:
        made_of = (upstream.base_url, upstream.api_key, upstream.options)
        held = self._upstreams.get(upstream.id)
        if held is None or held.made_of != made_of:
            # The old one is left to whoever is still reading from it; without references its connections close.
            client = UpstreamClient(
                upstream.base_url,
                upstream.api_key,
                allow_private=upstream.options.get("allow_private") is True,
                read_seconds=upstream.options.get("read_seconds", 300.0),
            )
            held = self._upstreams[upstream.id] = _Upstream(client, made_of)
        return held

    async def _open(self, row: ServedModel, model: LocalModel) -> LocalBackend:
        """Load a model, in the memory that idle ones may have to leave."""
        settings, budget = self._settings, self._settings.models_memory_bytes
        options = {name: row.options.get(name, getattr(settings, name)) for name in _LOCAL_OPTIONS}
        async with self._making_room:
            path = await anyio.to_thread.run_sync(_model_path, settings.model if row is self._fixed_row else row.source)
            await self._drop_retired()
            if budget is None:
                return await self._open_in_what_is_free(path, options, model)
            need = await anyio.to_thread.run_sync(partial(needs, path, budget_bytes=budget, **options))
            while sum(other.memory_bytes for _, other in self._local.values()) + need.total_bytes > budget:
                await self._evict_one()
            backend = await anyio.to_thread.run_sync(
                partial(LocalBackend.open, path, watermark=self.watermark, kv_memory_bytes=need.kv_bytes, **options)
            )
            model.memory_bytes = need.total_bytes
            return backend

    async def _open_in_what_is_free(self, path: Path, options: dict[str, Any], model: LocalModel) -> LocalBackend:
        """Without a budget, a model takes a share of what is free; others leave when that is too little."""
        while True:
            try:
                backend = await anyio.to_thread.run_sync(
                    partial(LocalBackend.open, path, watermark=self.watermark, **options)
                )
            except EngineError:
                if not any(other.is_idle for _, other in self._local.values()):
                    raise
                await self._evict_one()
            else:
                model.memory_bytes = backend.memory_bytes
                return backend

    async def _drop_retired(self) -> None:
        """Free what was replaced by a changed entry and is used by nobody any more."""
        for key, (_, model) in list(self._local.items()):
            if key.startswith(_RETIRED) and await model.unload():
                del self._local[key]

    async def _evict_one(self) -> None:
        """Unload the idle model that was not used for longest. Raises NoRoom where all are in use."""
        idle = [model for _, model in self._local.values() if model.is_idle]
        if not idle:
            raise NoRoom
        model = min(idle, key=lambda model: model.used_s)
        log.info("model %s is unloaded: another one needs the memory", model.name)
        await model.unload()


def _engine_client(settings: ServerSettings) -> UpstreamClient | None:
    if settings.engine_url is None:
        return None
    assert settings.engine_key is not None  # the settings see to it
    key = settings.engine_key.get_secret_value()
    return UpstreamClient(settings.engine_url.rstrip("/").removesuffix("/v1"), key, allow_private=True, is_ours=True)


def served_name(settings: ServerSettings) -> str:
    """The name of the model that the settings name: their own for it, or its file's without folder and ending."""
    if settings.served_model_name is not None:
        return settings.served_model_name
    if settings.model is None:
        return DEFAULT_NAME
    path = Path(settings.model)
    if not path.exists():
        return settings.model
    return path.stem if path.suffix == ".gguf" else path.resolve().name


def _model_path(source: str | None) -> Path:
    """Where a model lies; an adapter is merged into the model that it names."""
    if source is not None and (Path(source) / ADAPTER_CONFIG).is_file() and not (Path(source) / "config.json").exists():
        return merged_folder(source)
    return resolve_model(source)


def _no_model(name: str, principal: Principal) -> ApiError:
    error = not_found("model", name)
    message = principal.say(
        f"{error}; GET /v1/models lists those that you may use",
        f"没有名为 {name!r} 的模型；GET /v1/models 列出可用的模型",
    )
    return ApiError(404, message, code=error.code, param="model")
