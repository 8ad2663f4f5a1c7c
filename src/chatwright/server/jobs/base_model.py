"""Which models can be fine-tuned, by the names that clients use."""

from chatwright.server.database.tables import ServedModel
from chatwright.server.errors import ApiError
from chatwright.server.models.pool import ModelPool
from chatwright.server.principal import Principal


class BaseModels:
    """Finds models to train. A name is never taken for a path: only what is served is found.

    Args:
        models: that are served.
    """

    def __init__(self, models: ModelPool) -> None:
        self._models = models

    async def check(self, principal: Principal, name: str) -> None:
        """Whether somebody may fine-tune a model.

        Raises:
            ApiError: 404 for one that does not exist or is somebody else's, 400 for one that runs on another server.
        """
        _local(await self._models.row(name, principal))

    async def source(self, name: str) -> str:
        """Where a model lies, as :func:`chatwright.resolve_model` understands it; who may train it was checked before.

        Raises:
            ApiError: it is not served any more.
        """
        if name == self._models.fixed_name:
            return self._models.fixed_source
        return _local(await self._models.registry.one(name))


def _local(row: ServedModel) -> str:
    if row.kind != "local":
        message = f"{row.name!r} runs on another server and cannot be trained here"
        raise ApiError(400, message, code="model_not_trainable", param="model")
    return row.source
