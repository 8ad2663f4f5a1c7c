"""Limits, usage, words and what moderation found, as administrators work with them over HTTP."""

import pytest

from tests.server.conftest import Client


@pytest.mark.anyio
async def test_rules_of_limits_are_made_changed_and_removed(client: Client) -> None:
    async with client(accounts=False) as http:
        rule = {"subject": "model", "subject_id": "owner/tiny", "limits": {"requests_per_hour": 3}}
        made = await http.post("/api/admin/limits", json=rule)
        assert made.status_code == 201, made.text
        assert (await http.post("/api/admin/limits", json=rule)).status_code == 409
        path = f"/api/admin/limits/{made.json()['id']}"
        changed = await http.patch(path, json={"limits": {"requests_per_hour": None, "tokens_per_day": 9}})
        assert changed.json()["limits"] == {"requests_per_hour": None, "tokens_per_day": 9}
        page = (await http.get("/api/admin/limits")).json()
        assert [row["id"] for row in page["data"]] == [made.json()["id"]]
        assert page["defaults"]["requests_per_hour"] == 600
        assert (await http.delete(path)).status_code == 204
        assert (await http.delete(path)).status_code == 404
        actions = [entry["action"] for entry in (await http.get("/api/admin/audit")).json()["data"]]
        assert actions[:3] == ["limits.delete", "limits.change", "limits.create"]


@pytest.mark.anyio
@pytest.mark.parametrize(
    "limits",
    [{}, None, {"requests_per_hour": 0}, {"requests_per_hour": -1}, {"requests_per_hour": 1e99}, {"requests": 3}],
)
async def test_case_12_bad_limits_are_refused(client: Client, limits: object) -> None:
    async with client(accounts=False) as http:
        answer = await http.post("/api/admin/limits", json={"subject": "user", "subject_id": "u", "limits": limits})
        assert answer.status_code == 400
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


@pytest.mark.anyio
async def test_what_was_used_and_what_is_left(client: Client) -> None:
    chat = {"model": "tiny", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 4}
    async with client(accounts=False, limits={"requests_per_hour": 2}) as http:
        for left in ("1", "0"):
            answer = await http.post("/v1/chat/completions", json=chat)
            assert answer.status_code == 200, answer.text
            assert answer.headers["x-ratelimit-remaining-requests"] == left
        refused = await http.post("/v1/chat/completions", json=chat)
        assert refused.status_code == 429
        assert refused.json()["error"]["message"] == "Too many requests in 1 hour. Try again later."
        assert int(refused.headers["Retry-After"]) > 3000
        chinese = await http.post("/v1/chat/completions", json=chat, headers={"Accept-Language": "zh-CN"})
        assert chinese.json()["error"]["message"] == "1 小时内请求过多，请稍后再试。"
        mine = (await http.get("/api/me/usage", params={"by": ["day", "model"]})).json()
        assert [(row["model"], row["requests"]) for row in mine["data"]] == [("tiny", 2)]
        assert mine["data"][0]["prompt_tokens"] > 0
        assert [(one["period"], one["remaining"]) for one in mine["limits"]] == [("hour", 0)]
        everybody = (await http.get("/api/admin/usage")).json()
        assert everybody["data"][0]["user_name"] == "local"


@pytest.mark.anyio
async def test_moderation_is_reviewed_and_word_lists_are_kept(client: Client) -> None:
    async with client(accounts=False, moderation="block") as http:
        words = {"name": "projects", "action": "block", "words": ["Bluebird"]}
        made = await http.post("/api/admin/word-lists", json=words)
        assert made.status_code == 201, made.text
        chat = {"model": "tiny", "messages": [{"role": "user", "content": "what is BlueBird?"}], "max_tokens": 4}
        refused = await http.post("/v1/chat/completions", json=chat)
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "content_policy_violation")
        [entry] = (await http.get("/api/admin/moderation", params={"reviewed": False})).json()["data"]
        ids = (await http.post("/tokenize", json={"prompt": "what is BlueBird?"})).json()["tokens"]
        unread = await http.post("/v1/completions", json={"model": "tiny", "prompt": ids, "max_tokens": 4})
        assert unread.json()["error"]["code"] == "content_policy_violation"
        assert (entry["categories"], entry["action"], entry["excerpt"]) == ({"custom": 1.0}, "block", "")
        seen = await http.post(f"/api/admin/moderation/{entry['id']}/review", json={})
        assert seen.json()["reviewed_ms"] > 0
        unseen = (await http.get("/api/admin/moderation", params={"reviewed": False})).json()["data"]
        assert [each["model"] for each in unseen] == ["tiny"]
        path = f"/api/admin/word-lists/{made.json()['id']}"
        assert (await http.patch(path, json={"enabled": False})).json()["words"] == ["Bluebird"]
        assert (await http.post("/v1/chat/completions", json=chat)).status_code == 200
        for bad in (
            {"words": []},
            {"words": None},
            {"name": ""},
            {"action": "delete"},
            {"other": 1},
            {"words": ["\x00"]},
        ):
            assert (await http.patch(path, json=bad)).status_code == 400
        assert (await http.get("/api/admin/word-lists")).json()["data"][0]["enabled"] is False
        assert (await http.delete(path)).status_code == 204
        assert (await http.get(path)).status_code == 404
