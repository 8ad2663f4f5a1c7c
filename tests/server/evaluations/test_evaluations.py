"""Reports of evaluations, as administrators see them."""

import json
from pathlib import Path
from typing import Any

import pytest

from chatwright.eval.intervals import share
from chatwright.eval.report import EvalReport, TaskResult
from tests.server.conftest import Client


def report(name: str, created: str, right: int) -> EvalReport:
    task = TaskResult(
        name="sums",
        kind="exact",
        n=10,
        figures={"accuracy": share([1.0] * right + [0.0] * (10 - right))},
        form="chat",
        settings={},
        counts={"truncated": 1},
        samples=[{"question": "a secret", "answer": "x"}],
    )
    return EvalReport(
        model={"name": name, "parameters": 7, "max_model_len": 64},
        tasks=(task,),
        seed=0,
        settings={"limit": None},
        versions={},
        created=created,
    )


@pytest.mark.anyio
async def test_reports_are_shown_the_newest_first_without_their_samples(client: Client, tmp_path: Path) -> None:
    folder = tmp_path / "home" / "evaluations"
    report("old", "2026-01-01T00:00:00+00:00", 3).save(folder / "first")
    report("new", "2026-02-01T00:00:00+00:00", 9).save(folder / "again" / "second.json")
    async with client(accounts=False) as http:
        answer = await http.get("/api/admin/evaluations")
    assert answer.status_code == 200, answer.text
    assert "a secret" not in answer.text
    found = answer.json()
    assert found["folder"] == str(folder)
    assert [(row["id"], row["model"]["name"]) for row in found["data"]] == [("again/second", "new"), ("first", "old")]
    sums = found["data"][0]["tasks"]["sums"]
    assert (sums["n"], sums["counts"]) == (10, {"truncated": 1})
    accuracy = sums["figures"]["accuracy"]
    assert accuracy["low"] < accuracy["value"] == 0.9 < accuracy["high"]


@pytest.mark.anyio
async def test_what_is_no_report_is_passed_over(client: Client, tmp_path: Path) -> None:
    folder = tmp_path / "home" / "evaluations"
    folder.mkdir(parents=True)
    good = report("tiny", "2026-01-01T00:00:00+00:00", 5).to_json()
    bad: dict[str, Any] = {
        "list": [1],
        "later": good | {"schema": 2},
        "run": {"schema": 1, "stages": []},
        "figures": good | {"tasks": {"sums": {"kind": "exact", "n": 1, "figures": {"accuracy": {"value": None}}}}},
    }
    for name, content in bad.items():
        (folder / f"{name}.json").write_text(json.dumps(content), "utf-8")
    (folder / "broken.json").write_text('{"schema": 1, "tasks":', "utf-8")
    (folder / "deep.json").write_text("[" * 100_000, "utf-8")
    (folder / "elsewhere.json").symlink_to("/etc/passwd")
    (folder / "good.json").write_text(json.dumps(good), "utf-8")
    async with client(accounts=False) as http:
        found = (await http.get("/api/admin/evaluations")).json()["data"]
    assert [row["id"] for row in found] == ["good"]


@pytest.mark.anyio
async def test_a_server_without_evaluations_says_so(client: Client) -> None:
    async with client(accounts=False) as http:
        assert (await http.get("/api/admin/evaluations")).json()["data"] == []
