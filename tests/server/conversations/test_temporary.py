"""Temporary chats: answered like others, stored nowhere."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import inspect, text

from chatwright.server.conversations.live import Seen
from chatwright.server.conversations.schemas import TemporaryQuestion
from chatwright.server.errors import ApiError
from chatwright.server.principal import Principal
from tests.server.conversations.conftest import OpenWorld, World, events_of

pytestmark = pytest.mark.anyio
QUESTION = {
    "messages": [{"role": "user", "content": "a secret of mine: I will kill you, you idiot"}],
    "system_prompt": "Be kind.",
}


async def everything_stored(w: World) -> str:
    """All of the database as text."""
    async with w.services.database.read() as session:
        connection = await session.connection()
        names = await connection.run_sync(lambda sync: inspect(sync).get_table_names())
        return str([(await session.execute(text(f'SELECT * FROM "{name}"'))).all() for name in names])


async def test_a_temporary_chat_is_answered_and_stored_nowhere(world: OpenWorld) -> None:
    async with world(admins_read_chats=True) as w:  # moderation then keeps excerpts of what it flags; not of this
        w.model.replies = ["an answer in confidence"]
        answer = await w.http.post("/api/temporary/answers", json=QUESTION)
        events = events_of(answer.text)
        assert [event.name for event in events[:2]] == ["started", "status"]
        assert "".join(event.data["text"] for event in events if event.name == "delta") == "an answer in confidence"
        done = events[-1].data["message"]
        assert (done["status"], done["content"], done["model_version"]) == (
            "complete",
            "an answer in confidence",
            "weights-1",
        )
        assert [message.role for message in w.model.answers[0].request.messages] == ["system", "user"]
        stored = await everything_stored(w)
        assert "secret of mine" not in stored
        assert "in confidence" not in stored
        again = await w.http.get(f"/api/temporary/answers/{events[0].data['id']}/events", params={"offset": 10})
        assert events_of(again.text)[2].data == {"text": "in confidence", "offset": 10}


async def begun(w: World, user_id: str = "user_a") -> Any:
    w.model.holds_still = True
    principal = Principal(user_id=user_id, role="user", channel="session")
    return await w.services.conversations.temporary.begin(principal, TemporaryQuestion.model_validate(QUESTION))


async def test_stop_and_the_end_of_access_stop_it(world: OpenWorld) -> None:
    async with world() as w:
        temporary = w.services.conversations.temporary
        stopped, ended = await begun(w), await begun(w, "user_b")
        with pytest.raises(ApiError):
            temporary.stop("user_b", stopped.message_id)
        temporary.stop("user_a", stopped.message_id)
        temporary.end_user("user_b")
        for live in (stopped, ended):
            events = [event async for event in live.watch(Seen())]
            assert events[-1].data["message"]["status"] == "stopped"
        assert all(answer.is_cancelled.is_set() for answer in w.model.answers)


async def is_there(w: World, answer_id: str) -> bool:
    try:
        w.services.conversations.temporary.get("user_a", answer_id)
    except ApiError:
        return False
    return True


async def test_an_answer_that_nobody_watches_ends(world: OpenWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatwright.server.conversations.temporary._LOOK_S", 0.01)
    monkeypatch.setattr("chatwright.server.conversations.temporary._ALONE_S", 0.03)
    monkeypatch.setattr("chatwright.server.conversations.temporary._LINGER_S", 0)
    async with world() as w:
        live = await begun(w)
        async with asyncio.timeout(10):
            await w.model.answers[0].is_cancelled.wait()
            while await is_there(w, live.message_id):
                await asyncio.sleep(0)
        assert live.ending == "stopped"


async def test_a_refusal_is_an_http_error(world: OpenWorld) -> None:
    async with world() as w:
        w.model.refusal = ApiError(429, "slowly", headers={"Retry-After": "3"})
        refused = await w.http.post("/api/temporary/answers", json=QUESTION)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "3")
        last = {"messages": [{"role": "assistant", "content": "me"}]}
        assert (await w.http.post("/api/temporary/answers", json=last)).status_code == 400


async def test_a_failure_in_the_middle_is_told(world: OpenWorld) -> None:
    async with world() as w:
        live = await begun(w)
        w.model.answers[0].say("half").fail(ValueError("a bug that names /etc/passwd"))
        done = [event async for event in live.watch(Seen())][-1].data["message"]
        assert (done["status"], done["content"], done["error"]["code"]) == ("failed", "half", "internal_error")
        assert "passwd" not in done["error"]["message"]
