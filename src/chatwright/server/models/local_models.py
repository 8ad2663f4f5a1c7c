"""The models that run in this process: loaded within a budget of memory, the least used leaving for others."""

import asyncio
import logging
from functools import partial
from pathlib import Path
from typing import Any, Final

from chatwright.errors import EngineError
from chatwright.model.adapters import CONFIG_FILE as ADAPTER_CONFIG
from chatwright.model.merged import merged_folder
from chatwright.model.resolve import resolve_model
from chatwright.safety.watermark import Watermark
from chatwright.server.backends.local import LocalBackend
from chatwright.server.database.tables import ServedModel
from chatwright.server.models.loading import LoadingThreads
from chatwright.server.models.local_model import LocalModel
from chatwright.server.models.memory import NoRoom, needs
from chatwright.server.settings import ServerSettings

log = logging.getLogger(__name__)
_OPTIONS: Final = ("device", "dtype", "max_model_len")
_RETIRED: Final = "\0"  # begins the keys of models that nobody can find by name any more


class LocalModels:
    """Models by the name of their row.

    Args:
        settings: how models are loaded where their rows do not say.
        watermark: marks what they sample; None leaves it unmarked.
    """

    def __init__(self, settings: ServerSettings, watermark: Watermark | None) -> None:
        self._settings = settings
        self._watermark = watermark
        self._models: dict[str, tuple[tuple[Any, ...], LocalModel]] = {}
        self._making_room = asyncio.Lock()
        self._threads = LoadingThreads()

    @property
    def is_loading_in_vain(self) -> bool:
        """Whether a thread still reads a model that nobody waits for any more."""
        return self._threads.is_busy_in_vain

    def get(self, row: ServedModel) -> LocalModel:
        """A row's model, loaded or not; a new one where the row has changed since."""
        made_of = (row.source, row.options, row.version, row.created_ms)
        held = self._models.get(row.name)
        if held is None or held[0] != made_of:
            if held is not None:
                self._retire(held[1])
            held = self._models[row.name] = (made_of, LocalModel(row.name, partial(self._open, row)))
        return held[1]

    def _retire(self, model: LocalModel) -> None:
        """A model whose entry was changed: answers in flight go on, then its memory is taken back."""
        self._models[f"{_RETIRED}{id(model)}"] = ((), model)

    async def drop(self, name: str) -> None:
        """Free a model whose row is gone; answers in flight end with EngineError."""
        held = self._models.pop(name, None)
        if held is not None:
            await held[1].close()

    def stop_loading(self) -> None:
        """Begin no load any more, and give up those that are going on."""
        self._threads.stop()
        for _, model in self._models.values():
            model.stop_loading()

    async def close(self) -> None:
        """Free every model; answers in flight end with EngineError."""
        self.stop_loading()
        for _, model in self._models.values():
            await model.close()

    async def _open(self, row: ServedModel, model: LocalModel) -> LocalBackend:
        """Load a model, in the memory that idle ones may have to leave."""
        settings, budget = self._settings, self._settings.models_memory_bytes
        options = {name: row.options.get(name, getattr(settings, name)) for name in _OPTIONS}
        async with self._making_room:
            path = await self._threads.run(partial(_model_path, row.source))
            await self._drop_retired()
            if budget is None:
                return await self._open_in_what_is_free(path, options, model)
            need = await self._threads.run(partial(needs, path, budget_bytes=budget, **options))
            while sum(other.memory_bytes for _, other in self._models.values()) + need.total_bytes > budget:
                await self._evict_one()
            backend = await self._load(path, kv_memory_bytes=need.kv_bytes, **options)
            model.memory_bytes = need.total_bytes
            return backend

    async def _open_in_what_is_free(self, path: Path, options: dict[str, Any], model: LocalModel) -> LocalBackend:
        """Without a budget, a model takes a share of what is free; others leave when that is too little."""
        while True:
            try:
                backend = await self._load(path, **options)
            except EngineError:
                if not any(other.is_idle for _, other in self._models.values()):
                    raise
                await self._evict_one()
            else:
                model.memory_bytes = backend.memory_bytes
                return backend

    async def _load(self, path: Path, **options: Any) -> LocalBackend:
        load = partial(LocalBackend.open, path, watermark=self._watermark, **options)
        return await self._threads.run(load, undo=LocalBackend.free)

    async def _drop_retired(self) -> None:
        """Free what was replaced by a changed entry and is used by nobody any more."""
        for key, (_, model) in list(self._models.items()):
            if key.startswith(_RETIRED) and await model.unload():
                del self._models[key]

    async def _evict_one(self) -> None:
        """Unload the idle model that was not used for longest. Raises NoRoom where all are in use."""
        idle = [model for _, model in self._models.values() if model.is_idle]
        if not idle:
            raise NoRoom
        model = min(idle, key=lambda model: model.used_s)
        log.info("model %s is unloaded: another one needs the memory", model.name)
        await model.unload()


def _model_path(source: str | None) -> Path:
    """Where a model lies; an adapter is merged into the model that it names."""
    if source is not None and (Path(source) / ADAPTER_CONFIG).is_file() and not (Path(source) / "config.json").exists():
        return merged_folder(source)
    return resolve_model(source)
