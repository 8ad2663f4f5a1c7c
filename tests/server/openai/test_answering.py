"""Between a request and the model: who was let in is counted and let out again, whatever happens."""

import asyncio
from dataclasses import replace

import anyio
import pytest

from chatwright.chat import Message
from chatwright.errors import EngineError
from chatwright.server.answering import Answering
from chatwright.server.backends.base import ChatRequest, Piece, TextRequest, TokenUsage
from chatwright.server.errors import ApiError
from chatwright.server.openai.gathering import gather
from chatwright.server.principal import Principal
from tests.server.openai.doubles import Desk, NothingRedacted, OneModel, ScriptedBackend

ADA = Principal(user_id="ada", role="user", channel="session")
HELLO = ChatRequest((Message("user", "hello"),))


@pytest.mark.anyio
async def test_an_answer_is_counted_when_it_is_whole() -> None:
    desk = Desk(ScriptedBackend([Piece(text="a"), Piece(text="b", finish_reason="stop")]))
    async with await desk.answering.chat(ADA, None, HELLO) as answer:
        assert desk.limits.inside == 1
        assert "".join([piece.text async for piece in answer]) == "ab"
    assert desk.limits.settled == [TokenUsage(prompt=3, completion=2)]
    assert desk.limits.inside == 0
    assert [request.owner for request in desk.backend.asked] == ["ada"]


@pytest.mark.anyio
async def test_who_is_cancelled_is_counted_and_gives_the_place_back() -> None:
    desk = Desk(ScriptedBackend([Piece(text="a"), None]))
    begun = asyncio.Event()

    async def read() -> None:
        async with await desk.answering.chat(ADA, None, HELLO) as answer:
            async for _ in answer:
                begun.set()

    async with anyio.create_task_group() as group:
        group.start_soon(read)
        await begun.wait()
        group.cancel_scope.cancel()  # cancels again and again, as the server does to a task whose client is gone
    assert desk.backend.answers[0].cancelled.is_set()
    assert desk.limits.settled == [TokenUsage(prompt=3, completion=1)]
    assert desk.limits.inside == 0


@pytest.mark.anyio
async def test_closing_twice_counts_once() -> None:
    desk = Desk(ScriptedBackend([Piece(finish_reason="stop")]))
    async with await desk.answering.chat(ADA, None, HELLO) as answer:
        await answer.close()
    assert len(desk.limits.settled) == 1


@pytest.mark.anyio
async def test_what_the_model_refuses_holds_nothing() -> None:
    desk = Desk(ScriptedBackend(refuse_after=0))
    with pytest.raises(EngineError):
        await desk.answering.chat(ADA, None, HELLO)
    assert desk.limits.settled == [TokenUsage()]
    assert desk.limits.inside == 0


@pytest.mark.anyio
async def test_many_prompts_are_one_request_and_keep_their_places() -> None:
    desk = Desk(ScriptedBackend([Piece(0, "a"), Piece(1, "b", finish_reason="stop"), Piece(0, finish_reason="stop")]))
    prompts = [TextRequest("one", {"n": 2}), TextRequest("three", {"n": 2}), TextRequest((1, 2), {"n": 2})]
    texts = [""] * 6
    async with await desk.answering.complete(ADA, None, *prompts) as answer:
        async for piece in answer:
            texts[piece.index] += piece.text
        assert answer.usage == TokenUsage(prompt=9, completion=9)
    assert texts == ["a", "b"] * 3
    assert desk.limits.admitted == [10]
    assert len(desk.limits.settled) == 1
    assert desk.moderation.texts == [("one", "three", "\x01\x02")]  # token ids are no way around it


@pytest.mark.anyio
async def test_a_prompt_that_is_refused_stops_those_before_it() -> None:
    desk = Desk(ScriptedBackend([None], refuse_after=2))
    with pytest.raises(EngineError):
        await desk.answering.complete(ADA, None, TextRequest("a"), TextRequest("b"), TextRequest("c"))
    assert all(answer.cancelled.is_set() for answer in desk.backend.answers)
    assert desk.limits.inside == 0


@pytest.mark.anyio
async def test_one_failure_among_many_prompts_ends_all() -> None:
    desk = Desk(ScriptedBackend([Piece(text="a"), EngineError("lost")]))
    async with await desk.answering.complete(ADA, None, TextRequest("a"), TextRequest("b")) as answer:
        with pytest.raises(EngineError):
            await gather(answer, 2)
    assert all(answer.cancelled.is_set() for answer in desk.backend.answers)
    assert desk.limits.inside == 0


@pytest.mark.anyio
async def test_the_request_must_fit_the_context_before_anybody_is_let_in() -> None:
    desk = Desk(ScriptedBackend())
    with pytest.raises(ApiError, match=r"holds 100 tokens.*103 are asked for: 5 in the messages, 98 for the answer"):
        await desk.answering.chat(ADA, None, replace(HELLO, sampling={"max_tokens": 98}))
    with pytest.raises(ApiError, match="holds 100 tokens, but there are 101 in the prompt"):
        await desk.answering.complete(ADA, None, TextRequest("x" * 101))
    assert desk.limits.admitted == []
    assert desk.moderation.texts == []


@pytest.mark.anyio
async def test_a_chat_that_may_lose_its_oldest_turns_may_be_long() -> None:
    desk = Desk(ScriptedBackend([Piece(finish_reason="stop")]))
    long = ChatRequest((Message("user", "x" * 500),), {"max_tokens": 50}, context_policy="drop_oldest")
    async with await desk.answering.chat(ADA, None, long):
        pass
    with pytest.raises(ApiError):
        await desk.answering.chat(ADA, None, replace(long, sampling={"max_tokens": 101}))


@pytest.mark.anyio
async def test_moderation_reads_what_is_new_and_what_the_system_says() -> None:
    desk = Desk(ScriptedBackend([Piece(finish_reason="stop")]))
    chat = ChatRequest(
        (
            Message("system", "rules"),
            Message("user", "old"),
            Message("assistant", "answer"),
            Message("user", "first"),
            Message("user", "second"),
            Message("assistant", "begun by the client"),
        ),
        continue_final=True,
    )
    async with await desk.answering.chat(ADA, None, chat):
        pass
    assert desk.moderation.texts == [("rules", "first", "second", "begun by the client")]


@pytest.mark.anyio
async def test_other_servers_get_what_privacy_lets_out() -> None:
    class Hiding(NothingRedacted):
        def for_upstream(self, request: ChatRequest) -> ChatRequest:
            return replace(request, messages=(Message("user", "[name]"),))

        def text_for_upstream(self, request: TextRequest) -> TextRequest:
            return replace(request, prompt="[name]")

    desk = Desk(ScriptedBackend([Piece(finish_reason="stop")]))
    answering = Answering(OneModel(desk.backend, is_upstream=True), desk.limits, desk.moderation, Hiding())
    async with await answering.chat(ADA, None, HELLO):
        pass
    async with await answering.complete(ADA, None, TextRequest("Ada")):
        pass
    await answering.count(ADA, None, HELLO)
    assert await answering.encode(ADA, None, "Ada") == (await answering.served(ADA, None), list(map(ord, "[name]")))
    assert {message.content for messages in desk.backend.counted for message in messages} == {"[name]"}
    assert desk.moderation.texts == [("hello",), ("Ada",)]
    chat, text = desk.backend.asked
    assert isinstance(chat, ChatRequest)
    assert chat.messages[0].content == "[name]"
    assert text == TextRequest("[name]", owner="ada")
