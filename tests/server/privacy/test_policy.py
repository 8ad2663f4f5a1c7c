"""One policy decides what leaves and what is kept, and follows the administrators' changes."""

import asyncio

import pytest

from chatwright.chat import Message
from chatwright.server.accounts import AuditLog, RuntimeSettings
from chatwright.server.backends.base import ChatRequest, TextRequest
from chatwright.server.database import open_database
from chatwright.server.principal import Principal
from chatwright.server.privacy import PrivacyPolicy, open_privacy
from tests.server.conftest import MakeSettings

pytestmark = pytest.mark.anyio
ADMIN = Principal(user_id="user_admin", name="admin", role="admin")
CALL = {"type": "function", "function": {"name": "mail", "arguments": {"to": ["a@example.com"], "n": 3}}}
CHAT = ChatRequest(
    messages=(
        Message("user", "I am at 13812345678"),
        Message("assistant", None, tool_calls=(CALL,), reasoning_content="a@example.com is it"),
        Message("tool", "sent to a@example.com", tool_call_id="1"),
    )
)


async def test_nothing_is_touched_unless_the_policy_says_so(make_settings: MakeSettings, database_url: str) -> None:
    settings = make_settings(redact_before_training=False)
    database = await open_database(database_url)
    async with open_privacy(settings, RuntimeSettings(database, settings, AuditLog(database))) as policy:
        assert policy.for_upstream(CHAT) is CHAT
        text = "13812345678"
        assert policy.for_storage(text) is text
        assert policy.for_training(text) is text
        assert not policy.finds_names
        assert not await policy.admins_may_read()
        assert await policy.retention_days() is None
    await database.close()


async def test_every_text_of_a_request_is_redacted_before_another_server_reads_it(
    make_settings: MakeSettings, database_url: str
) -> None:
    settings = make_settings(redact_before_upstream=True)
    database = await open_database(database_url)
    async with open_privacy(settings, RuntimeSettings(database, settings, AuditLog(database))) as policy:
        sent = policy.for_upstream(CHAT).messages
        assert sent[0].content == "I am at [PHONE]"
        assert sent[1].reasoning_content == "[EMAIL] is it"
        assert sent[1].tool_calls[0]["function"]["arguments"] == {"to": ["[EMAIL]"], "n": 3}
        assert sent[2].content == "sent to [EMAIL]"
        assert policy.text_for_upstream(TextRequest("a@example.com")).prompt == "[EMAIL]"
        ids = TextRequest((1, 2, 3))
        assert policy.text_for_upstream(ids) is ids
    await database.close()


async def test_case_20_a_change_by_an_administrator_is_obeyed_while_the_server_runs(
    make_settings: MakeSettings, database_url: str
) -> None:
    settings = make_settings()
    database = await open_database(database_url)
    here, elsewhere = (RuntimeSettings(database, settings, AuditLog(database)) for _ in range(2))
    async with open_privacy(settings, here) as policy:
        assert policy.for_storage("a@example.com") == "a@example.com"
        await elsewhere.change(ADMIN, {"redact_before_storage": True, "admins_read_chats": True})
        await _until(policy, "[EMAIL]")
        assert await policy.admins_may_read()
    await database.close()


async def _until(policy: PrivacyPolicy, wanted: str) -> None:
    async with asyncio.timeout(20):
        while policy.for_storage("a@example.com") != wanted:
            await asyncio.sleep(0.05)
