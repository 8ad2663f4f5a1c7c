"""Judgements become rows to train on with consent alone, about real answers alone, and without personal data."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import update
from typer.testing import CliRunner

from chatwright.cli.admin import app
from chatwright.data.formats import parse_row
from chatwright.data.rows import Preference, Rated
from chatwright.server.database.tables import MessageRow
from chatwright.server.privacy.training import training_rows
from tests.server.conversations.conftest import OpenWorld, World

pytestmark = pytest.mark.anyio


async def rows(world: World) -> list[dict[str, Any]]:
    services = world.services
    return [row async for row in training_rows(services.database, services.privacy)]


async def rate(http: httpx.AsyncClient, message: dict[str, Any], **body: Any) -> None:
    answer = await http.put(f"/api/messages/{message['id']}/rating", json={"thumb": 0} | body)
    assert answer.status_code == 200, answer.text


async def consent(http: httpx.AsyncClient, given: bool) -> None:
    assert (await http.patch("/api/me", json={"training_consent": given})).status_code == 200


async def test_thumbs_edits_and_choices_become_rows_that_training_reads(world: OpenWorld) -> None:
    async with world() as here:
        await consent(here.http, True)
        name = await here.conversation(system_prompt="Be brief.")
        here.model.replies = ["call 13812345678", "5", "4"]
        good = await here.answered(name, "who is a@example.com?")
        bad = await here.answered(name, "2+2?")
        again = await here.http.post(f"/api/conversations/{name}/messages/{bad['id']}/regenerate", json={})
        better = await here.finished(again.json()["messages"][0]["id"])
        await rate(here.http, good, thumb=1, reasons=["helpful"])
        await rate(here.http, bad, thumb=-1, edit="4, of course; ask b@example.com")
        chosen = {"first_id": bad["id"], "second_id": better["id"], "chosen_id": better["id"]}
        assert (await here.http.put("/api/choices", json=chosen)).status_code == 200
        found = {row["meta"]["kind"] + str(row.get("label", "")): row for row in await rows(here)}

        thumb = parse_row(found["ratingTrue"], (Rated,))
        assert isinstance(thumb, Rated)
        assert [m.content for m in thumb.prompt] == ["Be brief.", "who is [EMAIL]?"]
        assert (thumb.completion[0].content, found["ratingTrue"]["meta"]["reasons"]) == ("call [PHONE]", ["helpful"])

        edit = parse_row(found["rating"], (Preference,))
        assert isinstance(edit, Preference)
        assert (edit.chosen[0].content, edit.rejected[0].content) == ("4, of course; ask [EMAIL]", "5")
        assert [m.content for m in edit.prompt] == ["Be brief.", "who is [EMAIL]?", "call [PHONE]", "2+2?"]

        choice = parse_row(found["choice"], (Preference,))
        assert isinstance(choice, Preference)
        assert (choice.chosen[0].content, choice.rejected[0].content) == ("4", "5")
        meta = found["choice"]["meta"]
        assert (meta["model_versions"], meta["conversation_id"]) == (["weights-1", "weights-1"], name)
        assert "user_" not in str([row["meta"] for row in found.values()])


async def test_case_20_consent_and_its_withdrawal_are_obeyed(world: OpenWorld) -> None:
    async with world() as here:
        name = await here.conversation()
        without = await here.answered(name, "one")
        await rate(here.http, without, thumb=1)  # before consent was given
        await consent(here.http, True)
        assert await rows(here) == []
        with_consent = await here.answered(name, "two")
        await rate(here.http, with_consent, thumb=1)
        assert len(await rows(here)) == 1
        await consent(here.http, False)
        assert await rows(here) == []
        await consent(here.http, True)
        assert len(await rows(here)) == 1
        await here.http.delete(f"/api/messages/{with_consent['id']}/rating")
        assert await rows(here) == []


async def test_case_15_only_what_was_really_judged_counts(world: OpenWorld) -> None:
    async with world() as here:
        await consent(here.http, True)
        name = await here.conversation()
        answers = [await here.answered(name, f"question {number}") for number in range(3)]
        for answer in answers:
            await rate(here.http, answer, thumb=1)
        assert len(await rows(here)) == 3
        forged = (
            {"content": "another answer"},
            {"origin": "imported"},
            {"status": "interrupted"},
        )
        async with here.services.database.write() as session:
            for answer, change in zip(answers, forged, strict=True):
                await session.execute(update(MessageRow).where(MessageRow.id == answer["id"]).values(**change))
        assert await rows(here) == []


async def test_what_is_not_redacted_by_policy_stays_as_it_was_said(world: OpenWorld) -> None:
    async with world(redact_before_training=False) as here:
        await consent(here.http, True)
        name = await here.conversation()
        await rate(here.http, await here.answered(name, "ask a@example.com"), thumb=-1)
        [row] = await rows(here)
        assert row["prompt"] == [{"role": "user", "content": "ask a@example.com"}]
        assert row["label"] is False


async def test_the_command_writes_what_each_way_of_training_reads(world: OpenWorld, tmp_path: Path) -> None:
    async with world() as here:
        await consent(here.http, True)
        name = await here.conversation()
        await rate(here.http, await here.answered(name, "one"), thumb=1)
        await rate(here.http, await here.answered(name, "two"), thumb=-1, edit="better")
    folder = tmp_path / "data"
    command = ["export-feedback", str(folder), "--home", str(tmp_path / "home")]
    result = await asyncio.to_thread(CliRunner().invoke, app, command)
    assert result.exit_code == 0, result.output
    assert {path.name for path in folder.iterdir()} == {"preference.jsonl", "rated.jsonl"}
    for file, kind in (("preference.jsonl", Preference), ("rated.jsonl", Rated)):
        [line] = (folder / file).read_text("utf-8").splitlines()
        assert isinstance(parse_row(json.loads(line), (kind,)), kind)
        assert (folder / file).stat().st_mode & 0o077 == 0
