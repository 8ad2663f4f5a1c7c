"""The models that this server serves, by name: found, loaded within the memory there is, and closed at the end."""

from pathlib import Path

import anyio.to_thread

from chatwright.model.catalog import DEFAULT_NAME
from chatwright.server.answering import Served
from chatwright.server.backends.local import LocalBackend
from chatwright.server.errors import ApiError
from chatwright.server.models.local_model import LocalModel
from chatwright.server.principal import Principal
from chatwright.server.settings import ServerSettings


class ModelPool:
    """Implements :class:`~chatwright.server.answering.Models`.

    Args:
        settings: name the default model and how models are loaded.

    Attributes:
        default_name: the model for requests that name none.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self.default_name = served_name(settings)
        self._settings = settings
        self._models = {self.default_name: LocalModel(self.default_name, self._open)}

    async def find(self, name: str | None, principal: Principal) -> Served:
        """See :class:`~chatwright.server.answering.Models`."""
        model = self._models.get(name or self.default_name)
        if model is None:
            raise ApiError(
                404,
                principal.say(
                    f"there is no model {name!r}; GET /v1/models lists those that you may use",
                    f"没有名为 {name!r} 的模型；GET /v1/models 列出可用的模型",
                ),
                code="model_not_found",
                param="model",
            )
        await model.load()
        return Served(model.name, model)

    async def close(self) -> None:
        """Free every model; answers in flight end with EngineError."""
        for model in self._models.values():
            await model.close()

    async def _open(self, model: LocalModel) -> LocalBackend:
        settings = self._settings
        return await anyio.to_thread.run_sync(
            lambda: LocalBackend.open(
                settings.model,
                device=settings.device,
                dtype=settings.dtype,
                max_model_len=settings.max_model_len,
                kv_memory_bytes=settings.models_memory_bytes and settings.models_memory_bytes // 4,
            )
        )


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
