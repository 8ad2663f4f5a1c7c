"""Which models can be fine-tuned, by the names that clients use."""

from dataclasses import dataclass

from sqlalchemy import or_, select

from chatwright.server.database import Database
from chatwright.server.database.tables import ServedModel
from chatwright.server.errors import ApiError
from chatwright.server.models.pool import served_name
from chatwright.server.settings import ServerSettings


@dataclass(frozen=True, slots=True)
class BaseModel:
    """A model that lies on this machine. ``source`` is as for :func:`chatwright.resolve_model`."""

    name: str
    source: str | None


class BaseModels:
    """Finds models to train. A name is never taken for a path: only what is registered is found.

    Args:
        database: knows the models that were registered.
        settings: name the model of the start.
    """

    def __init__(self, database: Database, settings: ServerSettings) -> None:
        self._database = database
        self._settings = settings

    async def find(self, name: str, user_id: str) -> BaseModel:
        """A model that somebody may fine-tune.

        Raises:
            ApiError: 404 for one that does not exist or is somebody else's, 400 for one that runs on another server.
        """
        async with self._database.read() as session:
            row = await session.scalar(
                select(ServedModel).where(
                    ServedModel.name == name,
                    ServedModel.enabled,
                    or_(ServedModel.owner_id.is_(None), ServedModel.owner_id == user_id),
                )
            )
        if row is not None and row.kind == "local":
            return BaseModel(name, row.source)
        if row is None and name == served_name(self._settings):
            source = self._settings.model
            return BaseModel(name, source)
        if row is not None:
            raise ApiError(
                400,
                f"{name!r} runs on another server and cannot be trained here",
                code="model_not_available",
                param="model",
            )
        raise ApiError(404, f"there is no model {name!r}", code="model_not_found", param="model")
