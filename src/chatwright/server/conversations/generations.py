"""Answers belong to the server: a task writes each, stores it as it grows, and lets any number of viewers attach."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from chatwright.errors import ChatwrightError
from chatwright.server.answering import Answering
from chatwright.server.backends.base import ChatRequest
from chatwright.server.conversations.live import Ending, LiveAnswer, Seen
from chatwright.server.conversations.repetition import RepetitionWatch
from chatwright.server.conversations.repository import set_title_of_model
from chatwright.server.conversations.schemas import MessageView
from chatwright.server.conversations.storing import Storing
from chatwright.server.conversations.titles import TitleMaker
from chatwright.server.database import Database
from chatwright.server.errors import ApiError, as_api_error, server_bug
from chatwright.server.identifiers import now_ms
from chatwright.server.principal import Principal

log = logging.getLogger(__name__)

_REFUSAL_WAIT_S: Final = 2.0  # most refusals are known at once; who waits for a place in the queue is told "accepted"
_FLUSH_S: Final = 0.5
_RENEW_MS: Final = 2_000  # a writer shows that it lives, far more often than its lease (10 s) wants
_SWEEP_MS: Final = 3_000
_TITLE_TIMEOUT_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Job:
    """An answer to be written.

    Attributes:
        live: what viewers see of it.
        principal: who asked.
        model: name, or None for the server's default.
        request: for the model.
        question: of a conversation that wants a title; None where it has one.
        tokens_before: of the part of the answer that is continued.
        version_before: of the model that wrote that part.
    """

    live: LiveAnswer
    principal: Principal
    model: str | None
    request: ChatRequest
    question: str | None = None
    tokens_before: int = 0
    version_before: str | None = None


async def write_answer(answering: Answering, job: Job, admitted: Callable[[], None]) -> None:
    """Let the model write; what is written is in ``job.live`` even when this is cancelled or fails.

    Raises:
        ChatwrightError: the request was refused (before ``admitted`` is called), or the model failed.
    """
    live = job.live
    async with await answering.chat(job.principal, job.model, job.request) as answer:
        version = answer.version
        if job.version_before not in (None, "", version):
            version = f"{job.version_before}+{version}"[:255]
        live.facts |= {"model": answer.model, "model_version": version, "dropped_turns": answer.dropped_turns}
        live.headers = dict(answer.headers)
        live.wake()
        admitted()
        num_tokens = job.tokens_before
        repetition = RepetitionWatch()
        try:
            async for piece in answer:
                num_tokens += piece.num_tokens
                live.facts["completion_tokens"] = num_tokens  # as it grows: a server may die at any token
                live.add(piece)
                if repetition.sees(piece.reasoning + piece.text):
                    live.finish_reason = "repetition"
                    break
        finally:
            live.facts |= {
                "prompt_tokens": answer.usage.prompt,
                "completion_tokens": job.tokens_before + answer.usage.completion,
            }


def as_refusal(error: BaseException, caller: Principal) -> ApiError:
    """What the person is told of an error; a bug leaves its traceback in the log."""
    if isinstance(error, ChatwrightError):
        refusal = as_api_error(error, caller)
        if refusal.status == 500:
            log.error("an answer failed: %s", type(error).__name__, exc_info=error)
        return refusal
    log.error("a bug of Chatwright: %s", type(error).__name__, exc_info=error)
    return server_bug(caller)


@dataclass(slots=True, eq=False)
class _Writing:
    """A job at work."""

    job: Job
    admitted: asyncio.Future[ApiError | None]  # a refusal, or None for "the model writes"
    kept: asyncio.Future[bool]  # whether there is a row for it
    work: asyncio.Task[Any] | None = None
    flushed: Seen = field(default_factory=Seen)
    flushed_ms: int = 0

    @property
    def live(self) -> LiveAnswer:
        return self.job.live

    @property
    def is_kept(self) -> bool:
        return self.kept.done() and self.kept.result()

    def end(self, ending: Ending) -> None:
        """Stop the work; what is written stays. Only the first call counts: a second could cut the tidying up."""
        if self.live.ending is None:
            self.live.ending = ending
            if self.work is not None:
                self.work.cancel()


class Generations:
    """The answers that this process writes.

    Args:
        database: that keeps them.
        answering: the way to the model.
        titles: names conversations.
        redact: what is done to a text before it is kept.
    """

    def __init__(
        self, database: Database, answering: Answering, titles: TitleMaker, redact: Callable[[str], str]
    ) -> None:
        self._database = database
        self._answering = answering
        self._titles = titles
        self._storing = Storing(database, redact)
        self._writings: dict[str, _Writing] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._keeper: asyncio.Task[None] | None = None
        self._is_closing = False

    @property
    def owner(self) -> str:
        """Name of this process in the rows of the answers that it writes."""
        return self._storing.owner

    async def open(self) -> None:
        """Mark what a server that died has left, and begin to keep answers as they grow."""
        await self._storing.sweep()
        self._keeper = asyncio.create_task(self._keep(), name="answers are kept as they grow")

    def live(self, message_id: str) -> LiveAnswer | None:
        """An answer that this process is writing."""
        writing = self._writings.get(message_id)
        return writing.live if writing is not None and writing.is_kept else None

    async def begin(self, jobs: Sequence[Job], store: Callable[[], Awaitable[None]]) -> None:
        """Begin answers. A refusal that is known soon leaves no trace; one that comes later becomes a failed message.

        Args:
            jobs: one for each answer.
            store: writes their rows (status "generating", :attr:`owner`), once the models have begun or take long.

        Raises:
            ApiError: one of them was refused; none is written then. Or the server ends.
        """
        if self._is_closing:
            raise ApiError(503, "the server is shutting down; try again in a moment", headers={"Retry-After": "5"})
        writings = [self._start(job) for job in jobs]
        try:
            await asyncio.wait([writing.admitted for writing in writings], timeout=_REFUSAL_WAIT_S)
            for writing in writings:
                if writing.admitted.done() and (refusal := writing.admitted.result()) is not None:
                    raise refusal
            await store()
        except BaseException:
            for writing in writings:
                writing.kept.set_result(False)
                writing.end("gone")
            raise
        for writing in writings:
            writing.kept.set_result(True)

    def stop(self, message_id: str) -> asyncio.Task[None] | None:
        """Stop an answer; the task that ends when its row is written. None when this process does not write it."""
        if (writing := self._writings.get(message_id)) is None:
            return None
        writing.end("stopped")
        return self._tasks[message_id]

    def end_user(self, user_id: str) -> None:
        """Stop every answer to somebody whose access has ended."""
        for writing in list(self._writings.values()):
            if writing.live.user_id == user_id:
                writing.end("stopped")

    def end_conversation(self, conversation_id: str) -> None:
        """Stop the answers in a conversation that was deleted."""
        for writing in list(self._writings.values()):
            if writing.live.conversation_id == conversation_id:
                writing.end("gone")

    async def close(self, grace_s: float) -> None:
        """Take nothing new, let answers end for so many seconds, and keep what there is of the others."""
        self._is_closing = True
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=grace_s)
        for writing in list(self._writings.values()):
            writing.end("interrupted")
        if self._tasks:
            await asyncio.wait(self._tasks.values())
        if self._keeper is not None:
            self._keeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._keeper

    def _start(self, job: Job) -> _Writing:
        loop = asyncio.get_running_loop()
        writing = _Writing(job, loop.create_future(), loop.create_future())
        writing.work = asyncio.create_task(self._work(writing))
        message_id = job.live.message_id
        self._writings[message_id] = writing
        self._tasks[message_id] = asyncio.create_task(self._run(writing), name=f"answer {message_id}")
        return writing

    async def _work(self, writing: _Writing) -> None:
        await write_answer(self._answering, writing.job, lambda: writing.admitted.set_result(None))

    async def _run(self, writing: _Writing) -> None:
        """The whole life of an answer. Never cancelled itself: it is what tidies up."""
        live, work = writing.live, writing.work
        assert work is not None
        try:
            await asyncio.wait({work})
            failed = not work.cancelled() and work.exception() is not None
            error = as_refusal(_exception(work), writing.job.principal) if failed else None
            if not writing.admitted.done():
                writing.admitted.set_result(error or ApiError(503, "the answer was stopped", code="stopped"))
            if not await writing.kept:
                return
            row = await self._storing.finish(live, error)
            if row is not None:
                live.finish(MessageView.of(row).model_dump(mode="json"))
                if row.status == "complete" and writing.job.question is not None and not self._is_closing:
                    await self._make_title(writing)
        except Exception:
            # The row stays "generating" with what was kept last; its lease ends, and it becomes "interrupted".
            log.exception("the end of an answer could not be written")
        finally:
            live.close()
            del self._writings[live.message_id], self._tasks[live.message_id]

    async def _make_title(self, writing: _Writing) -> None:
        """Name the conversation after its first answer; viewers are told, and nobody waits for it."""
        job, live = writing.job, writing.live
        assert job.question is not None
        making = asyncio.create_task(self._titles.make(job.principal, live.facts.get("model"), job.question, live.text))
        writing.work = making  # stopping, or the server's end, cancels it
        await asyncio.wait({making}, timeout=_TITLE_TIMEOUT_S)
        making.cancel()
        if not making.done() or making.cancelled():
            return
        if making.exception() is not None:
            as_refusal(_exception(making), job.principal)
            return
        if title := making.result():
            async with self._database.write() as session:
                taken = await set_title_of_model(session, live.conversation_id, title)
            if taken:
                live.title = title
                live.wake()

    async def _keep(self) -> None:
        """Write what has grown, twice a second, and look after answers whose writer has died."""
        swept_ms = now_ms()
        while True:
            await asyncio.sleep(_FLUSH_S)
            try:
                await self._flush()
                if now_ms() - swept_ms >= _SWEEP_MS:
                    swept_ms = now_ms()
                    await self._storing.sweep()
            except Exception:  # a database that is away for a moment must not end the keeping
                log.exception("answers could not be kept as they grow; trying again")

    async def _flush(self) -> None:
        now = now_ms()
        grown = [
            writing
            for writing in self._writings.values()
            if writing.is_kept
            and writing.work is not None
            and not writing.work.done()
            and (writing.flushed != _length(writing.live) or now - writing.flushed_ms >= _RENEW_MS)
        ]
        if not grown:
            return
        for writing in grown:
            writing.flushed, writing.flushed_ms = _length(writing.live), now
        lost = await self._storing.grow([writing.live for writing in grown])
        for writing in grown:
            if writing.live in lost:  # stopped or continued by another process, or deleted
                writing.end("stopped")


def _length(live: LiveAnswer) -> Seen:
    return Seen(len(live.text), len(live.reasoning))


def _exception(task: asyncio.Task[Any]) -> BaseException:
    error = task.exception()
    assert error is not None
    return error
