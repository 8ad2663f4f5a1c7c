"""What administrators do to models and upstreams: checked, then written down in the record."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal

import anyio.to_thread

from chatwright.errors import ChatwrightError, ModelNotFoundError
from chatwright.model.resolve import resolve_model
from chatwright.server.accounts.audit import AuditLog
from chatwright.server.accounts.runtime import RuntimeSettings
from chatwright.server.backends.upstream_address import checked_url
from chatwright.server.database.tables import ServedModel, Upstream
from chatwright.server.errors import ApiError
from chatwright.server.identifiers import now_ms
from chatwright.server.models.pool import ModelPool, ModelState
from chatwright.server.principal import Principal

_OPTIONS: Final = ("allow_private", "read_seconds")  # of an upstream, kept in its column of options
_MAX_LISTED: Final = 1000


@dataclass(frozen=True, slots=True)
class Promotion:
    """A model became the one that answers where none is named.

    Attributes:
        model: its name.
        at_ms: when.
        actor_name: who did it.
    """

    model: str
    at_ms: int
    actor_name: str


class ModelAdministration:
    """Changes what is served.

    Args:
        models: that are served.
        runtime: holds the default model.
        audit: the record.
    """

    def __init__(self, models: ModelPool, runtime: RuntimeSettings, audit: AuditLog) -> None:
        self._models = models
        self._registry = models.registry
        self._runtime = runtime
        self._audit = audit

    async def add(
        self,
        admin: Principal,
        name: str,
        kind: Literal["local", "upstream"],
        source: str,
        *,
        upstream_id: str | None,
        options: Mapping[str, Any],
    ) -> ModelState:
        """Serve a further model.

        Raises:
            ApiError: 400 where the model is not there, 404 for the upstream, 409 where the name is taken.
        """
        if name == self._models.fixed_name:
            raise ApiError(409, f"there is a model {name!r} already; choose another name", code="model_exists")
        if kind == "upstream":
            if upstream_id is None:
                raise ApiError(400, "a model on another server needs upstream_id", param="upstream_id")
            await self._registry.upstream(upstream_id)
        else:
            if upstream_id is not None:
                raise ApiError(400, "a model on this machine has no upstream_id; leave it out", param="upstream_id")
            await self._check_source(source)
        row = ServedModel(
            name=name,
            kind=kind,
            source=source,
            upstream_id=upstream_id,
            options=dict(options),
            enabled=True,
            version="",
            created_ms=now_ms(),
        )
        await self._registry.add(row)
        await self._audit.record(admin, "model.add", name, {"kind": kind, "source": source})
        return await self._models.state(name)

    async def change(self, admin: Principal, name: str, changes: Mapping[str, Any]) -> ModelState:
        """Change a model. Raises ApiError 404; 409 for the one that the settings name."""
        if name == self._models.fixed_name:
            raise ApiError(
                409,
                f"the model {name!r} is the one that the server's settings name; change it there",
                code="model_is_fixed",
            )
        await self._registry.change(name, changes)
        await self._audit.record(admin, "model.change", name, changes)
        return await self._models.state(name)

    async def make_default(self, admin: Principal, name: str) -> ModelState:
        """Let a model answer where none is named. Raises ApiError 404; 409 for one that is somebody's own."""
        state = await self._models.state(name)
        if state.row.owner_id is not None or not state.row.enabled:
            raise ApiError(
                409, f"the model {name!r} is not one that everybody may use", code="model_is_private", param="name"
            )
        if name == self._models.fixed_name:
            await self._runtime.reset(admin, "default_model")
        else:
            await self._runtime.change(admin, {"default_model": name})
        return await self._models.state(name)

    async def promotions(self) -> list[Promotion]:
        """Which models answered where none is named, the newest first; the settings' own from the beginning on.

        Read from the record, so that it is right whichever way the default was set.
        """
        entries = await self._audit.of_actions("settings.change", "settings.reset", limit=_MAX_LISTED)
        found = []
        for entry in entries:
            if entry.action == "settings.change" and "default_model" in entry.detail:
                name = entry.detail["default_model"] or self._models.fixed_name
            elif entry.action == "settings.reset" and entry.target == "default_model":
                name = self._models.fixed_name
            else:
                continue
            found.append(Promotion(name, entry.at_ms, entry.actor_name))
        return found

    async def add_upstream(self, admin: Principal, columns: Mapping[str, Any]) -> Upstream:
        """Know another server. Raises InvalidParameterError, ApiError 409."""
        row = await self._registry.add_upstream(**_columns(columns, {}))
        await self._audit.record(admin, "upstream.add", row.name, {"base_url": row.base_url})
        return row

    async def change_upstream(self, admin: Principal, upstream_id: str, changes: Mapping[str, Any]) -> Upstream:
        """Change another server's entry. Raises InvalidParameterError, ApiError 404, 409."""
        for name, value in changes.items():
            if value is None and name != "api_key":
                raise ApiError(400, f"{name} cannot be null; leave it out to keep it", param=name)
        before = await self._registry.upstream(upstream_id)
        row = await self._registry.change_upstream(upstream_id, _columns(changes, before.options))
        told = {name: "changed" if name == "api_key" else value for name, value in changes.items()}
        await self._audit.record(admin, "upstream.change", row.name, told)
        return row

    async def remove_upstream(self, admin: Principal, upstream_id: str) -> None:
        """Forget another server with its models. Raises ApiError 404."""
        row = await self._registry.upstream(upstream_id)
        await self._registry.remove_upstream(upstream_id)
        await self._audit.record(admin, "upstream.remove", row.name)

    async def check(self, upstream_id: str) -> tuple[Literal["ready", "failed"], str, list[str]]:
        """Ask another server for its models: state, what is wrong, their names. Raises ApiError 404."""
        client = self._models.client(await self._registry.upstream(upstream_id))
        try:
            with anyio.fail_after(10):
                answer = await client.get("/models")
        except TimeoutError:
            return "failed", "it does not answer in time", []
        except ChatwrightError as error:
            cause = error.__cause__  # who administers the server may know the address and what is wrong with it
            return "failed", f"{error} ({cause})" if cause is not None else str(error), []
        entries = answer.get("data") if isinstance(answer, dict) else None
        if not isinstance(entries, list):
            return "failed", "it does not answer in OpenAI's form; does the address end in /v1?", []
        names = [entry["id"] for entry in entries if isinstance(entry, dict) and isinstance(entry.get("id"), str)]
        return "ready", "", names[:_MAX_LISTED]

    async def _check_source(self, source: str) -> None:
        try:
            await anyio.to_thread.run_sync(partial(resolve_model, source))
        except ModelNotFoundError as error:
            raise ApiError(400, str(error), code="invalid_value", param="source") from None
        except ChatwrightError as error:
            raise ApiError(400, f"the model cannot be used: {error}", code="invalid_value", param="source") from None


def _columns(given: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Columns of an upstream from what a request gave."""
    columns = {name: value for name, value in given.items() if name not in _OPTIONS}
    if "base_url" in columns:
        columns["base_url"] = str(checked_url(columns["base_url"]))
    if found := {name: given[name] for name in _OPTIONS if name in given}:
        columns["options"] = {**options, **found}
    return columns
