"""What a person does in a conversation that ends in an answer: ask, ask again, edit, continue, compare, stop."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from chatwright.server.conversations import messages, repository, search
from chatwright.server.conversations.generations import Generations, Job
from chatwright.server.conversations.live import LiveAnswer
from chatwright.server.conversations.prompts import chat_request, prompt_of
from chatwright.server.conversations.schemas import Again, Comparison, Edit, NewMessage
from chatwright.server.conversations.titles import title_of_question
from chatwright.server.database import Database
from chatwright.server.database.tables import Conversation, MessageRow
from chatwright.server.errors import ApiError
from chatwright.server.identifiers import new_id, now_ms
from chatwright.server.principal import Principal

_STOP_WAIT_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it: the new question, if there is one, and the answers that are being written.

    ``headers`` are those of the limits, where they are known already.
    """

    question: MessageRow | None
    answers: tuple[MessageRow, ...]
    headers: Mapping[str, str]


class Turns:
    """Turns of conversations.

    Args:
        database: of the server.
        generations: write the answers.
        redact: what is done to a text before it is kept.
    """

    def __init__(self, database: Database, generations: Generations, redact: Callable[[str], str]) -> None:
        self._database = database
        self._generations = generations
        self._redact = redact

    async def ask(self, principal: Principal, conversation_id: str, body: NewMessage) -> Outcome:
        """Ask a question; a :class:`Comparison` is answered twice.

        Raises:
            ApiError: 404; 409 while the message before it is still being written; or the answer is refused.
        """
        conversation, branch = await self._branch(
            principal, conversation_id, body.parent_id, shown="parent_id" not in body.model_fields_set
        )
        wishes: Sequence[Again] = [Again(model=body.model, sampling=body.sampling)]
        if isinstance(body, Comparison):
            wishes = _two_wishes(principal, conversation, body)
        attachments = [file.model_dump() for file in body.attachments]
        question = await self._question(conversation, branch, body.content, attachments)
        return await self._answer(principal, conversation, [*branch, question], wishes, question)

    async def regenerate(self, principal: Principal, conversation_id: str, message_id: str, wish: Again) -> Outcome:
        """Another answer beside ``message_id``, or to it where it is a question. Raises as :meth:`ask`."""
        async with self._database.read() as session:
            conversation = await repository.get(session, principal.user_id, conversation_id)
            branch = await messages.branch(session, conversation_id, message_id)
            await messages.get(session, principal.user_id, message_id, conversation_id=conversation_id)
        if branch[-1].role == "assistant":
            branch = branch[:-1]
        if not branch or branch[-1].role != "user":
            raise ApiError(
                400,
                principal.say("there is no question before this message", "这条消息之前没有提问"),
                param="message_id",
            )
        return await self._answer(principal, conversation, branch, [wish], None)

    async def edit(self, principal: Principal, conversation_id: str, message_id: str, body: Edit) -> Outcome:
        """A sibling with another text: of a question, which is answered anew, or of an answer, which is not.

        Raises:
            ApiError: as :meth:`ask`; 400 for a message of another role.
        """
        conversation, branch = await self._branch(principal, conversation_id, message_id, shown=False)
        original = branch[-1]
        if original.role == "user":
            question = await self._question(conversation, branch[:-1], body.content, original.attachments)
            wish = Again(model=body.model, sampling=body.sampling)
            return await self._answer(principal, conversation, [*branch[:-1], question], [wish], question)
        if original.role != "assistant":
            raise ApiError(400, principal.say("only questions and answers can be edited", "只能编辑提问和回答"))
        edited = await self._row(
            conversation, branch[-2] if len(branch) > 1 else None, "assistant", "edited", body.content
        )
        edited.model, edited.model_version = original.model, original.model_version
        async with self._database.write() as session:
            await self._insert(session, conversation, [edited])
        return Outcome(None, (edited,), {})

    async def continue_(self, principal: Principal, conversation_id: str, message_id: str) -> Outcome:
        """Go on writing an answer that was stopped, interrupted, failed, or had no more room.

        Raises:
            ApiError: as :meth:`ask`; 409 for an answer that is not of these.
        """
        conversation, branch = await self._branch(principal, conversation_id, message_id, shown=False)
        answer = branch[-1]
        if not _can_be_continued(answer):
            raise ApiError(
                409,
                principal.say("this answer is finished; there is nothing to continue", "此回答已完成，无法继续"),
                code="not_continuable",
            )
        live = LiveAnswer(answer.id, conversation.id, principal.user_id, text=answer.content)
        if answer.content:
            live.reasoning = answer.reasoning
            prompt = prompt_of(conversation.system_prompt, branch)
        else:  # it had only begun to think: thoughts cannot be continued, the question is answered anew
            prompt = prompt_of(conversation.system_prompt, branch[:-1])
        request = chat_request(prompt, answer.sampling, continue_final=bool(answer.content))
        job = Job(
            live,
            principal,
            answer.model,
            request,
            tokens_before=answer.completion_tokens or 0 if answer.content else 0,
            version_before=answer.model_version if answer.content else None,
        )
        claimed = _claimed(live, self._generations.owner)

        async def store() -> None:
            async with self._database.write() as session:
                taken = await session.execute(
                    update(MessageRow)
                    .where(MessageRow.id == answer.id, MessageRow.status == answer.status)
                    .values(**claimed)
                    .returning(MessageRow.id)
                )
                if taken.first() is None:
                    raise _still_writing(principal)
                await search.remove(session, answer.id)
                await self._show(session, conversation, answer.id)

        await self._generations.begin([job], store)
        for name, value in claimed.items():
            setattr(answer, name, value)
        return Outcome(None, (answer,), live.headers)

    async def stop(self, principal: Principal, conversation_id: str, message_id: str) -> MessageRow:
        """Stop an answer, whichever process writes it; stopping a finished one changes nothing. Raises 404."""
        async with self._database.read() as session:
            row = await messages.get(session, principal.user_id, message_id, conversation_id=conversation_id)
        ending = self._generations.stop(message_id)
        if ending is not None:
            await asyncio.wait({ending}, timeout=_STOP_WAIT_S)
        elif row.status == "generating":
            async with self._database.write() as session:
                await messages.stop(session, [message_id], now=now_ms())
        async with self._database.read() as session:
            return await messages.get(session, principal.user_id, message_id)

    async def _branch(
        self, principal: Principal, conversation_id: str, leaf_id: str | None, *, shown: bool
    ) -> tuple[Conversation, list[MessageRow]]:
        """A conversation and its messages up to a leaf, or up to the one that is shown.

        Raises:
            ApiError: 404; 409 when the leaf is still being written.
        """
        async with self._database.read() as session:
            conversation = await repository.get(session, principal.user_id, conversation_id)
            if shown:
                leaf_id = conversation.current_id
            elif leaf_id is not None:
                await messages.get(session, principal.user_id, leaf_id, conversation_id=conversation_id)
            branch = await messages.branch(session, conversation_id, leaf_id)
        if branch and branch[-1].status == "generating":
            raise _still_writing(principal)
        return conversation, branch

    async def _answer(
        self,
        principal: Principal,
        conversation: Conversation,
        branch: Sequence[MessageRow],
        wishes: Sequence[Again],
        question: MessageRow | None,
    ) -> Outcome:
        """Answer the last message of a branch, once for every wish."""
        prompt = prompt_of(conversation.system_prompt, branch)
        title_from = branch[-1].content if conversation.title_by == "none" and len(branch) == 1 else None
        answers: list[MessageRow] = []
        jobs: list[Job] = []
        for wish in wishes:
            sampling = conversation.sampling | wish.sampling.given()
            answer = await self._row(conversation, branch[-1], "assistant", "generated", "")
            answer.status = "generating"
            if answers:  # lists are by time: two answers keep their sides when the page is loaded again
                answer.created_ms = max(answer.created_ms, answers[-1].created_ms + 1)
            answer.model = wish.model or conversation.model
            answer.sampling = sampling
            answer.owner = self._generations.owner
            answer.lease_until_ms = now_ms() + messages.LEASE_MS
            answers.append(answer)
            live = LiveAnswer(answer.id, conversation.id, principal.user_id)
            request = chat_request(prompt, sampling)
            jobs.append(Job(live, principal, answer.model, request, title_from if not jobs else None))

        async def store() -> None:
            async with self._database.write() as session:
                await self._insert(session, conversation, [*([question] if question else []), *answers])
                if title_from is not None:
                    await session.execute(
                        update(Conversation)
                        .where(Conversation.id == conversation.id, Conversation.title_by == "none")
                        .values(title=title_of_question(title_from))
                    )

        await self._generations.begin(jobs, store)
        return Outcome(question, tuple(answers), jobs[0].live.headers)

    async def _question(
        self,
        conversation: Conversation,
        branch: Sequence[MessageRow],
        content: str,
        attachments: list[dict[str, str]],
    ) -> MessageRow:
        parent = branch[-1] if branch else None
        question = await self._row(conversation, parent, "user", "typed", content)
        question.attachments = await asyncio.to_thread(
            lambda: [file | {"text": self._redact(file["text"])} for file in attachments]
        )
        return question

    async def _row(
        self, conversation: Conversation, parent: MessageRow | None, role: str, origin: str, content: str
    ) -> MessageRow:
        now = now_ms()
        return MessageRow(
            id=new_id("msg_"),
            conversation_id=conversation.id,
            parent_id=parent.id if parent else None,
            role=role,
            origin=origin,
            status="complete",
            content=await asyncio.to_thread(self._redact, content) if content else "",
            reasoning="",
            content_hash="",
            dropped_turns=0,
            sampling={},
            attachments=[],
            created_ms=max(now, parent.created_ms + 1)
            if parent
            else now,  # a list by time has answers behind questions
            updated_ms=now,
        )

    async def _insert(self, session: AsyncSession, conversation: Conversation, new: Sequence[MessageRow]) -> None:
        """Write new messages, let them be found, and show the branch of the first answer.

        Raises:
            ApiError: 404, the conversation was deleted meanwhile.
        """
        await self._show(session, conversation, next(row.id for row in new if row.role == "assistant"))
        session.add_all(new)
        await session.flush()
        await search.add_new(
            session, conversation.user_id, conversation.id, {row.id: search.terms_of(row.content) for row in new}
        )

    async def _show(self, session: AsyncSession, conversation: Conversation, message_id: str) -> None:
        changes = {"current_id": message_id, "updated_ms": now_ms()}
        await repository.change(session, conversation.user_id, conversation.id, changes)


def _two_wishes(principal: Principal, conversation: Conversation, body: Comparison) -> list[Again]:
    """What the two answers of a comparison are to be; such that they can differ."""
    first, second = body.models or (body.model, body.model)
    other = body.sampling
    if first == second:
        sampling = conversation.sampling | body.sampling.given()
        if sampling.get("temperature") == 0:
            raise ApiError(
                400,
                principal.say(
                    "at temperature 0 both answers would be the same; raise it, or compare two models",
                    "温度为 0 时两个回答相同；请提高温度，或比较两个模型",
                ),
                param="sampling.temperature",
                code="invalid_value",
            )
        if (seed := sampling.get("seed")) is not None:
            other = other.model_copy(update={"seed": seed ^ 1})
    return [Again(model=first, sampling=body.sampling), Again(model=second, sampling=other)]


def _can_be_continued(row: MessageRow) -> bool:
    if row.role != "assistant" or row.origin != "generated":
        return False
    return row.status in ("stopped", "interrupted", "failed") or row.finish_reason in ("length", "repetition")


def _claimed(live: LiveAnswer, owner: str) -> dict[str, Any]:
    """What a row becomes that is written again."""
    return {
        "status": "generating",
        "reasoning": live.reasoning,
        "content_hash": "",
        "finish_reason": None,
        "error": None,
        "owner": owner,
        "lease_until_ms": now_ms() + messages.LEASE_MS,
    }


def _still_writing(principal: Principal) -> ApiError:
    return ApiError(
        409,
        principal.say(
            "the answer is still being written; wait for its end, or stop it",
            "回答仍在生成中；请等待其结束，或将其停止",
        ),
        code="still_generating",
    )
