"""What administrators do: accounts, settings, the record of it all."""

import asyncio
import json
from typing import Any

import pytest
from sqlalchemy import select

from chatwright.server.accounts.runtime import RuntimeValues
from chatwright.server.database.tables import ServerSetting, User
from chatwright.server.identifiers import now_ms
from tests.server.accounts.conftest import PASSWORD, OpenHouse, code


@pytest.mark.anyio
async def test_accounts_are_made_changed_and_deleted(house: OpenHouse) -> None:
    async with house(sign_up="closed") as server:
        admin = await server.join("admin")
        made = await admin.post("/api/admin/users", json={"name": "ann", "password": PASSWORD})
        assert made.status_code == 201
        user = f"/api/admin/users/{made.json()['id']}"
        assert (await admin.post("/api/admin/users", json={"name": "Ann"})).status_code == 409
        ann = await server.enter("ann")
        assert (await admin.patch(user, json={"name": "Anna"})).json()["name"] == "Anna"
        assert (await ann.get("/api/me")).json()["name"] == "Anna"  # a new name ends no session
        assert (await admin.patch(user, json={"name": "admin"})).status_code == 409
        found = (await admin.get("/api/admin/users", params={"query": "NN"})).json()["data"]
        assert [row["name"] for row in found] == ["Anna"]
        assert (await admin.delete(user)).status_code == 204
        assert (await admin.get(user)).status_code == 404
        assert code(await server.browser().post("/api/sign-in", json={"name": "anna", "password": PASSWORD}))


@pytest.mark.anyio
async def test_deletion_waits_for_the_rooms_and_may_be_repeated(house: OpenHouse) -> None:
    async with house() as server:
        admin, ann = await server.join("admin"), await server.join("ann")
        user_id = (await ann.get("/api/me")).json()["id"]
        is_broken = True

        async def delete_files(whose: str) -> None:
            assert whose == user_id
            if is_broken:
                raise RuntimeError("the disk is away")

        server.services.accounts.on_delete(delete_files)
        assert (await admin.delete(f"/api/admin/users/{user_id}")).status_code == 500
        assert (await admin.get(f"/api/admin/users/{user_id}")).json()["disabled"] is True
        assert (await ann.get("/api/me")).status_code == 401
        is_broken = False
        assert (await admin.delete(f"/api/admin/users/{user_id}")).status_code == 204


@pytest.mark.anyio
async def test_the_list_of_accounts_comes_in_pages(house: OpenHouse) -> None:
    async with house() as server:
        admin = await server.join("admin")
        names = ["admin", *(f"user {number}" for number in range(5))]
        for name in names[1:]:
            await admin.post("/api/admin/users", json={"name": name})
        seen, after = [], None
        while True:
            page = (
                await admin.get("/api/admin/users", params={"limit": 2} | ({"after": after} if after else {}))
            ).json()
            seen += [row["name"] for row in page["data"]]
            after = page["next"]
            if not page["has_more"]:
                break
        assert seen == names


@pytest.mark.anyio
async def test_two_administrators_cannot_both_demote_each_other(house: OpenHouse, database_url: str) -> None:
    async with house(database_url=database_url) as server:
        one = await server.join("one")
        made = await one.post("/api/admin/users", json={"name": "two", "password": PASSWORD, "role": "admin"})
        two = await server.enter("two")
        first, second = (await one.get("/api/me")).json()["id"], made.json()["id"]
        for attempt in ({"role": "user"}, {"disabled": True}):
            await asyncio.gather(
                one.patch(f"/api/admin/users/{second}", json=attempt),
                two.patch(f"/api/admin/users/{first}", json=attempt),
            )
            async with server.services.database.read() as db:
                left = list(await db.scalars(select(User.id).where(User.role == "admin", User.disabled.is_(False))))
            assert len(left) == 1
        last = await server.enter("one" if left == [first] else "two")
        for answer in (
            await last.patch(f"/api/admin/users/{left[0]}", json={"role": "user"}),
            await last.patch(f"/api/admin/users/{left[0]}", json={"disabled": True}),
            await last.delete(f"/api/admin/users/{left[0]}"),
        ):
            assert (answer.status_code, code(answer)) == (409, "last_admin")


@pytest.mark.anyio
async def test_case_5_first_sign_ups_on_both_databases(house: OpenHouse, database_url: str) -> None:
    async with house(database_url=database_url) as one, house(database_url=database_url) as other:  # two processes
        browsers = [server.browser() for server in (one, other) for _ in range(10)]
        body = [{"name": f"person {number % 15}", "password": PASSWORD} for number in range(20)]
        answers = await asyncio.gather(
            *(browser.post("/api/sign-up", json=who) for browser, who in zip(browsers, body, strict=True))
        )
        assert sorted(answer.status_code for answer in answers) == [201] * 15 + [409] * 5
        assert [answer.json().get("role") for answer in answers].count("admin") == 1


@pytest.mark.anyio
async def test_settings_hold_at_once_and_after_a_restart(house: OpenHouse) -> None:
    async with house(sign_up="closed", retention_days=30) as server:
        admin = await server.join("admin")
        before = (await admin.get("/api/admin/settings")).json()
        assert (before["values"]["sign_up"], before["changed"]) == ("closed", [])
        changed = await admin.patch("/api/admin/settings", json={"sign_up": "open", "retention_days": None})
        assert changed.json()["changed"] == ["retention_days", "sign_up"]
        await server.join("ann")
    async with house(sign_up="closed", retention_days=30) as server:
        values = await server.services.runtime.values()
        assert (values.sign_up, values.retention_days) == ("open", None)
        admin = await server.enter("admin")
        reset = (await admin.delete("/api/admin/settings/retention_days")).json()
        assert (reset["values"]["retention_days"], reset["changed"]) == (30, ["sign_up"])


@pytest.mark.anyio
async def test_settings_that_make_no_sense_change_nothing(house: OpenHouse) -> None:
    async with house() as server:
        admin = await server.join("admin")
        before = (await admin.get("/api/admin/settings")).text
        bad: list[Any] = [{"sign_up": "everybody"}, {"no_such": 1}, {"retention_days": 0}, {"retention_days": 1e9}]
        bad += [{"retention_days": "7"}, {"admins_read_chats": 1}, {"sign_up": None}, {"default_model": "a\0b"}, []]
        bad += [{"moderation": "off", "sign_up": []}, {"default_model": "\ud800"}, {"retention_days": True}]
        for body in bad:
            content, headers = json.dumps(body), {"Content-Type": "application/json"}
            answer = await admin.patch("/api/admin/settings", content=content, headers=headers)
            assert (answer.status_code, code(answer)) == (400, "invalid_value"), body
        assert (await admin.get("/api/admin/settings")).text == before
        assert (await admin.delete("/api/admin/settings/home")).status_code == 404


@pytest.mark.anyio
async def test_a_stored_setting_of_another_version_is_ignored(house: OpenHouse) -> None:
    async with house() as server:
        async with server.services.database.write() as db:
            db.add(ServerSetting(name="moderation", value="maybe", changed_ms=now_ms(), changed_by=""))
            db.add(ServerSetting(name="gone", value=1, changed_ms=now_ms(), changed_by=""))
        assert await server.services.runtime.get("moderation") == "flag"


def test_every_runtime_setting_has_a_description() -> None:
    assert all(field.description or name == "default_model" for name, field in RuntimeValues.model_fields.items())


@pytest.mark.anyio
async def test_the_record_says_who_did_what_to_whom(house: OpenHouse) -> None:
    async with house() as server:
        admin, ann = await server.join("admin"), await server.join("ann")
        user_id = (await ann.get("/api/me")).json()["id"]
        await admin.patch(f"/api/admin/users/{user_id}", json={"role": "admin", "password": "a new password"})
        await admin.patch("/api/admin/settings", json={"admins_read_chats": True})
        newest, change = (await admin.get("/api/admin/audit", params={"limit": 2})).json()["data"]
        assert (newest["action"], newest["detail"]) == ("settings.change", {"admins_read_chats": True})
        assert (change["action"], change["target"], change["actor_name"]) == ("user.change", user_id, "admin")
        assert change["detail"] == {"role": "admin", "password": "set"}
        assert change["address"] == "10.0.0.1"
        everything = (await admin.get("/api/admin/audit")).text
        assert "a new password" not in everything
        assert PASSWORD not in everything
        only = (await admin.get("/api/admin/audit", params={"action": "user.sign_up", "target": user_id})).json()
        assert [row["actor_name"] for row in only["data"]] == ["ann"]


@pytest.mark.anyio
async def test_administration_is_for_administrators(house: OpenHouse) -> None:
    async with house() as server:
        await server.join("admin")
        ann = await server.join("ann")
        for path in ("users", "invitations", "audit", "settings"):
            assert code(await ann.get(f"/api/admin/{path}")) == "admin_only"
            assert (await server.browser().get(f"/api/admin/{path}")).status_code == 401


@pytest.mark.anyio
async def test_ones_own_settings(house: OpenHouse, database_url: str) -> None:
    async with house(database_url=database_url) as server:
        await server.join("admin")
        ann = await server.join("ann")
        body = {"name": "Anna", "language": "zh", "training_consent": True, "preferences": {"theme": ["dark", 1, None]}}
        assert (await ann.patch("/api/me", json=body)).status_code == 200
        me = (await ann.get("/api/me")).json()
        assert {name: me[name] for name in body} == body
        assert (await ann.patch("/api/me", json={"name": "Anna"})).status_code == 200
        taken = await ann.patch("/api/me", json={"name": "ADMIN"})
        assert (taken.status_code, "用户名" in taken.json()["error"]["message"]) == (409, True)
        await ann.patch("/api/me", json={"language": None})
        assert (await ann.get("/api/me")).json()["language"] is None
        bad = [{"x": "y" * 20_000}, {"a": "\0"}, {"\0": 1}, {"a": "\ud800"}, {"a": float("nan")}]
        deep = '{"a": ' + "[" * 5000 + "]" * 5000 + "}"
        for preferences in [*map(json.dumps, bad), deep]:
            content = f'{{"preferences": {preferences}}}'
            answer = await ann.patch("/api/me", content=content, headers={"Content-Type": "application/json"})
            assert answer.status_code == 400, content[:80]
        assert (await ann.get("/api/me")).json()["preferences"] == body["preferences"]
