"""Chats that are stored nowhere: the page holds the messages, the server holds an answer only while it is written."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, Final

from chatwright.chat import Message
from chatwright.server.answering import Answering
from chatwright.server.conversations.generations import Job, as_refusal, write_answer
from chatwright.server.conversations.live import Event, LiveAnswer, Seen
from chatwright.server.conversations.prompts import chat_request
from chatwright.server.conversations.schemas import TemporaryQuestion
from chatwright.server.conversations.storing import status_of
from chatwright.server.errors import ApiError, not_found
from chatwright.server.identifiers import new_id
from chatwright.server.principal import Principal

_ALONE_S: Final = 30.0  # so long an answer waits for a viewer to come back
_LOOK_S: Final = 5.0
_LINGER_S: Final = 30.0  # and so long a finished one may still be read
_FACTS: Final = ("model", "model_version", "dropped_turns", "prompt_tokens", "completion_tokens")


class TemporaryChats:
    """Answers to chats that are not stored. They live in the memory of one process and end with it.

    Args:
        answering: the way to the model.
    """

    def __init__(self, answering: Answering) -> None:
        self._answering = answering
        self._answers: dict[str, _Answer] = {}

    async def begin(self, principal: Principal, question: TemporaryQuestion) -> LiveAnswer:
        """Begin an answer.

        Raises:
            ApiError, ChatwrightError: it is refused.
        """
        spoken = tuple(Message(message.role, message.content) for message in question.messages)
        if spoken[-1].role != "user":
            raise ApiError(400, "the last message must be the user's", param="messages", code="invalid_value")
        system = (Message("system", question.system_prompt),) if question.system_prompt.strip() else ()
        live = LiveAnswer(new_id("tmp_"), "", principal.user_id)
        request = chat_request((*system, *spoken), question.sampling.given())
        admitted = asyncio.Event()
        job = Job(live, replace(principal, off_record=True), question.model, request)
        work = asyncio.create_task(write_answer(self._answering, job, admitted.set))
        waiting = asyncio.create_task(admitted.wait())
        try:
            await asyncio.wait({work, waiting}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            work.cancel()
            raise
        finally:
            waiting.cancel()
        if not admitted.is_set():
            await work  # raises the refusal
        answer = _Answer(live, principal, work)
        self._answers[live.message_id] = answer
        answer.task = asyncio.create_task(self._run(answer), name=f"temporary answer {live.message_id}")
        return live

    def get(self, user_id: str, answer_id: str) -> LiveAnswer:
        """An answer of this user that is still in memory. Raises ApiError (404)."""
        answer = self._answers.get(answer_id)
        if answer is None or answer.live.user_id != user_id:
            raise not_found("temporary answer", answer_id)
        return answer.live

    def stop(self, user_id: str, answer_id: str) -> None:
        """Stop writing an answer; its viewers are told what there is. Raises ApiError (404)."""
        self.get(user_id, answer_id)
        self._answers[answer_id].stop()

    def end_user(self, user_id: str) -> None:
        """Stop every answer to somebody whose access has ended."""
        for answer in list(self._answers.values()):
            if answer.live.user_id == user_id:
                answer.stop()

    async def close(self) -> None:
        """Stop everything and forget it."""
        tasks = [answer.task for answer in self._answers.values() if answer.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, answer: "_Answer") -> None:
        live, work = answer.live, answer.work
        watching = asyncio.create_task(_stop_when_left_alone(answer))
        try:
            await asyncio.wait({work})
            failure = None if work.cancelled() else work.exception()
            error = as_refusal(failure, answer.principal) if failure is not None and live.ending is None else None
            live.finish(_final(live, error))
            live.close()
            await asyncio.sleep(_LINGER_S)
        finally:
            work.cancel()
            watching.cancel()
            live.close()
            del self._answers[live.message_id]


@dataclass(slots=True, eq=False)
class _Answer:
    live: LiveAnswer
    principal: Principal
    work: asyncio.Task[None]
    task: asyncio.Task[None] | None = None

    def stop(self) -> None:
        if self.live.ending is None and not self.work.done():
            self.live.ending = "stopped"
            self.work.cancel()


async def _stop_when_left_alone(answer: _Answer) -> None:
    alone_s = 0.0
    while alone_s < _ALONE_S:
        await asyncio.sleep(_LOOK_S)
        alone_s = 0.0 if answer.live.viewers else alone_s + _LOOK_S
    answer.stop()


def _final(live: LiveAnswer, error: ApiError | None) -> dict[str, Any]:
    """The finished answer, in the words of stored ones."""
    status = status_of(live, error)
    return {
        "id": live.message_id,
        "role": "assistant",
        "status": status,
        "content": live.text,
        "reasoning": live.reasoning,
        "finish_reason": live.finish_reason if status in ("complete", "withheld") else None,
        "error": error.body()["error"] if error else None,
        **{name: live.facts.get(name) for name in _FACTS},
    }


async def started(live: LiveAnswer, seen: Seen) -> AsyncGenerator[Event, None]:
    """The events of an answer behind one that says by which id a viewer can come back."""
    yield Event("started", {"id": live.message_id})
    async with aclosing(live.watch(seen)) as events:
        async for happened in events:
            yield happened
