"""Who may call what: every route of the application against every kind of caller.

The routes are taken from the router, so that a new one is tested without anybody thinking of it. Callers are given to
the application rather than signed in: that credentials are recognised rightly is tested in accounts/.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts

from chatwright.server.app import create_app
from chatwright.server.database.tables import User
from chatwright.server.identifiers import now_ms
from chatwright.server.policy import Policy
from chatwright.server.principal import SCOPES, Principal
from chatwright.server.settings import ServerSettings
from tests.server.conftest import MakeSettings

# What the framework itself serves: the description of the API, which says nothing of anybody.
WITHOUT_POLICY = {"/openapi.json"}


@dataclass(frozen=True)
class Operation:
    """A method of a route, and what it declares."""

    method: str
    path: str
    policies: tuple[Policy, ...]
    dependant: Dependant

    @property
    def policy(self) -> Policy:
        return self.policies[0]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    def url(self, **names: str) -> str:
        """The path with its parameters filled in; ``no-such`` where none is given."""
        values = {parameter.name: names.get(parameter.name, "no-such") for parameter in self.dependant.path_params}
        return self.path.replace(":path}", "}").format(**values)


def operations(app: FastAPI) -> list[Operation]:
    """Every operation of the application."""
    found = []
    for route in iter_route_contexts(app.routes):
        if route.path in WITHOUT_POLICY:
            continue
        dependant = getattr(route, "dependant", None)
        assert isinstance(dependant, Dependant), f"{route.path} is no route of FastAPI: it cannot declare a policy"
        policies = tuple(_policies(dependant))
        found += [Operation(method, str(route.path), policies, dependant) for method in sorted(route.methods or ())]
    return found


def _policies(dependant: Dependant) -> Iterator[Policy]:
    for part in dependant.dependencies:
        if isinstance(part.call, Policy):
            yield part.call
        yield from _policies(part)


def _caller(name: str, **given: Any) -> Principal:
    everything: dict[str, Any] = {"scopes": frozenset(SCOPES), "channel": "session", "session_id": f"ses_{name}"}
    return Principal(**({"user_id": f"user_{name}", "name": name, "role": "user"} | everything | given))


CALLERS = {
    "anonymous": Principal(),
    "alice": _caller("alice"),
    "bob": _caller("bob"),
    "admin": _caller("admin", role="admin"),
    "alice's key for nothing": _caller("alice", channel="key", key_id="key_1", session_id=None, scopes=frozenset()),
    "admin's key for inference": _caller(
        "admin", role="admin", channel="key", key_id="key_2", session_id=None, scopes=frozenset({"inference"})
    ),
}


@asynccontextmanager
async def serving(settings: ServerSettings) -> AsyncIterator[tuple[FastAPI, httpx.AsyncClient]]:
    """The application, which believes the header ``x-test-caller``."""
    app = create_app(settings)

    async def identify(request: Request) -> Principal:
        return CALLERS[request.headers["x-test-caller"]]

    async with app.router.lifespan_context(app):
        app.state.identify = identify
        async with app.state.services.database.write() as db:
            for name, role in (("alice", "user"), ("bob", "user"), ("admin", "admin")):
                db.add(User(id=f"user_{name}", name=name, name_key=name, role=role, created_ms=now_ms()))
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as http:
            yield app, http


async def ask(http: httpx.AsyncClient, caller: str, operation: Operation, url: str, body: Any = None) -> httpx.Response:
    """Call an operation with a body that a server accepts as JSON at least."""
    has_body = operation.method in ("POST", "PUT", "PATCH")
    headers = {"x-test-caller": caller}
    return await http.request(operation.method, url, headers=headers, json=(body or {}) if has_body else None)


def test_case_2_every_route_declares_exactly_one_policy(make_settings: MakeSettings) -> None:
    found = operations(create_app(make_settings()))
    assert len(found) > 10
    assert [str(operation) for operation in found if len(operation.policies) != 1] == []


def test_nothing_but_what_must_be_is_public(make_settings: MakeSettings) -> None:
    """A new public route is a decision: it is written down here."""
    found = operations(create_app(make_settings()))
    public = {str(operation) for operation in found if operation.policy.access == "public"}
    assert public <= {
        "GET /health",
        "GET /ready",
        "GET /metrics",
        "GET /api/setup",
        "POST /api/sign-up",
        "POST /api/sign-in",
        "GET /api/oidc/start",
        "GET /api/oidc/callback",
        "GET /api/shared/{share_id}",
    }


@pytest.mark.anyio
async def test_routes_refuse_whom_they_are_not_for(make_settings: MakeSettings) -> None:
    wrong = []
    async with serving(make_settings()) as (app, http):
        for operation in operations(app):
            expected = dict.fromkeys(CALLERS, 0)  # 0: not refused by the policy
            if operation.policy.access != "public":
                expected["anonymous"] = 401
                expected["alice's key for nothing"] = 403
                if operation.policy.scope != "inference":
                    expected["admin's key for inference"] = 403
            if operation.policy.access == "admin":
                expected["alice"] = expected["bob"] = 403
            for caller, status in expected.items():
                if status:
                    answer = await ask(http, caller, operation, operation.url())
                    if answer.status_code != status or set(answer.json().get("error", ())) != _FOUR_KEYS:
                        wrong.append(f"{operation} as {caller}: {answer.status_code} {answer.text[:100]}")
    assert wrong == []


_FOUR_KEYS = {"message", "type", "param", "code"}
