"""Asking, asking again, editing, continuing, comparing, stopping: the tree that comes of it, what the model gets."""

import asyncio

import pytest

from chatwright.errors import EngineError
from chatwright.server.errors import ApiError
from tests.server.conversations.conftest import TITLE, OpenWorld

pytestmark = pytest.mark.anyio


async def test_an_answer_is_stored_with_what_is_known_of_it(world: OpenWorld) -> None:
    async with world() as w:
        conversation = await w.conversation()
        answer = await w.ask(conversation, "How are you?")
        assert answer["status"] == "generating"
        done = await w.finished(answer["id"])
        assert (done["status"], done["content"], done["origin"]) == ("complete", "answer 1", "generated")
        assert (done["model"], done["model_version"], done["finish_reason"]) == ("scripted", "weights-1", "stop")
        assert (done["prompt_tokens"], done["completion_tokens"]) == (7, 2)
        stored = (await w.http.get(f"/api/messages/{answer['id']}")).json()
        assert stored == done
        assert (await w.http.get(f"/api/conversations/{conversation}")).json()["current_id"] == answer["id"]


async def test_the_answer_is_written_though_nobody_watches(world: OpenWorld) -> None:
    async with world() as w:
        w.model.holds_still = True
        answer = await w.ask(await w.conversation(), "Write.")
        live = w.services.conversations.generations.live(answer["id"])
        assert live is not None
        w.model.answers[0].say("all ", "of it").end()
        async with asyncio.timeout(10):
            while not live.closed:
                await live.changed.wait()
        assert (await w.http.get(f"/api/messages/{answer['id']}")).json()["content"] == "all of it"


async def test_the_title_is_the_question_at_first_and_then_the_models(world: OpenWorld) -> None:
    async with world() as w:
        w.model.holds_still = True
        conversation = await w.conversation()
        answer = await w.ask(conversation, "Why is the sky blue?\nTell me more.")
        assert (await w.http.get(f"/api/conversations/{conversation}")).json()["title"] == "Why is the sky blue?"
        w.model.answers[0].say("Because.").end()
        events = await w.watch(answer["id"])
        assert [event.name for event in events][-2:] == ["done", "title"]
        assert events[-1].data == {"title": TITLE}
        named = (await w.http.get(f"/api/conversations/{conversation}")).json()
        assert (named["title"], named["title_by"]) == (TITLE, "model")


async def test_a_persons_title_is_never_replaced(world: OpenWorld) -> None:
    async with world() as w:
        conversation = await w.conversation()
        await w.http.patch(f"/api/conversations/{conversation}", json={"title": "Mine"})
        answer = await w.ask(conversation, "Hello")
        assert "title" not in [event.name for event in await w.watch(answer["id"])]
        assert (await w.http.get(f"/api/conversations/{conversation}")).json()["title"] == "Mine"


async def test_the_model_gets_the_branch_and_nothing_of_its_siblings(world: OpenWorld) -> None:
    async with world() as w:
        w.model.replies = ["one", "two", "three"]
        conversation = await w.conversation(system_prompt="Be brief.", sampling={"temperature": 0.5, "thinking": False})
        first = await w.answered(conversation, "First?")
        again = (
            await w.http.post(f"/api/conversations/{conversation}/messages/{first['id']}/regenerate", json={})
        ).json()["messages"][0]
        await w.finished(again["id"])
        await w.answered(conversation, "Second?", parent_id=first["id"], sampling={"top_p": 0.9})
        request = w.model.answers[-1].request
        assert [(message.role, message.content) for message in request.messages] == [
            ("system", "Be brief."),
            ("user", "First?"),
            ("assistant", "one"),
            ("user", "Second?"),
        ]
        assert request.sampling == {"temperature": 0.5, "top_p": 0.9}
        assert request.template_variables == {"enable_thinking": False}
        assert request.context_policy == "drop_oldest"


async def test_attachments_stand_before_the_question(world: OpenWorld) -> None:
    async with world() as w:
        conversation = await w.conversation()
        files = [{"name": "a.txt", "text": "alpha"}]
        answer = await w.answered(conversation, "What is in it?", attachments=files)
        assert w.model.answers[0].request.messages[0].content == "[a.txt]\nalpha\n\nWhat is in it?"
        whole = (await w.http.get(f"/api/messages/{answer['parent_id']}")).json()
        assert whole["attachments"] == [{"name": "a.txt", "characters": 5, "text": "alpha"}]


async def test_regenerate_and_edit_add_siblings_and_lose_nothing(world: OpenWorld) -> None:
    async with world() as w:
        conversation = await w.conversation()
        first = await w.answered(conversation, "Hello")
        path = f"/api/conversations/{conversation}/messages"
        again = (await w.http.post(f"{path}/{first['id']}/regenerate")).json()
        assert again["user_message"] is None
        assert again["messages"][0]["parent_id"] == first["parent_id"]
        await w.finished(again["messages"][0]["id"])
        asked = (await w.http.post(f"{path}/{first['parent_id']}/edit", json={"content": "Good day"})).json()
        assert asked["user_message"]["parent_id"] is None
        assert asked["messages"][0]["parent_id"] == asked["user_message"]["id"]
        await w.finished(asked["messages"][0]["id"])
        edited = (await w.http.post(f"{path}/{first['id']}/edit", json={"content": "Hello, you"})).json()["messages"][0]
        assert (edited["origin"], edited["status"], edited["parent_id"]) == ("edited", "complete", first["parent_id"])
        tree = (await w.http.get(path)).json()["data"]
        assert [message["content"] for message in tree] == [
            "Hello",
            "answer 1",
            "answer 2",
            "Good day",
            "answer 3",
            "Hello, you",
        ]


async def test_stop_keeps_what_there_is_and_continue_goes_on_there(world: OpenWorld) -> None:
    async with world() as w:
        w.model.holds_still = True
        conversation = await w.conversation()
        answer = await w.ask(conversation, "Count.")
        w.model.answers[0].say("one ", "two ")
        await w.until_text(answer["id"], "one two ")
        path = f"/api/conversations/{conversation}/messages/{answer['id']}"
        stopped = (await w.http.post(f"{path}/stop")).json()
        assert (stopped["status"], stopped["content"]) == ("stopped", "one two ")
        assert w.model.answers[0].is_cancelled.is_set()
        w.model.version = "weights-2"
        continued = await w.http.post(f"{path}/continue")
        assert continued.status_code == 200
        request = w.model.answers[1].request
        assert request.continue_final
        assert request.messages[-1].content == "one two "
        w.model.answers[1].say("three").end()
        done = await w.finished(answer["id"])
        assert (done["status"], done["content"], done["completion_tokens"]) == ("complete", "one two three", 3)
        assert done["model_version"] == "weights-1+weights-2"
        assert (await w.http.post(f"{path}/continue")).status_code == 409


async def test_a_comparison_answers_twice(world: OpenWorld) -> None:
    async with world() as w:
        conversation = await w.conversation()
        path = f"/api/conversations/{conversation}/compare"
        asked = (await w.http.post(path, json={"content": "Which?", "sampling": {"seed": 4}})).json()
        first, second = [await w.finished(message["id"]) for message in asked["messages"]]
        assert first["parent_id"] == second["parent_id"] == asked["user_message"]["id"]
        assert (first["sampling"], second["sampling"]) == ({"seed": 4}, {"seed": 5})
        assert first["created_ms"] < second["created_ms"]  # lists are in this order
        same = await w.http.post(path, json={"content": "Which?", "sampling": {"temperature": 0}})
        assert (same.status_code, same.json()["error"]["param"]) == (400, "sampling.temperature")
        models = {"content": "Which?", "sampling": {"temperature": 0}, "models": ["a", "b"]}
        asked = (await w.http.post(path, json=models)).json()
        assert [(await w.finished(message["id"]))["model"] for message in asked["messages"]] == ["a", "b"]


async def test_a_refusal_is_an_http_error_and_leaves_nothing(world: OpenWorld) -> None:
    async with world() as w:
        conversation = await w.conversation()
        w.model.refusal = ApiError(429, "Too many requests in 1 hour. Try again later.", headers={"Retry-After": "9"})
        refused = await w.http.post(f"/api/conversations/{conversation}/messages", json={"content": "Hello"})
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "9")
        assert (await w.http.get(f"/api/conversations/{conversation}/messages")).json()["data"] == []
        assert (await w.http.get(f"/api/conversations/{conversation}")).json()["title"] == ""


async def test_limits_hold_here_as_in_the_other_apis(world: OpenWorld) -> None:
    async with world(accounts=True, sign_up="open", limits={"requests_per_hour": 1}) as w:
        anna = await w.person("anna")
        path = f"/api/conversations/{await w.conversation(anna)}/messages"
        asked = await anna.post(path, json={"content": "Hello"})
        assert asked.headers["x-ratelimit-remaining-requests"] == "0"
        await w.finished(asked.json()["messages"][0]["id"], anna)  # its title was not counted
        refused = await anna.post(path, json={"content": "Hello again"}, headers={"Accept-Language": "en"})
        assert refused.status_code == 429
        assert refused.json()["error"]["message"] == "Too many requests in 1 hour. Try again later."
        assert int(refused.headers["retry-after"]) > 0


async def test_a_refusal_that_comes_late_is_told_by_the_message(
    world: OpenWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatwright.server.conversations.generations._REFUSAL_WAIT_S", 0.01)
    async with world() as w:
        told = asyncio.Event()

        async def wait_for_a_place(_: object) -> None:
            await told.wait()
            raise ApiError(503, "the queue is full", code="queue_full")

        monkeypatch.setattr(w.model, "chat", wait_for_a_place)
        answer = await w.ask(await w.conversation(), "Hello")
        assert answer["status"] == "generating"
        told.set()
        done = await w.finished(answer["id"])
        assert (done["status"], done["error"]["code"]) == ("failed", "queue_full")


async def test_a_failure_in_the_middle_keeps_the_part_that_exists(world: OpenWorld) -> None:
    async with world() as w:
        w.model.holds_still = True
        conversation = await w.conversation()
        answer = await w.ask(conversation, "Go.")
        w.model.answers[0].say("half ").fail(EngineError("out of memory at 0x1234"))
        done = await w.finished(answer["id"])
        assert (done["status"], done["content"]) == ("failed", "half ")
        assert done["error"]["code"] == "engine_unavailable"
        assert "0x1234" not in done["error"]["message"]
        path = f"/api/conversations/{conversation}/messages/{answer['id']}/continue"
        assert (await w.http.post(path)).status_code == 200
        w.model.answers[1].say("whole").end()
        done = await w.finished(answer["id"])
        assert (done["status"], done["content"], done["error"]) == ("complete", "half whole", None)


async def test_what_moderation_ends_is_withheld(world: OpenWorld) -> None:
    async with world() as w:
        w.model.holds_still = True
        answer = await w.ask(await w.conversation(), "Go.")
        w.model.answers[0].say("so far").end("content_filter")
        done = await w.finished(answer["id"])
        assert (done["status"], done["finish_reason"]) == ("withheld", "content_filter")


async def test_one_cannot_ask_behind_an_unfinished_answer(world: OpenWorld) -> None:
    async with world() as w:
        w.model.holds_still = True
        conversation = await w.conversation()
        answer = await w.ask(conversation, "Go.")
        path = f"/api/conversations/{conversation}/messages"
        early = await w.http.post(path, json={"content": "And?"})
        assert (early.status_code, early.json()["error"]["code"]) == (409, "still_generating")
        beside = await w.http.post(path, json={"content": "Something else", "parent_id": None})
        assert beside.status_code == 201
        assert beside.json()["user_message"]["parent_id"] is None
        assert answer["id"] != beside.json()["messages"][0]["id"]


async def test_turns_that_were_not_sent_are_told(world: OpenWorld) -> None:
    async with world() as w:
        w.model.holds_still = True
        conversation = await w.conversation()
        await w.ask(conversation, "one two three")
        w.model.answers[0].say("four five").end()
        await w.finished((await w.http.get(f"/api/conversations/{conversation}")).json()["current_id"])
        original = w.model.chat

        async def chat(request: object) -> object:
            answer = await original(request)  # type: ignore[arg-type]
            answer.dropped_turns = 1
            return answer

        w.model.chat = chat  # type: ignore[assignment]
        answer = await w.ask(conversation, "six")
        w.model.answers[1].say("seven").end()
        assert (await w.finished(answer["id"]))["dropped_turns"] == 1
        meter = (await w.http.get(f"/api/conversations/{conversation}/context")).json()
        assert meter == {"model": "scripted", "prompt_tokens": 7, "context_length": 512, "dropped_turns": 1}


async def test_deleting_the_conversation_ends_its_answer(world: OpenWorld) -> None:
    async with world() as w:
        w.model.holds_still = True
        conversation = await w.conversation()
        answer = await w.ask(conversation, "Go.")
        assert (await w.http.delete(f"/api/conversations/{conversation}")).status_code == 204
        async with asyncio.timeout(10):
            await w.model.answers[0].is_cancelled.wait()
        assert (await w.http.get(f"/api/messages/{answer['id']}")).status_code == 404
