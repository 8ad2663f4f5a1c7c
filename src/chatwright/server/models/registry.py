"""The rows behind the models and upstreams that administrators, and fine-tuning jobs, have added."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Select, delete, select
from sqlalchemy.exc import IntegrityError

from chatwright.server.database import Database
from chatwright.server.database.tables import ServedModel, Upstream
from chatwright.server.errors import ApiError, not_found
from chatwright.server.identifiers import new_id, now_ms
from chatwright.server.principal import Principal


class ModelRegistry:
    """Reads and writes the tables of models.

    Args:
        database: that holds them.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, name: str, principal: Principal) -> tuple[ServedModel, Upstream | None] | None:
        """A model that somebody may use, with the server that it is on; None where there is none by that name."""
        query = _usable(principal).add_columns(Upstream).outerjoin(Upstream, Upstream.id == ServedModel.upstream_id)
        async with self._database.read() as session:
            row = (await session.execute(query.where(ServedModel.name == name))).first()
        if row is None or (row[1] is not None and not row[1].enabled):
            return None
        return row[0], row[1]

    async def usable(self, principal: Principal) -> list[ServedModel]:
        """Every model that somebody may use, by name."""
        query = _usable(principal).outerjoin(Upstream, Upstream.id == ServedModel.upstream_id)
        query = query.where(ServedModel.upstream_id.is_(None) | Upstream.enabled.is_(True)).order_by(ServedModel.name)
        async with self._database.read() as session:
            return list(await session.scalars(query))

    async def all(self) -> list[ServedModel]:
        """Every model, for administrators."""
        async with self._database.read() as session:
            return list(await session.scalars(select(ServedModel).order_by(ServedModel.name)))

    async def one(self, name: str) -> ServedModel:
        """A model by name. Raises ApiError 404."""
        async with self._database.read() as session:
            row = await session.get(ServedModel, name)
        if row is None:
            raise not_found("model", name)
        return row

    async def add(self, model: ServedModel) -> None:
        """Serve a model. Raises ApiError 409 where its name is taken."""
        try:
            async with self._database.write() as session:
                session.add(model)
        except IntegrityError:
            raise _taken("model", model.name) from None

    async def change(self, name: str, changes: Mapping[str, Any]) -> ServedModel:
        """Change a model's columns. Raises ApiError 404."""
        async with self._database.write() as session:
            row = await session.get(ServedModel, name)
            if row is None:
                raise not_found("model", name)
            for column, value in changes.items():
                setattr(row, column, value)
        return row

    async def remove(self, name: str) -> None:
        """Serve a model no longer."""
        async with self._database.write() as session:
            await session.execute(delete(ServedModel).where(ServedModel.name == name))

    async def upstreams(self) -> list[Upstream]:
        """Every upstream, by name."""
        async with self._database.read() as session:
            return list(await session.scalars(select(Upstream).order_by(Upstream.name)))

    async def upstream(self, upstream_id: str) -> Upstream:
        """An upstream by id. Raises ApiError 404."""
        async with self._database.read() as session:
            row = await session.get(Upstream, upstream_id)
        if row is None:
            raise not_found("upstream", upstream_id)
        return row

    async def add_upstream(self, **columns: Any) -> Upstream:
        """Know another server. Raises ApiError 409 where its name is taken."""
        row = Upstream(id=new_id("up_"), created_ms=now_ms(), **columns)
        try:
            async with self._database.write() as session:
                session.add(row)
        except IntegrityError:
            raise _taken("upstream", row.name) from None
        return row

    async def change_upstream(self, upstream_id: str, changes: Mapping[str, Any]) -> Upstream:
        """Change an upstream's columns. Raises ApiError 404, 409."""
        try:
            async with self._database.write() as session:
                row = await session.get(Upstream, upstream_id)
                if row is None:
                    raise not_found("upstream", upstream_id)
                for column, value in changes.items():
                    setattr(row, column, value)
        except IntegrityError:
            raise _taken("upstream", str(changes.get("name"))) from None
        return row

    async def remove_upstream(self, upstream_id: str) -> None:
        """Forget an upstream, with the models that it serves."""
        async with self._database.write() as session:
            await session.execute(delete(ServedModel).where(ServedModel.upstream_id == upstream_id))
            await session.execute(delete(Upstream).where(Upstream.id == upstream_id))


def may_use(model: ServedModel, principal: Principal) -> bool:
    """Whether a model is everybody's, one's own, or the caller an administrator."""
    return model.owner_id is None or principal.is_admin or model.owner_id == principal.user_id


def _usable(principal: Principal) -> Select[ServedModel]:
    """The rule of :func:`may_use` as a query."""
    query = select(ServedModel).where(ServedModel.enabled.is_(True))
    if principal.is_admin:
        return query
    return query.where(ServedModel.owner_id.is_(None) | (ServedModel.owner_id == (principal.user_id or None)))


def _taken(what: str, name: str) -> ApiError:
    return ApiError(
        409, f"there is a {what} {name!r} already; choose another name", code=f"{what}_exists", param="name"
    )
