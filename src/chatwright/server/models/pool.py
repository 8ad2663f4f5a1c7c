"""The models that this server serves, by name: found, loaded within the memory there is, and closed at the end."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from chatwright.model.catalog import DEFAULT_NAME
from chatwright.safety.watermark import Watermark
from chatwright.server.accounts.runtime import RuntimeSettings
from chatwright.server.answering import Served
from chatwright.server.backends.base import Backend, Health
from chatwright.server.backends.upstream import UpstreamBackend
from chatwright.server.backends.upstream_client import UpstreamClient
from chatwright.server.backends.wire import WireModel
from chatwright.server.database import Database
from chatwright.server.database.tables import ServedModel, Upstream
from chatwright.server.errors import ApiError, not_found
from chatwright.server.identifiers import now_ms
from chatwright.server.models.local_model import LocalModel
from chatwright.server.models.local_models import LocalModels
from chatwright.server.models.registry import ModelRegistry
from chatwright.server.models.remote_model import RemoteModel
from chatwright.server.models.upstream_models import UpstreamModels
from chatwright.server.principal import Principal
from chatwright.server.settings import ServerSettings

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
        self._local = LocalModels(settings, self.watermark)
        self._upstreams = UpstreamModels()
        self._engine = _engine_client(settings)
        self._in_engine: dict[str, RemoteModel] = {}

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
        return self._own_model(row) if upstream is None else self._upstreams.model(row, upstream)

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
                principal.say("only fine-tuned models of your own can be deleted", "只能删除你自己的微调模型"),
                code="model_not_deletable",
                param="model",
            )
        await self.registry.remove(name)
        await self._local.drop(name)
        remote = self._in_engine.pop(name, None)
        if remote is not None:
            await remote.unload()
        for tell in self.on_remove:
            await tell(row)

    def client(self, upstream: Upstream) -> UpstreamClient:
        """A connection to another server, shared by its models."""
        return self._upstreams.client(upstream)

    @property
    def is_loading_in_vain(self) -> bool:
        """Whether a thread still reads a model that nobody waits for any more."""
        return self._local.is_loading_in_vain

    def stop_loading(self) -> None:
        """The server stops: load nothing any more; who waits for a model is told so."""
        self._local.stop_loading()

    async def close(self) -> None:
        """Free every model; answers in flight end with EngineError."""
        await self._local.close()
        for remote in self._in_engine.values():
            await remote.close()
        if self._engine is not None:
            await self._engine.close()
        await self._upstreams.close()

    async def _state(self, row: ServedModel, upstream: Upstream | None, default: str) -> ModelState:
        if upstream is None:
            model = self._own_model(row)
            health, memory, context = await model.health(), model.memory_bytes, model.context_length
        else:
            backend = self._upstreams.model(row, upstream)
            health, memory, context = await backend.health(), 0, backend.context_length
        return ModelState(row, health, memory, context, row.name == default, row is self._fixed_row)

    def _own_model(self, row: ServedModel) -> "LocalModel | RemoteModel":
        """A model that runs here, or in the engine process where there is one."""
        if self._engine is None:
            return self._local.get(row)
        source = None if row is self._fixed_row else row.source
        wire = WireModel(name=row.name, source=source, options=row.options, version=row.version)
        held = self._in_engine.get(row.name)
        if held is None or held.model != wire:
            held = self._in_engine[row.name] = RemoteModel(self._engine, wire)
        return held

    def for_server(self, model: WireModel) -> LocalModel:
        """A model for another server, whose entries name it: this is the engine process of several servers."""
        if model.source is None:
            return self._local.get(self._fixed_row)
        name = f"{_FOR_OTHERS}{model.name}"
        return self._local.get(
            ServedModel(name=name, source=model.source, options=model.options, version=model.version)
        )


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


def _no_model(name: str, principal: Principal) -> ApiError:
    error = not_found("model", name)
    message = principal.say(
        f"{error}; GET /v1/models lists those that you may use",
        f"没有名为 {name!r} 的模型；GET /v1/models 列出可用的模型",
    )
    return ApiError(404, message, code=error.code, param="model")
