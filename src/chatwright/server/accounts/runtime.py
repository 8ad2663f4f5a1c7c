"""Settings that administrators change while the server runs, kept in the database over those of the start.

::

    if (await services.runtime.values()).admins_read_chats: ...
"""

import logging
import time
from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import delete, select

from chatwright.server.accounts.audit import AuditLog
from chatwright.server.database import Database
from chatwright.server.database.tables import ServerSetting
from chatwright.server.errors import ApiError
from chatwright.server.identifiers import now_ms
from chatwright.server.principal import Principal
from chatwright.server.settings import ModerationPolicy, ServerSettings, SignUp

log = logging.getLogger(__name__)

_FRESH_S: Final = 1.0  # how long another process's change may go unnoticed


class RuntimeValues(BaseModel):
    """What administrators may change without a restart. A room that needs another setting adds its field here."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    sign_up: SignUp = Field(description="who may make an account")
    moderation: ModerationPolicy = Field(description="what is done with abuse")
    admins_read_chats: bool = Field(description="whether administrators may read what people write")
    retention_days: int | None = Field(ge=1, le=36_500, description="conversations are deleted after so many days")
    redact_before_storage: bool = Field(description="take personal data out of what is stored")
    redact_before_training: bool = Field(description="take personal data out of what is trained on")
    redact_before_upstream: bool = Field(description="take personal data out of what is sent to other servers")
    default_model: str | None = Field(
        default=None,
        min_length=1,
        max_length=255,
        pattern=r"^[^\x00-\x1f\x7f]+$",
        description="model that answers where none is named",
    )


class RuntimeSettings:
    """The settings as they are now. Reading is cheap: the database is asked at most once a second.

    Args:
        database: holds what administrators changed.
        settings: of the start: what holds where nothing was changed.
        audit: is told of every change.
    """

    def __init__(self, database: Database, settings: ServerSettings, audit: AuditLog) -> None:
        self._database = database
        self._audit = audit
        given = {name: getattr(settings, name) for name in RuntimeValues.model_fields if hasattr(settings, name)}
        self.defaults = RuntimeValues(**given)
        self._values = self.defaults
        self._read_at = -_FRESH_S

    async def values(self) -> RuntimeValues:
        """All of them."""
        if time.monotonic() - self._read_at >= _FRESH_S:
            self._values = self.defaults.model_copy(update=self._valid(await self.changed()))
            self._read_at = time.monotonic()
        return self._values

    async def get(self, name: str) -> Any:
        """One of them."""
        return getattr(await self.values(), name)

    async def changed(self) -> dict[str, Any]:
        """What administrators set, by name, as the database has it."""
        async with self._database.read() as session:
            rows = await session.scalars(
                select(ServerSetting).where(ServerSetting.name.in_(RuntimeValues.model_fields))
            )
            return {row.name: row.value for row in rows}

    async def change(self, admin: Principal, changes: Mapping[str, Any]) -> RuntimeValues:
        """Set some of them.

        Args:
            admin: who does it.
            changes: new values by name.

        Raises:
            ApiError: 400 for an unknown name or a value that is not allowed; nothing is changed then.
        """
        try:
            RuntimeValues.model_validate({**self.defaults.model_dump(), **changes})
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(map(str, first["loc"]))
            raise ApiError(400, f"{name}: {first['msg']}", code="invalid_value", param=name) from None
        async with self._database.write() as session:
            for name, value in changes.items():
                row = ServerSetting(name=name, value=value, changed_ms=now_ms(), changed_by=admin.user_id)
                await session.merge(row)
            await self._audit.record(admin, "settings.change", detail=changes, session=session)
        return await self._fresh()

    async def reset(self, admin: Principal, name: str) -> RuntimeValues:
        """Let the value of the start hold again."""
        async with self._database.write() as session:
            await session.execute(delete(ServerSetting).where(ServerSetting.name == name))
            await self._audit.record(admin, "settings.reset", name, session=session)
        return await self._fresh()

    async def _fresh(self) -> RuntimeValues:
        self._read_at = -_FRESH_S
        return await self.values()

    def _valid(self, stored: dict[str, Any]) -> dict[str, Any]:
        """The stored values without those that this version of the server does not allow."""
        valid = {}
        for name, value in stored.items():
            try:
                RuntimeValues.model_validate({**self.defaults.model_dump(), name: value})
            except ValidationError:
                log.warning("the stored setting %s is not allowed any more and is ignored", name)
            else:
                valid[name] = value
        return valid
