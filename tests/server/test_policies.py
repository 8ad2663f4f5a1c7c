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
from chatwright.server.database import tables
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
                db.add(tables.User(id=f"user_{name}", name=name, name_key=name, role=role, created_ms=now_ms()))
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as http:
            yield app, http


async def ask(
    http: httpx.AsyncClient, caller: str, operation: Operation, url: str, body: dict[str, Any] | None = None
) -> httpx.Response:
    """Call an operation, with a body (arguments of httpx) that a server can read at least."""
    if body is None:
        body = {"json": {}} if operation.method in ("POST", "PUT", "PATCH") else {}
    return await http.request(operation.method, url, headers={"x-test-caller": caller}, **body)


def test_case_2_every_route_declares_exactly_one_policy(make_settings: MakeSettings) -> None:
    found = operations(create_app(make_settings()))
    assert len(found) > 10
    assert [str(operation) for operation in found if len(operation.policies) != 1] == []


def test_nothing_but_what_must_be_is_public(make_settings: MakeSettings) -> None:
    """A new public route is a decision: it is written down here."""
    found = operations(create_app(make_settings()))
    page = "chatwright.server.page"  # files that are the same for everybody
    public = {
        str(operation)
        for operation in found
        if operation.policy.access == "public" and not operation.dependant.call.__module__.startswith(page)
    }
    assert public <= {
        "GET /health",
        "GET /ready",
        "GET /metrics",
        "GET /api/setup",
        "POST /api/sign-up",
        "POST /api/sign-in",
        "POST /api/sign-out",
        "POST /api/oidc/start",
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


async def belongings(app: FastAPI) -> dict[str, dict[str, str]]:
    """Rows of alice's and bob's in every table that a path can name; their ids by the paths' parameters."""
    ids: dict[str, dict[str, str]] = {}
    async with app.state.services.database.write() as db:
        for name in ("alice", "bob"):
            user, own = f"user_{name}", {}
            for parameter, row in _rows(name, user):
                own[parameter] = row.id
                db.add(row)
                await db.flush()
            ids[name] = own
    return ids


def _rows(name: str, user: str) -> Iterator[tuple[str, Any]]:
    now = now_ms()
    yield "folder_id", tables.Folder(id=f"fld_{name}", user_id=user, name="f", created_ms=now)
    for number in ("2", ""):  # the second belongs to the same person: its messages are no children of the first
        conversation = f"conv_{name}{number}"
        yield "conversation_id", tables.Conversation(id=conversation, user_id=user, created_ms=now, updated_ms=now)
        for role, parent in (("user", None), ("assistant", f"msg_{name}_user{number}")):
            yield (
                "message_id",
                tables.MessageRow(
                    id=f"msg_{name}_{role}{number}", conversation_id=conversation, parent_id=parent, role=role,
                    origin="typed" if role == "user" else "generated", content="x", created_ms=now, updated_ms=now,
                ),
            )  # fmt: skip
    leaf = f"msg_{name}_assistant"
    yield (
        "share_id",
        tables.Share(
            id=f"shr_{name}", user_id=user, conversation_id=f"conv_{name}", leaf_id=leaf, title="t",
            snapshot={"title": "t", "messages": []}, created_ms=now,
        ),
    )  # fmt: skip
    file = {"filename": "a.txt", "purpose": "user_data", "size_bytes": 1, "created_ms": now}
    yield "file_id", tables.StoredFile(id=f"file-{name}", user_id=user, sha256="0", **file)
    upload = {**file, "mime_type": "text/plain", "status": "pending", "expires_ms": now + 10**6}
    yield "upload_id", tables.Upload(id=f"upload_{name}", user_id=user, **upload)
    answer = {"input": [], "output": [], "body": {"id": f"resp_{name}", "object": "response"}, "created_ms": now}
    yield "response_id", tables.StoredResponse(id=f"resp_{name}", user_id=user, **answer)
    session = {"user_id": user, "created_ms": now, "used_ms": now, "expires_ms": now + 10**6}
    yield "session_id", tables.Session(id=f"ses_{name}", token_hash=name, **session)
    identity = {"issuer": "https://id.example", "subject": name}
    yield "identity_id", tables.OidcIdentity(id=f"oid_{name}", user_id=user, **identity)
    key = {"name": "k", "prefix": "sk-", "scopes": [], "created_ms": now}
    yield "key_id", tables.ApiKey(id=f"key_{name}", user_id=user, key_hash=name, **key)
    job = {
        "model": "tiny",
        "training_file": f"file-{name}",
        "method": {"type": "supervised"},
        "seed": 1,
        "status": "succeeded",
    }
    yield "job_id", tables.FineTuningJob(id=f"ftjob-{name}", user_id=user, created_ms=now, **job)


# Things of one person that are in no table, or only of an administrator: nobody's, for this test.
ELSEWHERE = {"answer_id", "import_id", "part_id", "model", "model_id", "name", "attachment_id", "checkpoint_id"}


def example(schema: dict[str, Any], components: dict[str, Any]) -> Any:
    """The smallest value of a JSON schema, so that a request is refused for whose thing it names and nothing else."""
    if "$ref" in schema:
        return example(components[schema["$ref"].rsplit("/", 1)[1]], components)
    for choice in ("anyOf", "oneOf", "allOf"):
        if choice in schema:
            return example(schema[choice][0], components)
    if "const" in schema or "enum" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    match schema.get("type"):
        case "object":
            needed = schema.get("required", ())
            return {
                name: example(part, components) for name, part in schema.get("properties", {}).items() if name in needed
            }
        case "array":
            return [example(schema["items"], components)] * schema.get("minItems", 0)
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return True
        case _:
            return "x" * max(schema.get("minLength", 1), 1)


def bodies(app: FastAPI) -> dict[str, dict[str, Any]]:
    """A body that is valid, as arguments of httpx, by operation that takes one."""
    document = app.openapi()
    components = document["components"]["schemas"]
    found: dict[str, dict[str, Any]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            for kind, content in operation.get("requestBody", {}).get("content", {}).items():
                value = example(content["schema"], components)
                is_json = kind == "application/json"
                files = dict.fromkeys({} if is_json else value, ("a.txt", b"x"))
                found[f"{method.upper()} {path}"] = {"json": value} if is_json else {"files": files}
    return found


@pytest.mark.anyio
async def test_case_1_what_belongs_to_somebody_else_is_absent(make_settings: MakeSettings) -> None:
    """Every route that names a thing: as another person, as an administrator, with a child of another parent."""
    wrong = []
    async with serving(make_settings()) as (app, http):
        ids, valid = await belongings(app), bodies(app)
        for operation in operations(app):
            names = {parameter.name for parameter in operation.dependant.path_params}
            if operation.policy.access != "user" or not names - ELSEWHERE:
                continue
            assert names - ELSEWHERE <= ids["alice"].keys(), f"{operation}: give alice one, or list it in ELSEWHERE"
            tries = dict.fromkeys(("bob", "admin"), ids["alice"])
            if len(names) > 1:
                tries["bob"] = ids["bob"] | {"message_id": ids["alice"]["message_id"]}
                tries["alice"] = ids["alice"] | {"message_id": "msg_alice_assistant2"}
            for caller, own in tries.items():
                answer = await ask(http, caller, operation, operation.url(**own), valid.get(str(operation)))
                if answer.status_code != 404 or set(answer.json().get("error", ())) != _FOUR_KEYS:
                    wrong.append(f"{operation} as {caller}: {answer.status_code} {answer.text[:150]}")
        for operation in operations(app):  # and that these ids are found by whom they belong to
            names = {parameter.name for parameter in operation.dependant.path_params}
            if operation.method == "GET" and operation.policy.access == "user" and names and not names & ELSEWHERE:
                answer = await ask(http, "alice", operation, operation.url(**ids["alice"]))
                if answer.status_code in (401, 403) or (answer.status_code == 404 and "file" not in str(operation)):
                    wrong.append(f"{operation} as its owner: {answer.status_code} {answer.text[:150]}")
    assert wrong == []


_FOUR_KEYS = {"message", "type", "param", "code"}
