"""What is refused, when, and in which words."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.server.conftest import Client
from tests.server.jobs.conftest import Job, Tuner, chats, eventually, lines, preferences

pytestmark = pytest.mark.anyio

GOOD = json.loads(chats(1))
PAIR = json.loads(preferences(1))


async def failed(tuner: Tuner, job: Job) -> dict[str, Any]:
    async def look() -> Job | None:
        found = await tuner.get(job)
        assert found["status"] in ("validating_files", "failed"), found
        return found if found["status"] == "failed" else None

    error: dict[str, Any] = (await eventually(look))["error"]
    return error


UNUSABLE = [
    ("supervised", lines([GOOD] * 9), "the file has 9 examples"),
    ("supervised", lines([GOOD] * 11) + b'{"messages": [}\n', "line 12: not JSON"),
    ("supervised", lines([GOOD, 7] + [GOOD] * 9), "line 2: it is a number; every line must be an object"),
    ("supervised", b"\n" + lines([GOOD, {"messages": "hello"}]), "line 3: messages is"),
    (
        "supervised",
        lines([GOOD, {"messages": [{"role": "wizard", "content": "x"}]}]),
        "line 2: messages, message 1",
    ),
    ("supervised", lines([{"messages": GOOD["messages"][:1]}]), "line 1: the last message is the user's"),
    ("supervised", lines([GOOD, PAIR]), "line 2: "),
    ("supervised", b'{"messages": [{"role": "user", "content": "\\ud800"}]}\n', "line 1: "),
    ("supervised", b"\xff\xfe\x00garbage\x00", "line 1: "),
    ("supervised", b'{"a":' * 5000 + b"\n", "line 1: not JSON"),
    ("dpo", lines([PAIR, GOOD]), "line 2: it is no example for the method dpo"),
    ("dpo", lines([PAIR | {"input": "x"}]), "line 1: input must be an object"),
    (
        "dpo",
        lines([PAIR | {"preferred_output": PAIR["non_preferred_output"]}]),
        "line 1: chosen and rejected are equal",
    ),
]


async def test_a_line_that_cannot_be_used_is_named(tuner: Tuner) -> None:
    jobs = [(await tuner.create(content, method={"type": method}), words) for method, content, words in UNUSABLE]
    for job, words in jobs:
        error = await failed(tuner, job)
        assert (error["code"], error["param"]) == ("invalid_file", "training_file"), error
        assert error["message"].startswith(words), error
        assert "/" not in error["message"], "no path of this machine"


async def test_the_validation_file_is_checked_too(tuner: Tuner) -> None:
    job = await tuner.create(validation_file=await tuner.upload(lines([PAIR])))
    assert (await failed(tuner, job))["param"] == "validation_file"


BAD_WISHES: list[tuple[dict[str, Any], int, str | None]] = [
    ({"model": "no-such"}, 404, "model"),
    ({"model": "/etc"}, 404, "model"),
    ({"model": "../tiny"}, 404, "model"),
    ({"model": None}, 400, "model"),
    ({"training_file": "file-none"}, 400, "training_file"),
    ({"training_file": "../x"}, 400, "training_file"),
    ({"validation_file": "file-none"}, 400, "validation_file"),
    ({"integrations": [{"type": "wandb", "wandb": {"project": "x"}}]}, 400, "integrations"),
    ({"suffix": "../up"}, 400, "suffix"),
    ({"suffix": "x" * 65}, 400, "suffix"),
    ({"seed": -1}, 400, "seed"),
    ({"seed": 1.5}, 400, "seed"),
    ({"seed": 2**63}, 400, "seed"),
    ({"metadata": {str(number): "x" for number in range(17)}}, 400, "metadata"),
    ({"metadata": {"k": "\0"}}, 400, "metadata.k"),
    ({"method": {"type": "reinforcement"}}, 400, "method.type"),
    ({"method": {"type": "supervised", "dpo": {}}}, 400, "method"),
    ({"method": {"type": "dpo", "dpo": {"hyperparameters": {"beta": 0}}}}, 400, None),
    ({"method": {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 1e9}}}}, 400, None),
    ({"method": {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": True}}}}, 400, None),
    ({"hyperparameters": {"learning_rate_multiplier": "fast"}}, 400, None),
    ({"hyperparameters": {}, "method": {"type": "supervised"}}, 400, None),
    ({"n_epochs": 3}, 400, "n_epochs"),
]


async def test_case_12_bad_wishes_are_refused_at_once(tuner: Tuner) -> None:
    training = await tuner.upload(chats())
    for fields, status, param in BAD_WISHES:
        answer = await tuner.post("", {"model": "tiny", "training_file": training} | fields)
        assert answer.status_code == status, answer.text
        error = answer.json()["error"]
        assert set(error) == {"message", "type", "param", "code"}
        assert param is None or error["param"] == param, error
    assert (await tuner.http.get("/v1/fine_tuning/jobs")).json()["data"] == []


@pytest.mark.parametrize(
    "body", [b'{"model": "\\ud800", "training_file": "file-x"}', b"NaN", b"[" * 100_000, b"", b"null"]
)
async def test_case_12_bodies_that_are_no_wishes(tuner: Tuner, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    answer = await tuner.http.post("/v1/fine_tuning/jobs", content=body, headers=headers)
    assert 400 <= answer.status_code < 500, answer.text


async def test_a_file_for_something_else_is_refused(tuner: Tuner) -> None:
    answer = await tuner.post("", {"model": "tiny", "training_file": await tuner.upload(chats(), "vision")})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_file")


async def test_case_1_files_and_jobs_of_others_are_absent(client: Client, tmp_path: Path) -> None:
    """Every route by which one person could reach another's file, upload or job."""
    async with client(sign_up="open", max_fine_tuning_jobs=0) as http:
        keys = [await _key_of(http, name) for name in ("owner", "other")]
        owner, other = (Tuner(_Keyed(http, key)) for key in keys)  # type: ignore[arg-type]
        job = await owner.create()
        file = job["training_file"]
        body = {"bytes": 1, "filename": "a", "mime_type": "b", "purpose": "fine-tune"}
        upload = (await owner.http.post("/v1/uploads", json=body)).json()["id"]
        jobs = f"/v1/fine_tuning/jobs/{job['id']}"
        for method, path in (
            ("GET", f"/v1/files/{file}"),
            ("GET", f"/v1/files/{file}/content"),
            ("DELETE", f"/v1/files/{file}"),
            ("POST", f"/v1/uploads/{upload}/cancel"),
            ("GET", jobs),
            ("GET", f"{jobs}/events"),
            ("GET", f"{jobs}/checkpoints"),
            ("POST", f"{jobs}/cancel"),
            ("POST", f"{jobs}/pause"),
            ("POST", f"{jobs}/resume"),
            ("DELETE", jobs),
        ):
            assert (await other.http.request(method, path)).status_code == 404, path
            assert (await http.request(method, path)).status_code == 401, path
        stolen = await other.post("", {"model": "tiny", "training_file": file})
        assert stolen.json()["error"]["code"] == "file_not_found"
        for path in ("/v1/files", "/v1/fine_tuning/jobs"):
            assert (await other.http.get(path)).json()["data"] == []
            assert len((await owner.http.get(path)).json()["data"]) == 1


class _Keyed:
    """A client that sends an API key."""

    def __init__(self, http: httpx.AsyncClient, key: str) -> None:
        self._http, self._headers = http, {"Authorization": f"Bearer {key}"}

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            headers = self._headers | options.pop("headers", {})
            return getattr(self._http, name)(*arguments, headers=headers, **options)

        return call


async def _key_of(http: httpx.AsyncClient, name: str) -> str:
    password = {"name": name, "password": "correct horse battery"}
    assert (await http.post("/api/sign-up", json=password)).status_code < 300
    made = await http.post("/api/me/keys", json={"name": "k", "scopes": ["files", "fine_tuning"]})
    assert made.status_code < 300, made.text
    await http.post("/api/sign-out")
    http.cookies.clear()
    key: str = made.json()["key"]
    return key
